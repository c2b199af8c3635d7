"""What of a lost journal the chain and the stored pieces can give back. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.protocol.job import JobContext, JobState, SecondaryReceipt, StateChange
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, ObjectStatus, StorageParams

_EPOCH = 1
"""Of a job that nobody has claimed since; repairs of its segments are written under it."""

_WITH_PAYLOAD = (ObjectStatus.OBJECT_STATUS_CREATED, ObjectStatus.OBJECT_STATUS_SEALED)


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
    index = column.redundancy_index
    if info.object_status is ObjectStatus.OBJECT_STATUS_CREATED and index != SEGMENTS:
        return "the object is not sealed yet; its primary sends the group again"
    if info.object_status not in _WITH_PAYLOAD:
        return f"the object is {info.object_status.name}"
    if index == SEGMENTS:
        holder = primary
    else:
        holders = info.secondary_sp_addresses
        holder = holders[index] if index < len(holders) else ""
    if holder != column.sp_address:
        return "the chain names another storage provider for it"
    return None


def rebuilt_job(
    sp_address: str,
    info: ObjectInfo,
    params: StorageParams,
    batch_segments: int,
    receipts: tuple[SecondaryReceipt, ...],
    now: float,
    deadline_s: float,
) -> JobContext:
    """The job of an object whose payload its primary has. One that the chain shows as sealed has
    ended; by which transaction is not known, nor is what happened before. Any other goes on as if
    its payload had just been stored. ``now``: unix seconds."""
    sealed = info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
    state = JobState.SEAL_OBJECT_DONE if sealed else JobState.UPLOAD_OBJECT_DONE
    return JobContext(
        0,
        sp_address,
        info,
        params,
        batch_segments,
        created_at=float(info.create_at),
        deadline_at=now + deadline_s,
        state=state,
        epoch=_EPOCH,
        final=sealed,
        secondaries=receipts if sealed else (),
        history=(StateChange(state, now),),
    )
