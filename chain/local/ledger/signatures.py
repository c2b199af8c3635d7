"""Who signed a digest, remembered: what CheckTx verified is not computed again in DeliverTx."""

from __future__ import annotations

from functools import lru_cache

from greenray.chain.addresses import parse_address
from greenray.chain.crypto import address_of_public_key, recover_digest
from greenray.protocol.errors import InvalidInput, SignatureError

SIGNATURE_SIZE_BYTES = 65
_REMEMBERED = 16_384


@lru_cache(maxsize=_REMEMBERED)
def recover_public_key(digest: bytes, signature: bytes) -> bytes | None:
    """The compressed public key (33 bytes) that signed; None when no key could have."""
    try:
        return recover_digest(digest, signature)
    except SignatureError:
        return None


@lru_cache(maxsize=_REMEMBERED)
def address_of_key(public_key: bytes) -> bytes:
    """The 20 bytes of a compressed public key's address; empty when it is not a public key."""
    try:
        return parse_address(address_of_public_key(public_key))
    except InvalidInput:
        return b""
