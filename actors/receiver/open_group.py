"""A group that a Receiver has in memory, and what does not fit it."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.ports import GroupOrder
from greenray.actors.receiver.column_intake import IncomingColumn
from greenray.protocol.errors import GroupNotOpen, InvalidInput, PayloadSizeMismatch
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import ColumnWriter, GroupKey, GroupRow


@dataclass(slots=True)
class OpenGroup:
    """A group in memory. ``writer`` is None once the column is finished."""

    row: GroupRow
    layout: ColumnLayout
    writer: ColumnWriter | None


def where(key: GroupKey) -> str:
    return f"object {key.object_id}, redundancy index {key.redundancy_index} at {key.sp_address}"


def not_open(key: GroupKey) -> GroupNotOpen:
    return GroupNotOpen("the group is not open", where(key), "Open it and go on from there")


def is_of_another(row: GroupRow, object_info: ObjectInfo) -> bool:
    """Whether the chain has given the group's object id to another object since it was opened."""
    return row.object_info.identity != object_info.identity


def check_same_batches(row: GroupRow, order: GroupOrder) -> None:
    """Raises InvalidInput when the order would cut the group in another way."""
    if (row.batch_segments, row.params) != (order.batch_segments, order.params):
        raise InvalidInput(
            f"the group was opened with {row.batch_segments} segments per batch, "
            f"now {order.batch_segments}, or with other parameters",
            where(row.key),
            "Abort it, or use a new fence",
        )


def check_batch(group: OpenGroup, batch_index: int, column: IncomingColumn) -> None:
    """Raises PayloadSizeMismatch, and InvalidInput when a batch before it is missing."""
    key = group.row.key
    expected = group.layout.batch_size_bytes(batch_index)
    if column.size_bytes != expected:
        raise PayloadSizeMismatch(
            f"batch {batch_index} has {expected} bytes, {column.size_bytes} came", where(key)
        )
    if batch_index > group.row.batches_acknowledged:
        raise InvalidInput(
            f"batch {batch_index} came before batch {group.row.batches_acknowledged}", where(key)
        )
