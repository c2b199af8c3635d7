"""The Collector: gives back the space of what the chain has no more."""
