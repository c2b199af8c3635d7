from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from greenray.chain.crypto import recover_signer
from greenray.protocol.approvals import approval_to_header
from greenray.protocol.errors import (
    ApprovalError,
    EmptyPayload,
    IntegrityHashMismatch,
    InvalidHeader,
    PayloadSizeMismatch,
    WrongObjectStatus,
    WrongRedundancyIndex,
)
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import ObjectStatus, RedundancyType, StorageParams
from greenray.protocol.receiving import (
    check_group,
    check_received,
    check_repaired_group,
    parse_replicate_headers,
)
from tests.support.protocol_values import APPROVAL, HELLO, SECONDARIES

_PARAMS = StorageParams()
_HEADER = approval_to_header(APPROVAL)


def _take(**changed: Any) -> ColumnLayout:
    arguments: dict[str, Any] = {
        "approval": APPROVAL,
        "redundancy_index": 0,
        "object_info": HELLO,
        "params": _PARAMS,
        "own_address": SECONDARIES[0],
        "now_s": 1684137600.0,
        "recover": recover_signer,
        "piece_size_bytes": 2,
        "content_length_bytes": 2,
    }
    return check_group(**(arguments | changed))


# --- headers ------------------------------------------------------------------------------------


def test_headers_are_read_as_numbers_and_an_approval() -> None:
    claims = parse_replicate_headers("1", "5", "2", _HEADER)
    assert (claims.object_id, claims.redundancy_index, claims.piece_size_bytes) == (1, 5, 2)
    assert claims.approval == APPROVAL


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_0", "0x1", "1.0", "-1", "١", "1" * 30])
@pytest.mark.parametrize("position", [0, 2])
def test_object_id_and_piece_size_must_be_plain_decimals(text: str, position: int) -> None:
    values = ["1", "0", "2", _HEADER]
    values[position] = text
    with pytest.raises(InvalidHeader):
        parse_replicate_headers(*values)


@pytest.mark.parametrize("text", ["", "x", "2147483648", "-2147483649", "1_0"])
def test_redundancy_index_must_be_a_32_bit_integer(text: str) -> None:
    with pytest.raises(InvalidHeader, match="Redundancy-Index"):
        parse_replicate_headers("1", text, "2", _HEADER)


def test_approval_header_must_be_json() -> None:
    with pytest.raises(InvalidHeader, match="not JSON"):
        parse_replicate_headers("1", "0", "2", "approval")


# --- before the bytes ---------------------------------------------------------------------------


def test_group_of_a_valid_approval_is_taken() -> None:
    assert _take() == ColumnLayout(1, 2, 2)


def test_group_is_taken_where_the_transport_announces_no_sizes() -> None:
    assert _take(piece_size_bytes=None, content_length_bytes=None).size_bytes == 2


def test_receiver_refuses_an_expired_approval() -> None:
    with pytest.raises(ApprovalError, match="expired"):
        _take(now_s=APPROVAL.expired_time + 1)


@pytest.mark.parametrize("index", [-1, 6, 7, 2**31 - 1])
def test_redundancy_index_outside_the_group_is_refused(index: int) -> None:
    with pytest.raises(WrongRedundancyIndex):
        _take(redundancy_index=index)


@pytest.mark.parametrize(
    "status", [ObjectStatus.OBJECT_STATUS_SEALED, ObjectStatus.OBJECT_STATUS_DISCONTINUED]
)
def test_object_that_is_not_created_takes_no_pieces(status: ObjectStatus) -> None:
    with pytest.raises(WrongObjectStatus):
        _take(object_info=replace(HELLO, object_status=status))


def test_approval_of_another_object_is_refused() -> None:
    with pytest.raises(ApprovalError, match="another object"):
        _take(object_info=replace(HELLO, id=2))


@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_announced_piece_size_must_be_the_layouts(size: int) -> None:
    with pytest.raises(InvalidHeader, match="piece size"):
        _take(piece_size_bytes=size)


def test_group_without_bytes_is_refused_as_empty() -> None:
    with pytest.raises(EmptyPayload):
        _take(content_length_bytes=0)


@pytest.mark.parametrize("length", [1, 3, 5])
def test_announced_content_length_must_be_the_layouts(length: int) -> None:
    with pytest.raises(PayloadSizeMismatch):
        _take(content_length_bytes=length)


def test_replica_group_has_the_size_of_the_payload() -> None:
    info = replace(HELLO, redundancy_type=RedundancyType.REDUNDANCY_REPLICA_TYPE)
    with pytest.raises(ApprovalError, match="redundancy_type"):
        _take(object_info=info, piece_size_bytes=5, content_length_bytes=5)
    with pytest.raises(InvalidHeader, match="piece size"):
        _take(object_info=info)


def test_object_with_another_number_of_checksums_is_refused() -> None:
    with pytest.raises(InvalidHeader, match="checksums"):
        _take(params=StorageParams(redundant_data_chunk_num=5))


def test_checks_run_in_the_order_of_the_design() -> None:
    wrong: dict[str, Any] = {
        "redundancy_index": 6,
        "piece_size_bytes": 3,
        "object_info": replace(HELLO, object_status=ObjectStatus.OBJECT_STATUS_SEALED),
        "own_address": SECONDARIES[1],
        "now_s": 2e9,
        "approval": replace(APPROVAL, signature=b"\xff" * 65),
    }
    order = [
        ("redundancy_index", WrongRedundancyIndex, "outside"),
        ("piece_size_bytes", InvalidHeader, "piece size"),
        ("object_info", WrongObjectStatus, "CREATED"),
        ("own_address", ApprovalError, "own"),
        ("now_s", ApprovalError, "expired"),
        ("approval", ApprovalError, "signature"),
    ]
    for mended, error, text in order:
        with pytest.raises(error, match=text):
            _take(**wrong)
        del wrong[mended]
    _take(**wrong)


# --- after the bytes ----------------------------------------------------------------------------


def test_received_group_gives_the_chains_integrity_hash() -> None:
    checksums = [sha256(b"he").digest()]
    digest = check_received(checksums, 0, object_info=HELLO, params=_PARAMS)
    assert digest == HELLO.checksums[1]


def test_received_group_of_another_index_is_refused() -> None:
    with pytest.raises(IntegrityHashMismatch, match="redundancy index 1"):
        check_received([sha256(b"he").digest()], 1, object_info=HELLO, params=_PARAMS)


@pytest.mark.parametrize("count", [0, 2])
def test_received_group_with_another_number_of_pieces_is_refused(count: int) -> None:
    with pytest.raises(PayloadSizeMismatch, match=f"{count} pieces arrived of 1"):
        check_received([sha256(b"he").digest()] * count, 0, object_info=HELLO, params=_PARAMS)


# --- repairs ------------------------------------------------------------------------------------

SEALED = replace(
    HELLO,
    object_status=ObjectStatus.OBJECT_STATUS_SEALED,
    secondary_sp_addresses=tuple(SECONDARIES[:6]),
)


def test_a_group_is_repaired_by_the_secondary_that_has_to_hold_it() -> None:
    layout = check_repaired_group(
        2, object_info=SEALED, params=_PARAMS, own_address=SECONDARIES[2].lower()
    )
    assert layout.size_bytes == 2


@pytest.mark.parametrize(
    ("index", "status", "error"),
    [
        (1, ObjectStatus.OBJECT_STATUS_SEALED, WrongRedundancyIndex),
        (-1, ObjectStatus.OBJECT_STATUS_SEALED, WrongRedundancyIndex),
        (6, ObjectStatus.OBJECT_STATUS_SEALED, WrongRedundancyIndex),
        (2, ObjectStatus.OBJECT_STATUS_CREATED, WrongObjectStatus),
        (2, ObjectStatus.OBJECT_STATUS_DISCONTINUED, WrongObjectStatus),
    ],
)
def test_other_groups_are_not_repaired(
    index: int, status: ObjectStatus, error: type[Exception]
) -> None:
    info = replace(SEALED, object_status=status)
    with pytest.raises(error):
        check_repaired_group(index, object_info=info, params=_PARAMS, own_address=SECONDARIES[2])
