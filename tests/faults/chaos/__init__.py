"""Kills and stops on a real network, again and again: ``python -m tests.faults.chaos``."""
