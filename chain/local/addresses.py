"""Addresses as the chain parses and prints them (protocol 04 §1)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from greenray.chain.crypto import to_checksum_address
from greenray.chain.dialects.v0_2_validation import address_problem

ADDRESS_SIZE_BYTES = 20


class InvalidAddress(ValueError):
    """Not an address; the text is the Go parser's."""


@lru_cache(maxsize=100_000)
def parse_address(text: str) -> bytes:
    """The 20 bytes of an address; the prefix 0x may be missing, case is ignored.

    Raises:
        InvalidAddress: worded as the chain's parser words it.
    """
    problem = address_problem(text)
    if problem is not None:
        raise InvalidAddress(problem)
    return bytes.fromhex(text.lower().removeprefix("0x"))


@lru_cache(maxsize=100_000)
def address_text(address: bytes) -> str:
    """EIP-55 text."""
    return to_checksum_address(address.hex())


def parse_hex(text: str) -> bytes:
    """Hexadecimal text as Go's encoding/hex reads it. Raises InvalidAddress with Go's words."""
    for byte in text.encode():
        if chr(byte) not in "0123456789abcdefABCDEF":
            raise InvalidAddress(f"encoding/hex: invalid byte: U+{byte:04X} {chr(byte)!r}")
    if len(text) % 2:
        raise InvalidAddress("encoding/hex: odd length hex string")
    return bytes.fromhex(text)


def module_address(name: str) -> bytes:
    """The account of a module: the first 20 bytes of the SHA-256 of its name."""
    return hashlib.sha256(name.encode()).digest()[:ADDRESS_SIZE_BYTES]


FEE_COLLECTOR = module_address("fee_collector")
DISTRIBUTION = module_address("distribution")
PAYMENT_POOL = module_address("payment")
# Recorded from a v0.2.0 node; it receives the payment module's validator tax.
VALIDATOR_TAX_POOL = bytes.fromhex("dF5F0588f6B09f0B9E58D3426252db25Dc74E7a1")
