from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from greenray.chain.crypto import recover_signer, sign_bytes
from greenray.protocol.approvals import (
    Approval,
    ApprovalRequest,
    Recover,
    approval_from_header,
    approval_sign_bytes,
    approval_to_header,
    check_approval,
    is_expired,
    request_sign_bytes,
)
from greenray.protocol.errors import ApprovalError, InvalidHeader
from greenray.protocol.objects import (
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    Visibility,
)
from tests.support.protocol_values import (
    APPROVAL,
    HELLO,
    OPERATOR_KEYS,
    PRIMARY,
    SECONDARIES,
    renamed,
)


def _refused_signature_check(sign_doc: bytes, signature: bytes) -> str:
    raise AssertionError("the signature must be looked at last")


def _check(
    approval: Approval,
    *,
    own_address: str = SECONDARIES[0],
    object_info: ObjectInfo = HELLO,
    now_s: float = 1684137600.0,
    recover: Recover = recover_signer,
) -> None:
    check_approval(
        approval, own_address=own_address, object_info=object_info, now_s=now_s, recover=recover
    )


def _signed(approval: Approval) -> Approval:
    signature = sign_bytes(OPERATOR_KEYS[0], approval_sign_bytes(approval))
    return replace(approval, signature=signature)


# --- sign bytes ---------------------------------------------------------------------------------


def test_sign_bytes_leave_out_zero_values_but_never_the_id() -> None:
    empty = ObjectInfo("", "", "", 0, 0, Visibility.VISIBILITY_TYPE_UNSPECIFIED, "", 0)
    assert request_sign_bytes(ApprovalRequest(empty, "")) == (
        b'{"type":"p2p/GetApprovalRequest","value":{"object_info":{"id":"0"}}}'
    )


def test_sign_bytes_write_enums_as_numbers_and_64_bit_integers_quoted() -> None:
    info = replace(
        HELLO,
        payload_size=2**64 - 1,
        object_status=ObjectStatus.OBJECT_STATUS_SEALED,
        redundancy_type=RedundancyType.REDUNDANCY_REPLICA_TYPE,
        source_type=SourceType.SOURCE_TYPE_MIRROR_PENDING,
        checksums=(b"",),
        secondary_sp_addresses=(PRIMARY,),
    )
    value = json.loads(approval_sign_bytes(Approval(info, PRIMARY, 7, "full")))["value"]
    assert value["expired_time"] == "7"
    assert value["refused_reason"] == "full"
    assert value["object_info"]["payload_size"] == "18446744073709551615"
    assert value["object_info"]["object_status"] == 1
    assert value["object_info"]["redundancy_type"] == 1
    assert value["object_info"]["source_type"] == 2
    assert value["object_info"]["checksums"] == [""]
    assert value["object_info"]["secondary_sp_addresses"] == [PRIMARY]


# --- header -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["dir/héllo <a>&b 中.txt", "tab\tand\nnewline", "\x00nul", "\x08\x0c\x7f", 'a"b\\c', "🎈"],
)
def test_header_carries_any_object_name_there_and_back(name: str) -> None:
    approval = replace(APPROVAL, object_info=renamed(name))
    header = approval_to_header(approval)
    assert header.isprintable()
    assert approval_from_header(header) == approval


def test_header_reads_unknown_fields_and_null_as_go_does() -> None:
    assert approval_from_header('{"object_info":null,"unknown":[1],"expired_time":null}') == (
        Approval(ObjectInfo("", "", "", 0, 0, Visibility(0), "", 0), "", 0)
    )


def test_header_may_escape_what_is_not_ascii() -> None:
    approval = replace(APPROVAL, object_info=renamed("中"))
    assert approval_from_header(json.dumps(json.loads(approval_to_header(approval)))) == approval


def test_header_reads_a_lone_surrogate_as_the_replacement_character() -> None:
    approval = approval_from_header('{"object_info":{"object_name":"a\\ud800"}}')
    assert approval.object_info.object_name == "a\ufffd"
    assert approval_sign_bytes(approval)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "null",
        "[]",
        "{",
        "[" * 100_000,
        '"text"',
        '{"expired_time":"5"}',
        '{"expired_time":5.0}',
        '{"expired_time":true}',
        '{"expired_time":9223372036854775808}',
        '{"sp_operator_address":5}',
        '{"signature":"*"}',
        '{"signature":"YQ"}',
        '{"signature":[1]}',
        '{"object_info":[]}',
        '{"object_info":{"id":1}}',
        '{"object_info":{"id":"-1"}}',
        '{"object_info":{"id":"١"}}',
        '{"object_info":{"id":"' + "1" * 5000 + '"}}',
        '{"object_info":{"payload_size":-1}}',
        '{"object_info":{"payload_size":18446744073709551616}}',
        '{"object_info":{"visibility":9}}',
        '{"object_info":{"checksums":"YQ=="}}',
        '{"object_info":{"checksums":[1]}}',
        '{"object_info":{"checksums":["\\ud800"]}}',
        '{"object_info":{"secondary_sp_addresses":[{}]}}',
    ],
)
def test_header_of_another_form_is_refused(header: str) -> None:
    with pytest.raises(InvalidHeader):
        approval_from_header(header)


# --- the check ladder ----------------------------------------------------------------------------


def test_own_valid_approval_passes() -> None:
    _check(APPROVAL)


def test_approval_passes_within_its_last_second_and_not_after_it() -> None:
    _check(APPROVAL, now_s=APPROVAL.expired_time + 0.999)
    with pytest.raises(ApprovalError, match="expired 1 s ago"):
        _check(APPROVAL, now_s=APPROVAL.expired_time + 1.0)
    assert is_expired(APPROVAL, APPROVAL.expired_time + 1)
    assert not is_expired(APPROVAL, APPROVAL.expired_time)


def test_approval_of_another_provider_is_refused() -> None:
    with pytest.raises(ApprovalError, match="not this provider's own"):
        _check(APPROVAL, own_address=SECONDARIES[1], recover=_refused_signature_check)


def test_own_address_is_compared_with_its_letter_case() -> None:
    lower = _signed(replace(APPROVAL, sp_operator_address=SECONDARIES[0].lower()))
    with pytest.raises(ApprovalError, match="not this provider's own"):
        _check(lower)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("id", 2),
        ("bucket_name", "other"),
        ("object_name", "other"),
        ("payload_size", 6),
        ("redundancy_type", RedundancyType.REDUNDANCY_REPLICA_TYPE),
        ("checksums", HELLO.checksums[:-1]),
    ],
)
def test_approval_for_another_object_is_refused(fact: str, value: Any) -> None:
    other = _signed(replace(APPROVAL, object_info=replace(HELLO, **{fact: value})))
    with pytest.raises(ApprovalError, match=f"another object: its {fact}"):
        _check(other)


def test_approval_stays_valid_when_the_status_of_its_object_moves_on() -> None:
    _check(APPROVAL, object_info=replace(HELLO, object_status=ObjectStatus.OBJECT_STATUS_SEALED))


def test_refusal_is_no_approval() -> None:
    with pytest.raises(ApprovalError, match="refusal: full"):
        _check(_signed(replace(APPROVAL, refused_reason="full")))


def test_changed_approval_is_refused_for_its_signature() -> None:
    with pytest.raises(ApprovalError, match="signed by"):
        _check(replace(APPROVAL, expired_time=APPROVAL.expired_time + 1))


def test_approval_signed_by_another_key_is_refused() -> None:
    foreign = sign_bytes(OPERATOR_KEYS[1], approval_sign_bytes(APPROVAL))
    with pytest.raises(ApprovalError, match=f"signed by {SECONDARIES[1]}"):
        _check(replace(APPROVAL, signature=foreign))


@pytest.mark.parametrize("signature", [b"", b"x" * 64, b"x" * 66])
def test_signature_of_another_length_is_refused_before_it_is_looked_at(signature: bytes) -> None:
    with pytest.raises(ApprovalError, match="bytes, not 65"):
        _check(replace(APPROVAL, signature=signature), recover=_refused_signature_check)


def test_signature_that_recovers_to_nobody_is_refused() -> None:
    with pytest.raises(ApprovalError, match="signature is not valid"):
        _check(replace(APPROVAL, signature=b"\xff" * 65))


def test_expired_approval_is_refused_without_looking_at_the_signature() -> None:
    with pytest.raises(ApprovalError, match="expired"):
        _check(APPROVAL, now_s=2e9, recover=_refused_signature_check)
