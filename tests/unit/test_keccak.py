"""Whichever library hashes, the digests are the same."""

from __future__ import annotations

import pytest
from eth_hash.backends import pycryptodome

from greenray.chain.crypto import keccak256

# Only the wheel's platforms have it.
pysha3 = pytest.importorskip("eth_hash.backends.pysha3")


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 5])
def test_both_libraries_give_the_digest(data: bytes) -> None:
    assert pycryptodome.keccak256(data) == pysha3.keccak256(data) == keccak256(data)


def test_the_digest_of_nothing_is_ethereums() -> None:
    digest = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"").hex() == digest
