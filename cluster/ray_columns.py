"""Columns in Ray's object store, at addresses from which a file can be written past the page cache.

Such a write takes memory only at multiples of 512 bytes (``storage.direct_io``), and whoever stores
a column that lies elsewhere has to copy it first: a fifth of a CPU second per GB. Ray places
objects at multiples of 64. When every object fills whole pages, all columns lie at the same place
in their pages, and a gap of the right size before the column moves that to where it has to be.

This rests on how Ray lays objects out and allocates them. Where it is otherwise, for a while or for
ever, columns are copied again; nothing but speed depends on it.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.direct_io import address_of

if TYPE_CHECKING:
    from actors.ports import Column
    from storage.ports import Buffer

_PAGE_BYTES = 4096
_ALIGNMENT_BYTES = 512
_RAY_ALIGNMENT_BYTES = 64

_OVERHEAD_BYTES = 256
"""What a ``PlacedColumn`` takes in Ray's store beside its column and the two gaps."""

_ZEROS = np.zeros(2 * _PAGE_BYTES, dtype=np.uint8)


class PlacedColumn:
    """A column as Ray is given it: with a gap of ``lead_bytes`` before it, and one behind it that
    fills the last page. Who gets it from Ray gets the column, as an array without a copy."""

    def __init__(self, column: Column, lead_bytes: int) -> None:
        self._column = column
        self._lead_bytes = lead_bytes

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        used_bytes = self._column.nbytes + self._lead_bytes + _OVERHEAD_BYTES
        used_bytes += -used_bytes % _RAY_ALIGNMENT_BYTES
        gaps_bytes = self._lead_bytes, -used_bytes % _PAGE_BYTES
        lead, trail = (PickleBuffer(_ZEROS[:size_bytes].data) for size_bytes in gaps_bytes)
        return _column, (lead, PickleBuffer(self._column.data), trail)


def _column(lead: Buffer, column: Buffer, trail: Buffer) -> Column:
    return np.frombuffer(column, dtype=np.uint8)


class ColumnPlacing:
    """The gap before the next column, as the last one teaches it."""

    def __init__(self) -> None:
        self.lead_bytes = _ALIGNMENT_BYTES // 2

    def placed(self, column: Column) -> PlacedColumn:
        return PlacedColumn(column, self.lead_bytes)

    def learn(self, stored: Column) -> None:
        """``stored`` is where the last one that was ``placed`` is now."""
        off_bytes = address_of(stored.data) % _ALIGNMENT_BYTES
        if off_bytes % _RAY_ALIGNMENT_BYTES == 0:
            self.lead_bytes = (self.lead_bytes - off_bytes) % _ALIGNMENT_BYTES
