"""Configuration, topology, launch, client and command line."""
