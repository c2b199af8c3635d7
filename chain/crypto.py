"""keccak256 and secp256k1 as the chain and the storage providers use them (protocol 03 §1).

Cheap to import: only libsecp256k1 and keccak. Signatures are 65 bytes
``r(32) || s(32) || v(1)`` with v = 0 or 1, deterministic (RFC 6979) and low-s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from greenray.chain import secp256k1
from greenray.protocol.errors import InvalidInput, SignatureError

try:
    # Six times as fast; a chain and a Signer hash for half of their time.
    from eth_hash.backends.pysha3 import keccak256 as _keccak256
except ImportError:
    from eth_hash.backends.pycryptodome import keccak256 as _keccak256

SIGNATURE_SIZE_BYTES = 65
ADDRESS_SIZE_BYTES = 20
_REMEMBERED = 1024
_RECOVERED = 4096
"""Signatures whose signers are remembered: some ten for each object on its way."""

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ADDRESS = re.compile(r"(?:0[xX])?([0-9a-fA-F]{40})")


def keccak256(data: bytes) -> bytes:
    """The 32-byte keccak-256 digest (Ethereum's, not NIST SHA-3)."""
    digest: bytes = _keccak256(data)
    return digest


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """Sign 32 bytes as they are; 65 bytes r||s||v.

    Raises:
        InvalidInput: the key is not a secp256k1 key, or the digest is not 32 bytes.
    """
    if len(digest) != 32:
        raise InvalidInput(f"a digest has 32 bytes, not {len(digest)}")
    with _a_private_key(private_key):
        return secp256k1.sign(private_key, digest)


def sign_bytes(private_key: bytes, data: bytes) -> bytes:
    """Sign the keccak256 of ``data``; 65 bytes r||s||v."""
    return sign_digest(private_key, keccak256(data))


def recover_digest(digest: bytes, signature: bytes, accept_27_28: bool = True) -> bytes:
    """The compressed public key (33 bytes) that signed ``digest``. High-s is accepted, as the
    chain accepts it for transactions (protocol 04 §12).

    Raises:
        SignatureError: not 65 bytes, v out of range, or no key could have made it.
    """
    if len(signature) != SIGNATURE_SIZE_BYTES:
        raise SignatureError(f"a signature has 65 bytes, not {len(signature)}")
    v = signature[64]
    if accept_27_28 and v in (27, 28):
        signature = signature[:64] + bytes([v - 27])
    try:
        return _recovered(digest, signature)
    except ValueError as error:
        raise SignatureError("no public key can be recovered from the signature") from error


@lru_cache(maxsize=_RECOVERED)
def _recovered(digest: bytes, signature: bytes) -> bytes:
    """What several actors of a process check, each for itself, is computed once; of other bytes
    nothing is known. Raises ValueError, which is not remembered."""
    return secp256k1.recover(digest, signature)


def recover_signer(data: bytes, signature: bytes) -> str:
    """The EIP-55 address whose key signed the keccak256 of ``data``, strictly: 65 bytes,
    v in 0, 1, 27, 28, and low-s (protocol 03 §1).

    Raises:
        SignatureError: the signature is malformed or not low-s.
    """
    public_key = recover_digest(keccak256(data), signature)
    if int.from_bytes(signature[32:64]) > _CURVE_ORDER // 2:
        raise SignatureError("the signature is not in low-s form")
    return address_of_public_key(public_key)


@lru_cache(maxsize=_REMEMBERED)
def public_key_of(private_key: bytes) -> bytes:
    """The compressed public key, 33 bytes. Raises InvalidInput for what is not a key."""
    with _a_private_key(private_key):
        return secp256k1.public_key_of(private_key)


@lru_cache(maxsize=_REMEMBERED)
def address_of_public_key(public_key: bytes) -> str:
    """EIP-55 address of a compressed or uncompressed public key.

    Raises:
        InvalidInput: the bytes are not a point of the curve.
    """
    try:
        uncompressed = secp256k1.uncompressed(public_key)
    except ValueError as error:
        raise InvalidInput("these bytes are not a secp256k1 public key") from error
    return _checksummed(keccak256(uncompressed[1:])[-ADDRESS_SIZE_BYTES:])


def address_of(private_key: bytes) -> str:
    """EIP-55 address of a private key."""
    return address_of_public_key(public_key_of(private_key))


def to_checksum_address(text: str) -> str:
    """The EIP-55 form of an address; ``0x`` may be missing and case is ignored, as in the chain
    (protocol 04 §1).

    Raises:
        InvalidInput: not 40 hexadecimal digits.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InvalidInput(f"an address is 0x and 40 hexadecimal digits, not {text[:60]!r}")
    return _checksummed(bytes.fromhex(match[1]))


@contextmanager
def _a_private_key(private_key: bytes) -> Iterator[None]:
    """Around what takes the key: InvalidInput for what is not one."""
    if len(private_key) != 32:
        raise InvalidInput(f"a private key has 32 bytes, not {len(private_key)}")
    try:
        yield
    except ValueError:
        # No cause: the library's text may quote the key.
        raise InvalidInput("these 32 bytes are not a secp256k1 private key") from None


def _checksummed(address: bytes) -> str:
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    cased = (d.upper() if int(mark, 16) >= 8 else d for d, mark in zip(digits, marks, strict=False))
    return "0x" + "".join(cased)
