"""libsecp256k1 through btclib-secp256k1, which recovers the signer of each signature it makes."""

from __future__ import annotations

from btclib_secp256k1 import keys, recovery


def sign(private_key: bytes, digest: bytes) -> bytes:
    """65 bytes, v = 0 or 1. Raises ValueError: the 32 bytes are no private key."""
    compact, v = recovery.sign(digest, private_key)
    return compact + bytes([v])


def recover(digest: bytes, signature: bytes) -> bytes:
    """The compressed public key, 33 bytes. Raises ValueError: no key could have signed this."""
    return recovery.recover(digest, signature[:64], signature[64])


def public_key_of(private_key: bytes) -> bytes:
    """The compressed public key, 33 bytes. Raises ValueError: the 32 bytes are no private key."""
    return keys.pubkey_from_prvkey(private_key)


def uncompressed(public_key: bytes) -> bytes:
    """The public key in 65 bytes. Raises ValueError: not a point of the curve."""
    return keys.reserialize(public_key, compressed=False)
