"""Random HTTP against a network in one process; ``python -m tests.hostile.fuzz``."""
