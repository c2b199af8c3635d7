"""Whichever binding of libsecp256k1 this Python has, the bytes are the same, and those of
eth-keys, which computes them in Python."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from eth_keys.backends.native.main import NativeECCBackend
from eth_keys.datatypes import PrivateKey

from greenray.chain.crypto import keccak256
from greenray.chain.secp256k1 import by_btclib

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD = 2**256 - 2**32 - 977
KEYS = [n.to_bytes(32) for n in (1, 2, 0xC0FFEE, ORDER // 2, ORDER - 1)]
DIGESTS = [bytes(32), b"\xff" * 32, keccak256(b"an approval"), ORDER.to_bytes(32)]


@pytest.fixture(params=["coincurve", "btclib"])
def binding(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "btclib":
        return by_btclib
    pytest.importorskip("coincurve", reason="no wheel for this Python")
    from greenray.chain.secp256k1 import by_coincurve

    return by_coincurve


@pytest.mark.parametrize("key", KEYS)
def test_signatures_and_keys_are_those_of_another_program(binding: ModuleType, key: bytes) -> None:
    reference = NativeECCBackend()
    public_key = reference.private_key_to_public_key(PrivateKey(key, reference))
    assert binding.public_key_of(key) == public_key.to_compressed_bytes()
    assert binding.uncompressed(binding.public_key_of(key)) == b"\x04" + public_key.to_bytes()
    for digest in DIGESTS:
        signature = binding.sign(key, digest)
        assert signature == reference.ecdsa_sign(digest, PrivateKey(key, reference)).to_bytes()
        assert binding.recover(digest, signature) == public_key.to_compressed_bytes()


def test_a_signature_with_a_high_s_recovers_the_same_key(binding: ModuleType) -> None:
    signature = binding.sign(KEYS[2], DIGESTS[2])
    s = ORDER - int.from_bytes(signature[32:64])
    high = signature[:32] + s.to_bytes(32) + bytes([1 - signature[64]])
    assert binding.recover(DIGESTS[2], high) == binding.public_key_of(KEYS[2])


@pytest.mark.parametrize("key", [bytes(32), ORDER.to_bytes(32), b"\xff" * 32], ids=bytes.hex)
def test_what_is_no_private_key_is_refused(binding: ModuleType, key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        binding.sign(key, DIGESTS[2])
    with pytest.raises(ValueError, match=r"."):
        binding.public_key_of(key)


SIGNED = by_btclib.sign(KEYS[2], DIGESTS[2])
WRONG: dict[str, Callable[[bytes], bytes]] = {
    "v is 4": lambda signature: signature[:64] + b"\x04",
    "v is 255": lambda signature: signature[:64] + b"\xff",
    "v says that r exceeded the order": lambda signature: signature[:64] + b"\x02",
    "r is 0": lambda signature: bytes(32) + signature[32:],
    "s is 0": lambda signature: signature[:32] + bytes(32) + signature[64:],
    "r is the order": lambda signature: ORDER.to_bytes(32) + signature[32:],
    "s is the order": lambda signature: signature[:32] + ORDER.to_bytes(32) + signature[64:],
    "r is no x of the curve": lambda signature: (5).to_bytes(32) + signature[32:],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_nobody_can_have_signed_is_refused(binding: ModuleType, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        binding.recover(DIGESTS[2], WRONG[wrong](SIGNED))


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        b"\x02" + (5).to_bytes(32),
        b"\x02" + FIELD.to_bytes(32),
        b"\x05" + SIGNED[:32],
        b"\x04" + bytes(64),
        by_btclib.public_key_of(KEYS[2])[:32],
        by_btclib.public_key_of(KEYS[2]) + b"\x00",
    ],
    ids=bytes.hex,
)
def test_what_is_no_public_key_is_refused(binding: ModuleType, public_key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        binding.uncompressed(public_key)
