"""Addresses as a Greenfield chain parses and prints them (protocol 04 §1).

They are the SDK's own and no matter of a dialect.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from greenray.chain.crypto import to_checksum_address

ADDRESS_SIZE_BYTES = 20


class InvalidAddress(ValueError):
    """Not an address; the text is the Go parser's."""


def address_problem(address: str) -> str | None:
    """The chain's words for what is wrong with an address, None when it is one."""
    digits = address.lower().removeprefix("0x")
    size_bytes = len(digits.encode(errors="surrogatepass"))
    if not digits.strip():
        return "empty address string is not allowed"
    if size_bytes != 40:
        return f"invalid address hex length: {size_bytes} != 40"
    for byte in digits.encode(errors="surrogatepass"):
        if byte not in b"0123456789abcdef":
            shown = f" '{chr(byte)}'" if chr(byte).isprintable() else ""
            return f"encoding/hex: invalid byte: U+{byte:04X}{shown}"
    if not digits.strip("0"):
        return "empty address string is not allowed"
    return None


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
