"""Credit in bytes: nothing is read, made or kept without it."""
