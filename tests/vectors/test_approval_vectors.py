"""protocol 03: the worked example, byte by byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.chain.crypto import keccak256, recover_signer, sign_bytes
from greenray.protocol.approvals import (
    ApprovalRequest,
    approval_from_header,
    approval_sign_bytes,
    approval_to_header,
    check_approval,
    request_sign_bytes,
)
from greenray.protocol.integrity import (
    UnverifiedReceipt,
    expected_integrity_hash,
    secondary_sign_bytes,
    verify_receipt,
)
from greenray.protocol.layout import SEGMENTS
from tests.support.protocol_values import (
    APPROVAL,
    APPROVAL_ADDRESSES,
    APPROVAL_KEYS,
    HELLO,
    OPERATOR_KEYS,
    PRIMARY,
    PRIMARY_OPERATOR_KEY,
    SECONDARIES,
    provider,
)

_CHECKSUMS_JSON = (
    '["lZXJ35AHUUjrBoYDZd8zWEt1v/eCpRDGzUiDpBmDPVA=","a3ScJ/7PxyCLLwjPS47Z4ucSCdtwAUjXfIahgSNen3g=",'
    '"R2nvn6Y2RsLEkBzAtSoq0R+tfUS5Csh70ZvdBw7wvY0=","W8hT60wxUAXAvgSplWW5zq1ckKobD/mwWmIi/O698m8=",'
    '"QH/rSkuDA7r0+E4pogng3P1i6B+IyO23Z1xaldkOXJA=","h7uT+ZBl751XquPLS/WJ0mHOQp+wURWQe/kha/3LG5w=",'
    '"qb2WHSreb3/ITOaVt5l6NimBH/uiyYDLvwcY/euKQTQ="]'
)
_OBJECT_AMINO = (
    f'{{"bucket_name":"test-bucket","checksums":{_CHECKSUMS_JSON},'
    '"content_type":"application/octet-stream","create_at":"1684137600","id":"1",'
    '"object_name":"test-object","owner":"0x1C5A77d9FA7eF466951B2F01F724BCa3A5820b63",'
    '"payload_size":"5","visibility":3}'
)
_REQUEST = ApprovalRequest(HELLO, PRIMARY)
_RECEIPTS = (
    (
        "33117ca5dad2f1001546fc327cb008fe6673b3f145b6480af1ebf5229f8b238b",
        "749cad4e72373056c88296834aae374e0fc442165204b74c9324844edf52d749"
        "4b60ea78d1abc8c8fbcd0a9db8b8c135957dfcbce46bebff625e4b4d66c587bd00",
    ),
    (
        "1c600e426153af49bbe6ac713133fecf23c6ba75a96a23ac6607386ebeceb050",
        "3109f65ea6ebeed15b6e89d9744a667a1de1fd17665e12b3fd6c699420d66e0b"
        "64ed513ecfccbf8f96fb3638c716eae3944904e174215298507e38f0dae444d300",
    ),
    (
        "032bcfb11c7c5bc3741228c67fce959de9dd06f389fc8d3e915df06a29f52e7c",
        "e66eeb3256e3e055bc2e4421944b182f850bc8e6da4d25774bdb725e1d80572c"
        "7603d3025000b39aa1565e752a84bba716353c3c476dbaeda6f2bbb1d41e1a3501",
    ),
    (
        "0cd5e190fc60df5ae74ea0b15869b7264458d79930a8bbb2be70d97a8b0f3738",
        "cbd82a537b0d184a3ed58fd8afed765f3c33cbab08a22cbff9713079a20caf02"
        "12816a88192276d9b3aa493375a9cb4df38b02a9c13aa8c4f541ef09db9dd24901",
    ),
    (
        "ef72e53c1c6c465b94771b9e1a9daccb83f01ee3a2b7c6df9f53a54ee723bc03",
        "1ee6d826e1b11833cbb64cfb43ab395a8232d5376051b33a56d881df7e3a87e2"
        "6975a7b66c576821ddbf4773635ea29929f67fa652384d0c74f915bfe20a03b901",
    ),
    (
        "624e1c52e3b57e453382a7e43d43736ef4bd421141d85f759d076f2ac83d0cb4",
        "3871aeb83cbf5f41385f2a59ec61ee29b7c22eb1dd0669bcbaade8a9e2a47683"
        "6e403dd790d1f101a595b03f2c679ed6184e8bd9ce3f2e1e287a2855c277a12701",
    ),
)


def test_request_sign_bytes_are_sorted_amino_json() -> None:
    expected = (
        f'{{"type":"p2p/GetApprovalRequest","value":{{"object_info":{_OBJECT_AMINO},'
        f'"sp_operator_address":"{PRIMARY}"}}}}'
    )
    assert request_sign_bytes(_REQUEST).decode() == expected
    assert len(request_sign_bytes(_REQUEST)) == 688
    assert keccak256(request_sign_bytes(_REQUEST)).hex() == (
        "b453638f5802242681c1d2d1f21dfda1dc63dbacbcd339f30d4bebb764653691"
    )


def test_request_signature_is_that_of_the_operator_key() -> None:
    assert sign_bytes(PRIMARY_OPERATOR_KEY, request_sign_bytes(_REQUEST)).hex() == (
        "73834aaadbea4b3f45b59a2a4d0762cb76329e11702fa51057a9d0d435686bfd"
        "0aa097020fafa0a1fa6aee40819461a67f93637ffc84172b47a071b3ef0b2b6800"
    )


def test_the_signature_is_no_part_of_the_sign_bytes() -> None:
    assert request_sign_bytes(replace(_REQUEST, signature=b"x")) == request_sign_bytes(_REQUEST)
    assert approval_sign_bytes(replace(APPROVAL, signature=b"")) == approval_sign_bytes(APPROVAL)


def test_approval_sign_bytes_are_sorted_amino_json() -> None:
    expected = (
        '{"type":"p2p/GetApprovalResponse","value":{"expired_time":"1684141200",'
        f'"object_info":{_OBJECT_AMINO},"sp_operator_address":"{SECONDARIES[0]}"}}}}'
    )
    assert approval_sign_bytes(APPROVAL).decode() == expected
    assert len(approval_sign_bytes(APPROVAL)) == 717
    assert keccak256(approval_sign_bytes(APPROVAL)).hex() == (
        "b17db547959beb4e8978b0dfcf7d3643842d4c52d6caca2a0e0bab336022ef87"
    )


def test_approval_signature_is_that_of_the_operator_key() -> None:
    assert sign_bytes(OPERATOR_KEYS[0], approval_sign_bytes(APPROVAL)) == APPROVAL.signature


def test_header_is_go_json_in_declared_order() -> None:
    expected = (
        '{"object_info":{"owner":"0x1C5A77d9FA7eF466951B2F01F724BCa3A5820b63",'
        '"bucket_name":"test-bucket","object_name":"test-object","id":"1","payload_size":5,'
        '"visibility":3,"content_type":"application/octet-stream","create_at":1684137600,'
        f'"checksums":{_CHECKSUMS_JSON}}},'
        f'"sp_operator_address":"{SECONDARIES[0]}","expired_time":1684141200,'
        '"signature":"xNHnuGg11zWNrLW62xYvY8Z7Dvw8sQGqrFQKPsN4qyQz6Srn/VF6Gc9x0X3YAWAz3Dnxu4Qdb/i'
        '+gFZqP68/AwA="}'
    )
    assert approval_to_header(APPROVAL) == expected
    assert approval_from_header(expected) == APPROVAL


def test_the_example_approval_passes_the_receivers_checks() -> None:
    check_approval(
        APPROVAL,
        own_address=SECONDARIES[0],
        object_info=HELLO,
        now_s=APPROVAL.expired_time,
        recover=recover_signer,
    )


def test_sign_doc_of_a_secondary_is_sorted_proto_json() -> None:
    assert secondary_sign_bytes(SECONDARIES[0], 1, expected_integrity_hash(HELLO, 0)) == (
        b'{"checksum":"a3ScJ/7PxyCLLwjPS47Z4ucSCdtwAUjXfIahgSNen3g=","object_id":"1",'
        b'"sp_address":"0x2BD0C9FE079c8FcA0E3352eb3D02839c371E5c41"}'
    )


@pytest.mark.parametrize("r", range(6))
def test_receipt_of_each_secondary_has_the_known_digest_and_signature(r: int) -> None:
    digest, signature = _RECEIPTS[r]
    checksum = expected_integrity_hash(HELLO, r)
    sign_doc = secondary_sign_bytes(SECONDARIES[r], HELLO.id, checksum)

    assert keccak256(sign_doc).hex() == digest
    assert sign_bytes(APPROVAL_KEYS[r], sign_doc).hex() == signature
    verify_receipt(
        UnverifiedReceipt(r, SECONDARIES[r], checksum, bytes.fromhex(signature)),
        HELLO,
        provider(SECONDARIES[r], APPROVAL_ADDRESSES[r]),
        recover_signer,
    )


def test_the_primarys_own_record_has_the_known_digest() -> None:
    sign_doc = secondary_sign_bytes(PRIMARY, 1, expected_integrity_hash(HELLO, SEGMENTS))
    assert keccak256(sign_doc).hex() == (
        "1369b21244380e2c3784c697f5dd25eecdf1a8fa852e5964b4a76f008982735c"
    )
