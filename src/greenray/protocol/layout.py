"""Where every payload byte goes: segments, shards, columns, batches (protocol 01 §2-4, design §3).

A *batch* is a run of consecutive segments. Of a batch, *column* j holds shard j of every segment,
one after the other; columns k..n-1 are parity. A replica object has one column, the segments
themselves, which every secondary receives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from greenray.protocol.errors import InvalidInput, InvalidShape
from greenray.protocol.objects import ObjectInfo, RedundancyType, StorageParams

SEGMENTS = -1
"""The redundancy index that stands for the primary's column of whole segments."""

DEFAULT_BATCH_SEGMENTS = 4


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """A sequence of pieces, all of ``piece_size_bytes`` but the last, which may be shorter.

    ``batch_pieces`` is how many pieces one append carries (a store may keep one object per append).

    Raises:
        InvalidInput: sizes that no column has; out-of-range indices likewise, in every method.
    """

    piece_count: int
    piece_size_bytes: int
    last_piece_size_bytes: int
    batch_pieces: int = DEFAULT_BATCH_SEGMENTS

    def __post_init__(self) -> None:
        empty = self.piece_size_bytes == self.last_piece_size_bytes == 0
        filled = 0 < self.last_piece_size_bytes <= self.piece_size_bytes
        if self.batch_pieces <= 0 or not (
            (self.piece_count == 0 and empty) or (self.piece_count > 0 and filled)
        ):
            raise InvalidInput(
                f"{self.piece_count} pieces of {self.piece_size_bytes} bytes, the last of "
                f"{self.last_piece_size_bytes}, {self.batch_pieces} per batch, are not a column"
            )

    @property
    def size_bytes(self) -> int:
        if self.piece_count == 0:
            return 0
        return (self.piece_count - 1) * self.piece_size_bytes + self.last_piece_size_bytes

    @property
    def batch_count(self) -> int:
        return -(-self.piece_count // self.batch_pieces)

    def piece_length(self, index: int) -> int:
        self._check(index)
        last = index == self.piece_count - 1
        return self.last_piece_size_bytes if last else self.piece_size_bytes

    def piece_offset(self, index: int) -> int:
        self._check(index)
        return index * self.piece_size_bytes

    def batch_range(self, batch_index: int) -> range:
        """The piece indices of one batch."""
        if not 0 <= batch_index < self.batch_count:
            raise InvalidInput(f"batch {batch_index} is outside 0..{self.batch_count - 1}")
        start = batch_index * self.batch_pieces
        return range(start, min(start + self.batch_pieces, self.piece_count))

    def batch_size_bytes(self, batch_index: int) -> int:
        return sum(self.piece_length(i) for i in self.batch_range(batch_index))

    def prefix_size_bytes(self, batches: int) -> int:
        """Bytes of the first ``batches`` batches."""
        if not 0 <= batches <= self.batch_count:
            raise InvalidInput(f"{batches} batches of {self.batch_count}")
        return min(batches * self.batch_pieces * self.piece_size_bytes, self.size_bytes)

    def _check(self, index: int) -> None:
        if not 0 <= index < self.piece_count:
            raise InvalidInput(f"piece {index} is outside 0..{self.piece_count - 1}")


@dataclass(frozen=True, slots=True)
class PayloadLayout:
    """All arithmetic of one object. Everyone asks this value, nobody divides on their own.

    Raises:
        InvalidInput: sizes that no object has; out-of-range indices likewise, in every method.
        InvalidShape: k and m outside k > 0, m >= 0, k + m <= 256 (protocol 01 §3).
    """

    payload_size_bytes: int
    segment_size_bytes: int
    k: int
    m: int
    replica: bool = False
    batch_segments: int = DEFAULT_BATCH_SEGMENTS

    def __post_init__(self) -> None:
        if self.payload_size_bytes < 0 or self.segment_size_bytes <= 0 or self.batch_segments <= 0:
            raise InvalidInput(
                f"payload of {self.payload_size_bytes} bytes in segments of "
                f"{self.segment_size_bytes}, {self.batch_segments} per batch, is not a layout"
            )
        if self.k <= 0 or self.m < 0 or self.k + self.m > 256:
            raise InvalidShape(f"{self.k}+{self.m} is not a shape for redundancy coding")

    @classmethod
    def of(
        cls, info: ObjectInfo, params: StorageParams, batch_segments: int = DEFAULT_BATCH_SEGMENTS
    ) -> PayloadLayout:
        return cls(
            info.payload_size,
            params.max_segment_size_bytes,
            params.k,
            params.m,
            info.redundancy_type is RedundancyType.REDUNDANCY_REPLICA_TYPE,
            batch_segments,
        )

    @property
    def n(self) -> int:
        return self.k + self.m

    @property
    def segment_count(self) -> int:
        return -(-self.payload_size_bytes // self.segment_size_bytes)

    @property
    def data_columns(self) -> int:
        """How many columns a batch is received in: k, or 1 for a replica object."""
        return 1 if self.replica else self.k

    def segment_length(self, index: int) -> int:
        if not 0 <= index < self.segment_count:
            raise InvalidInput(f"segment {index} is outside 0..{self.segment_count - 1}")
        return min(
            self.segment_size_bytes, self.payload_size_bytes - index * self.segment_size_bytes
        )

    def shard_size(self, segment_index: int) -> int:
        """Length of a piece of this segment: ceil(L / k), or L for a replica object."""
        return -(-self.segment_length(segment_index) // self.data_columns)

    @property
    def segments(self) -> ColumnLayout:
        """The primary's column: whole segments."""
        return self._column(self.segment_length)

    @property
    def pieces(self) -> ColumnLayout:
        """Any one secondary's column; all redundancy indices have the same."""
        return self._column(self.shard_size)

    def column(self, redundancy_index: int) -> ColumnLayout:
        if not SEGMENTS <= redundancy_index < self.n:
            raise InvalidInput(
                f"redundancy index {redundancy_index} is outside {SEGMENTS}..{self.n - 1}"
            )
        return self.segments if redundancy_index == SEGMENTS else self.pieces

    @property
    def batch_count(self) -> int:
        return self.segments.batch_count

    def _column(self, piece_size: Callable[[int], int]) -> ColumnLayout:
        count = self.segment_count
        first, last = (piece_size(0), piece_size(count - 1)) if count else (0, 0)
        return ColumnLayout(count, first, last, self.batch_segments)
