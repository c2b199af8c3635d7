"""Replication: every missing group of an object to its secondary."""
