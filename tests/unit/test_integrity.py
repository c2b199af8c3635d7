from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.chain.crypto import recover_signer, sign_bytes
from greenray.protocol.errors import InvalidInput, SecondaryLied, WrongRedundancyIndex
from greenray.protocol.integrity import (
    UnverifiedReceipt,
    expected_integrity_hash,
    integrity_hash,
    secondary_sign_bytes,
    verify_receipt,
)
from tests.support.protocol_values import (
    APPROVAL_ADDRESSES,
    APPROVAL_KEYS,
    HELLO,
    OPERATOR_KEYS,
    SECONDARIES,
    provider,
)

_PROVIDER = provider(SECONDARIES[2], APPROVAL_ADDRESSES[2])


def _receipt(key: bytes = APPROVAL_KEYS[2]) -> UnverifiedReceipt:
    digest = expected_integrity_hash(HELLO, 2)
    sign_doc = secondary_sign_bytes(SECONDARIES[2], HELLO.id, digest)
    return UnverifiedReceipt(2, SECONDARIES[2], digest, sign_bytes(key, sign_doc))


def test_checksum_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="piece 1 has 31 bytes"):
        integrity_hash([b"x" * 32, b"x" * 31])


@pytest.mark.parametrize("index", [-2, 6, 7])
def test_redundancy_index_without_a_checksum_is_refused(index: int) -> None:
    with pytest.raises(WrongRedundancyIndex):
        expected_integrity_hash(HELLO, index)


def test_index_minus_one_is_the_primarys() -> None:
    assert expected_integrity_hash(HELLO, -1) == HELLO.checksums[0]


def test_true_receipt_is_accepted() -> None:
    verify_receipt(_receipt(), HELLO, _PROVIDER, recover_signer)


def test_letter_case_of_the_approval_address_does_not_matter() -> None:
    lower = provider(SECONDARIES[2], APPROVAL_ADDRESSES[2].lower())
    verify_receipt(_receipt(), HELLO, lower, recover_signer)


def test_receipt_of_another_provider_is_a_lie() -> None:
    with pytest.raises(SecondaryLied, match="the receipt is of"):
        verify_receipt(_receipt(), HELLO, provider(SECONDARIES[1]), recover_signer)


@pytest.mark.parametrize("index", [-1, 6])
def test_receipt_for_an_index_that_does_not_exist_is_a_lie(index: int) -> None:
    receipt = replace(_receipt(), redundancy_index=index)
    with pytest.raises(SecondaryLied, match="no such redundancy index"):
        verify_receipt(receipt, HELLO, _PROVIDER, recover_signer)


def test_receipt_with_another_hash_is_a_lie() -> None:
    receipt = replace(_receipt(), integrity_hash=HELLO.checksums[2])
    with pytest.raises(SecondaryLied, match="is not the chain's"):
        verify_receipt(receipt, HELLO, _PROVIDER, recover_signer)


def test_receipt_signed_with_the_operator_key_is_a_lie() -> None:
    with pytest.raises(SecondaryLied, match="not of its approval key"):
        verify_receipt(_receipt(OPERATOR_KEYS[2]), HELLO, _PROVIDER, recover_signer)


@pytest.mark.parametrize("signature", [b"", b"\xff" * 65, b"\x00" * 65])
def test_receipt_with_a_broken_signature_is_a_lie(signature: bytes) -> None:
    receipt = replace(_receipt(), signature=signature)
    with pytest.raises(SecondaryLied):
        verify_receipt(receipt, HELLO, _PROVIDER, recover_signer)
