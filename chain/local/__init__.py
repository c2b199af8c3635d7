"""The embedded chain: a real server process for development and tests."""
