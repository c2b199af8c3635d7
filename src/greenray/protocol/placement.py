"""Where the bytes of one batch lie in its data columns (protocol 01 §3, design §3)."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.protocol.layout import PayloadLayout


@dataclass(frozen=True, slots=True)
class Slot:
    """``length`` consecutive payload bytes, at ``offset`` of data column ``column``."""

    segment: int
    column: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class BatchPlacement:
    """``slots`` in payload order; ``padding`` are the ranges that stay zero (same columns).

    A segment's bytes are the concatenation of its slots; a batch's bytes of all slots.
    """

    column_count: int
    column_size_bytes: int
    slots: tuple[Slot, ...]
    padding: tuple[Slot, ...]

    @property
    def payload_size_bytes(self) -> int:
        return sum(slot.length for slot in self.slots)


def place_batch(layout: PayloadLayout, batch_index: int) -> BatchPlacement:
    """The placement of one batch. Raises InvalidInput for a batch that does not exist."""
    slots: list[Slot] = []
    padding: list[Slot] = []
    position = 0
    for segment in layout.segments.batch_range(batch_index):
        shard = layout.shard_size(segment)
        length = layout.segment_length(segment)
        for column in range(layout.data_columns):
            filled = max(0, min(shard, length - column * shard))
            if filled:
                slots.append(Slot(segment, column, position, filled))
            if filled < shard:
                padding.append(Slot(segment, column, position + filled, shard - filled))
        position += shard
    return BatchPlacement(layout.data_columns, position, tuple(slots), tuple(padding))
