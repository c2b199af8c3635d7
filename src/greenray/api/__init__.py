"""The Python API for scripts and notebooks."""
