"""Signer: holds the SPs' keys, and seals objects with them."""
