"""Transactions: their bytes and signatures, and those that a user sends."""
