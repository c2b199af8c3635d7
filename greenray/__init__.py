"""The storage-provider upload path of Greenfield on Ray."""
