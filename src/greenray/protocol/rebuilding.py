"""What of a lost journal the chain and the stored pieces can give back. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.protocol.job import JobContext, JobState, SecondaryReceipt, StateChange
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, ObjectStatus, StorageParams

_EPOCH = 1
"""Of a job that nobody claims any more; repairs of its segments are written under it."""


@dataclass(frozen=True, slots=True, order=True)
class FoundColumn:
    """A finished column in the store of one SP."""

    sp_address: str
    object_id: int
    redundancy_index: int


def no_record_for(column: FoundColumn, info: ObjectInfo | None, primary: str) -> str | None:
    """Why no integrity record is made for the column, whatever its bytes are; None when one is.

    ``info``: what the chain says of the object, None when it has none; ``primary``: of its bucket.
    """
    if info is None:
        return "the chain has no such object"
    if info.object_status is not ObjectStatus.OBJECT_STATUS_SEALED:
        return "the object is not sealed: put it again"
    index = column.redundancy_index
    if index == SEGMENTS:
        holder = primary
    else:
        holders = info.secondary_sp_addresses
        holder = holders[index] if index < len(holders) else ""
    if holder != column.sp_address:
        return "the chain names another storage provider for it"
    return None


def sealed_job(
    sp_address: str,
    info: ObjectInfo,
    params: StorageParams,
    batch_segments: int,
    receipts: tuple[SecondaryReceipt, ...],
    now: float,
) -> JobContext:
    """The job of an object that the chain shows as sealed. By which transaction is not known, nor
    is what happened before. ``now``: unix seconds."""
    created_at = float(info.create_at)
    return JobContext(
        0,
        sp_address,
        info,
        params,
        batch_segments,
        created_at=created_at,
        deadline_at=created_at,
        state=JobState.SEAL_OBJECT_DONE,
        epoch=_EPOCH,
        final=True,
        secondaries=receipts,
        history=(StateChange(JobState.SEAL_OBJECT_DONE, now),),
    )
