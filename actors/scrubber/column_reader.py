"""Reading and hashing whole columns, as fast as the disk or the hash allows, or as is allowed.

One run of pieces is read past the page cache while the one before is hashed, two pieces side by
side.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.credit.throttle import Throttle
from greenray.actors.ports import Column
from greenray.actors.settings import MIB
from greenray.actors.uploader.ingest import run_in
from greenray.coding.hashing import TOGETHER, hash_pieces, hash_slices
from greenray.protocol.errors import NoSuchPiece, StoreError
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.scrub import DamageKind, PieceFound
from greenray.storage.ports import ColumnKey, PieceStore

_RUN_BYTES = 16 * MIB
_BUFFER_BYTES = 4 * _RUN_BYTES
"""Two runs of two segments: one is read while the other is hashed."""

_LEAST_CHARGE_BYTES = 256 * 1024
"""What a small column counts as: it costs questions to the journal and the chain."""


@dataclass(frozen=True, slots=True)
class _LoadedRun:
    """Some pieces of a column in a buffer of the pool; ``is_read`` False: not all could be read."""

    pieces: range
    buffer: Column
    size_bytes: int
    is_read: bool


class ColumnReader:
    """Reads one column at a time; made for one scrub, after which its memory is free again."""

    def __init__(self, pool: Executor, throttle: Throttle) -> None:
        """``pool``: at least two threads."""
        self._pool = pool
        self._throttle = throttle
        self._buffers = BufferPool(_BUFFER_BYTES)

    async def read(
        self, store: PieceStore, key: ColumnKey, layout: ColumnLayout
    ) -> tuple[PieceFound, ...]:
        """The checksum of each piece as it is stored, or why it has none."""
        column = _Column(store, key, layout)
        if layout.size_bytes < _LEAST_CHARGE_BYTES:
            await self._throttle.take(_LEAST_CHARGE_BYTES - layout.size_bytes)
        runs = _runs(layout)
        found: list[PieceFound] = []
        ahead = asyncio.create_task(self._load(column, runs[0]))
        try:
            for following in [*runs[1:], None]:
                loaded = await ahead
                if following is not None:
                    ahead = asyncio.create_task(self._load(column, following))
                found += await run_in(self._pool, column.found, loaded)
                self._buffers.release(loaded.buffer)
        finally:
            ahead.cancel()
        return tuple(found)

    async def _load(self, column: _Column, pieces: range) -> _LoadedRun:
        size_bytes = sum(map(column.layout.piece_length, pieces))
        await self._throttle.take(size_bytes)
        buffer = await self._buffers.acquire(size_bytes)
        is_read = await run_in(self._pool, column.read, pieces.start, buffer.data[:size_bytes])
        return _LoadedRun(pieces, buffer, size_bytes, is_read)


def _runs(layout: ColumnLayout) -> list[range]:
    """Consecutive pieces that are read together: at least as many as are hashed side by side."""
    length = max(TOGETHER, _RUN_BYTES // layout.piece_size_bytes)
    starts = range(0, layout.piece_count, length)
    return [range(start, min(start + length, layout.piece_count)) for start in starts]


@dataclass(frozen=True, slots=True)
class _Column:
    """Called in threads."""

    store: PieceStore
    key: ColumnKey
    layout: ColumnLayout

    def read(self, first_piece: int, view: memoryview) -> bool:
        """Whether all of it could be read."""
        offset = self.layout.piece_offset(first_piece)
        try:
            self.store.read_into(self.key, self.layout, offset, [view])
        except (NoSuchPiece, StoreError):
            return False
        return True

    def found(self, loaded: _LoadedRun) -> list[PieceFound]:
        """Of a run that could not be read as a whole, its pieces are read one by one."""
        view = loaded.buffer.data[: loaded.size_bytes]
        if loaded.is_read:
            return [*hash_pieces([view], self.layout.piece_length(loaded.pieces.start))]
        return [self._piece(index, view) for index in loaded.pieces]

    def _piece(self, index: int, memory: memoryview) -> PieceFound:
        view = memory[: self.layout.piece_length(index)]
        try:
            self.store.read_into(self.key, self.layout, self.layout.piece_offset(index), [view])
        except NoSuchPiece:
            return self._missing_or_short()
        except StoreError:
            return DamageKind.UNREADABLE
        return hash_slices([view])

    def _missing_or_short(self) -> DamageKind:
        try:
            return DamageKind.SHORT if self.store.exists(self.key) else DamageKind.MISSING
        except StoreError:
            return DamageKind.UNREADABLE
