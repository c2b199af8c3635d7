"""Reads stored objects, and makes whole again what it finds broken."""
