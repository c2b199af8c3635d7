"""What is remembered of a signature is who made it, by all of its bytes and all that it signs."""

from __future__ import annotations

import pytest

from greenray.chain import secp256k1
from greenray.chain.crypto import address_of, recover_signer, sign_bytes
from greenray.protocol.errors import SignatureError
from tests.support.sps import test_key as key_of

KEY = key_of("recovered-signers")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The digests for which a key was computed."""
    found: list[bytes] = []
    recover = secp256k1.recover

    def counting(digest: bytes, signature: bytes) -> bytes:
        found.append(digest)
        return recover(digest, signature)

    monkeypatch.setattr(secp256k1, "recover", counting)
    return found


def test_the_same_bytes_are_computed_once(computed: list[bytes]) -> None:
    data = b"checked by two actors of a process"
    signature = sign_bytes(KEY, data)
    assert recover_signer(data, signature) == recover_signer(data, signature) == address_of(KEY)
    assert len(computed) == 1


def test_other_data_or_another_signature_is_computed_anew(computed: list[bytes]) -> None:
    data = b"an order of one coin"
    signature = sign_bytes(KEY, data)
    assert recover_signer(data, signature) == address_of(KEY)
    assert recover_signer(b"an order of two coins", signature) != address_of(KEY)
    other = signature[:64] + bytes([signature[64] ^ 1])
    assert recover_signer(data, other) != address_of(KEY)
    assert len(computed) == 3


def test_what_is_no_signature_is_refused_each_time(computed: list[bytes]) -> None:
    for _ in range(2):
        with pytest.raises(SignatureError, match="no public key"):
            recover_signer(b"data", b"\xff" * 64 + b"\x00")
    assert len(computed) == 2
