"""The pure core: what storage providers must agree on. No I/O, no clock, no randomness, no Ray."""
