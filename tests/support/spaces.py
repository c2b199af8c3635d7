"""Object spaces in this process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from greenray.actors.ports import BlockSlice, Column, ColumnRef, ObjectSpace
from greenray.protocol.errors import NoSuchPiece, StoreError


class MemorySpace(ObjectSpace):
    """Copies every column, as an object store does; references are numbers."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self._capacity_bytes = capacity_bytes
        self._columns: dict[int, Column] = {}
        self._next = 0

    async def put(self, column: Column) -> ColumnRef:
        held = sum(len(c) for c in self._columns.values())
        if self._capacity_bytes is not None and held + len(column) > self._capacity_bytes:
            raise StoreError("the object space is full", "memory space")
        self._next += 1
        self._columns[self._next] = np.array(column, copy=True)
        return self._next

    async def get(self, ref: ColumnRef) -> Column:
        try:
            return self._columns[ref]
        except KeyError:
            raise NoSuchPiece("the column is gone", f"reference {ref}") from None

    async def splice(self, slices: Sequence[BlockSlice]) -> ColumnRef:
        blocks = [await self.get(part.block) for part in slices]
        cut = zip(slices, blocks, strict=True)
        return await self.put(
            np.concatenate([b[part.offset_bytes :][: part.size_bytes] for part, b in cut])
        )

    def lose_everything(self) -> None:
        """The process that owned the columns died."""
        self._columns.clear()
