"""Walks through all that the hosted SPs store, compares it with the chain, and repairs it."""
