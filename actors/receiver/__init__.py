"""Receiver: takes replicate groups from primaries."""
