"""libsecp256k1 through coincurve."""

from __future__ import annotations

from functools import lru_cache

from coincurve import PrivateKey, PublicKey

_REMEMBERED = 1024


def sign(private_key: bytes, digest: bytes) -> bytes:
    """65 bytes, v = 0 or 1. Raises ValueError: the 32 bytes are no private key."""
    signature: bytes = _private(private_key).sign_recoverable(digest, hasher=None)
    return signature


def recover(digest: bytes, signature: bytes) -> bytes:
    """The compressed public key, 33 bytes. Raises ValueError: no key could have signed this."""
    public_key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    compressed: bytes = public_key.format(compressed=True)
    return compressed


def public_key_of(private_key: bytes) -> bytes:
    """The compressed public key, 33 bytes. Raises ValueError: the 32 bytes are no private key."""
    compressed: bytes = _private(private_key).public_key.format(compressed=True)
    return compressed


def uncompressed(public_key: bytes) -> bytes:
    """The public key in 65 bytes. Raises ValueError: not a point of the curve."""
    point: bytes = PublicKey(public_key).format(compressed=False)
    return point


# coincurve computes the public key of every key that it is given, twice.
@lru_cache(maxsize=_REMEMBERED)
def _private(private_key: bytes) -> PrivateKey:
    return PrivateKey(private_key)
