"""What a receiver checks before it takes a replicate group, and before it vouches for it.

Order of the design: shape, identity, expiry, hash, signature (dearest last). It closes the gaps
that protocol 03 §7.1-7.2 names: the approval must be for this object, the object must be CREATED,
the redundancy index must be below n, and sizes must be what the object's layout says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from greenray.protocol.approvals import Approval, Recover, approval_from_header, check_approval
from greenray.protocol.errors import (
    EmptyPayload,
    IntegrityHashMismatch,
    InvalidHeader,
    PayloadSizeMismatch,
    WrongObjectStatus,
    WrongRedundancyIndex,
)
from greenray.protocol.integrity import expected_integrity_hash, integrity_hash
from greenray.protocol.layout import ColumnLayout, PayloadLayout
from greenray.protocol.objects import ObjectInfo, ObjectStatus, StorageParams

_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class ReplicatePieceHeaders:
    """The claims of a replicate-piece request (protocol 03 §7), parsed but not checked yet."""

    object_id: int
    redundancy_index: int
    piece_size_bytes: int
    approval: Approval


def parse_replicate_headers(
    object_id: str, redundancy_index: str, piece_size: str, approval: str
) -> ReplicatePieceHeaders:
    """Header values as text; a missing header is the empty text.

    Raises:
        InvalidHeader: a value does not parse; checked in the reference's order.
    """
    return ReplicatePieceHeaders(
        _integer("X-Gnfd-Object-ID", object_id, 0, 2**64),
        _integer("X-Gnfd-Redundancy-Index", redundancy_index, -(2**31), 2**31),
        _integer("X-Gnfd-Piece-Size", piece_size, 0, 2**64),
        approval_from_header(approval),
    )


def check_group(
    approval: Approval,
    redundancy_index: int,
    *,
    object_info: ObjectInfo,
    params: StorageParams,
    own_address: str,
    now_s: float,
    recover: Recover,
    piece_size_bytes: int | None = None,
    content_length_bytes: int | None = None,
) -> ColumnLayout:
    """Whether this SP takes the group of ``redundancy_index``; returns the group's layout.

    ``object_info`` and ``params`` are what the chain says. The two sizes are given where the
    transport announces them (HTTP does); where it does not, they are checked as bytes arrive.

    Raises:
        WrongRedundancyIndex: outside 0..n-1.
        InvalidHeader: the object has no 1 + n checksums, or another piece size was announced.
        EmptyPayload, PayloadSizeMismatch: another content length was announced.
        WrongObjectStatus: the object is not CREATED.
        ApprovalError: see ``check_approval``.
    """
    pieces = PayloadLayout.of(object_info, params).pieces
    _check_shape(redundancy_index, object_info, params)
    _check_sizes(pieces, piece_size_bytes, content_length_bytes, object_info.name)
    if object_info.object_status is not ObjectStatus.OBJECT_STATUS_CREATED:
        raise WrongObjectStatus(
            f"only a CREATED object takes pieces, it is {object_info.object_status.name}",
            object_info.name,
        )
    check_approval(
        approval, own_address=own_address, object_info=object_info, now_s=now_s, recover=recover
    )
    return pieces


def check_repaired_group(
    redundancy_index: int, *, object_info: ObjectInfo, params: StorageParams, own_address: str
) -> ColumnLayout:
    """Whether this SP has to hold the group, and may therefore write it anew; returns its layout.

    Raises:
        WrongRedundancyIndex: outside 0..n-1, or the group is another SP's.
        InvalidHeader: the object has no 1 + n checksums.
        WrongObjectStatus: the object is not SEALED.
    """
    _check_shape(redundancy_index, object_info, params)
    if object_info.object_status is not ObjectStatus.OBJECT_STATUS_SEALED:
        raise WrongObjectStatus(
            f"only groups of a SEALED object are repaired, it is {object_info.object_status.name}",
            object_info.name,
        )
    holder = object_info.secondary_sp_addresses[redundancy_index]
    if holder.lower() != own_address.lower():
        raise WrongRedundancyIndex(
            f"redundancy index {redundancy_index} is held by {holder}, not {own_address}",
            object_info.name,
        )
    return PayloadLayout.of(object_info, params).pieces


def check_received(
    piece_checksums: Sequence[bytes],
    redundancy_index: int,
    *,
    object_info: ObjectInfo,
    params: StorageParams,
) -> bytes:
    """The integrity hash of a group that has arrived; to be called before it is signed.

    Raises:
        PayloadSizeMismatch: another number of pieces than the object has segments.
        IntegrityHashMismatch: it is not the chain's for this redundancy index.
    """
    piece_count = PayloadLayout.of(object_info, params).pieces.piece_count
    if len(piece_checksums) != piece_count:
        raise PayloadSizeMismatch(
            f"{len(piece_checksums)} pieces arrived of {piece_count}", object_info.name
        )
    computed = integrity_hash(piece_checksums)
    expected = expected_integrity_hash(object_info, redundancy_index)
    if computed != expected:
        raise IntegrityHashMismatch(
            f"integrity hash of redundancy index {redundancy_index} is {computed.hex()}, "
            f"the chain says {expected.hex()}",
            object_info.name,
        )
    return computed


def _check_shape(redundancy_index: int, object_info: ObjectInfo, params: StorageParams) -> None:
    if len(object_info.checksums) != 1 + params.n:
        raise InvalidHeader(
            f"the object has {len(object_info.checksums)} checksums, {params.k}+{params.m} needs "
            f"{1 + params.n}",
            object_info.name,
        )
    if not 0 <= redundancy_index < params.n:
        raise WrongRedundancyIndex(
            f"redundancy index {redundancy_index} is outside 0..{params.n - 1}", object_info.name
        )


def _check_sizes(
    pieces: ColumnLayout,
    piece_size_bytes: int | None,
    content_length_bytes: int | None,
    where: str,
) -> None:
    if piece_size_bytes is not None and piece_size_bytes != pieces.piece_size_bytes:
        raise InvalidHeader(
            f"announced piece size {piece_size_bytes} bytes, the object's is "
            f"{pieces.piece_size_bytes}",
            where,
        )
    if content_length_bytes == 0:
        raise EmptyPayload("the group has no bytes", where)
    if content_length_bytes is not None and content_length_bytes != pieces.size_bytes:
        raise PayloadSizeMismatch(
            f"announced {content_length_bytes} bytes, the group has {pieces.size_bytes}", where
        )


def _integer(header: str, text: str, low: int, high: int) -> int:
    """Decimal as Go's strconv reads it: no blanks, no underscores, no other digits than 0-9."""
    number = int(text) if _DECIMAL.fullmatch(text) else high
    if not low <= number < high:
        raise InvalidHeader(f"{text[:40]!r} is not a number in its range", f"header {header}")
    return number
