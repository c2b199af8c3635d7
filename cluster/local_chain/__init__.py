"""The embedded chain of a local network: its process, its genesis, its keys."""
