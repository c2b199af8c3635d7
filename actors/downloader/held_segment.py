"""A verified segment while it is sent: in memory that was lent, or, when others wait for that,
read again from the store in slices, each as it was when the segment was verified."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from greenray.actors.credit.lending_pool import LentBuffer
from greenray.actors.uploader.ingest import run_in
from greenray.protocol.errors import NoSuchPiece, StoreError
from greenray.storage.ports import Buffer

SLICE_BYTES = 64 * 1024
"""What a slow reader is sent at a time, and all the memory that it takes."""

_STORED_SEND_S = 2.0
"""How long a segment's memory may take to be sent while others wait: whoever is slower is hardly
served worse without it."""

_REBUILT_SEND_S = 60.0
"""The same of one that was rebuilt, and cannot be had again from the store."""


@dataclass(slots=True)
class LoadedSegment:
    """A verified segment in lent memory; ``piece_bytes``: of what it was rebuilt from, by holder,
    None when it was not."""

    lent: LentBuffer
    piece_bytes: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class SegmentSource:
    """Where one segment comes from. ``read``: fills memory with what is stored from an offset in
    the segment, unverified; ``load``: all of it, verified or rebuilt, into memory of its own."""

    length: int
    read: Callable[[int, Buffer], None]
    load: Callable[[], Awaitable[LoadedSegment]]
    pool: Executor


class HeldSegment:
    """Bytes ``start`` to ``end`` (exclusive) of one segment, for whoever sends them."""

    def __init__(self, source: SegmentSource, loaded: LoadedSegment, start: int, end: int) -> None:
        self._source = source
        self._loaded = loaded
        self._digests: list[bytes] = []
        self._letting_go: asyncio.Task[None] | None = None
        self._sent_bytes: Callable[[], int] = lambda: 0
        self._cut_off: Callable[[], None] = lambda: None
        self.start = start
        self.end = end
        self.was_let_go = False

    def begin_sending(self, sent_bytes: Callable[[], int], cut_off: Callable[[], None]) -> None:
        """To a peer, at its own pace. ``sent_bytes``: how much has been sent; ``cut_off``: ends the
        sending, called when others wait for memory that it cannot do without."""
        self._sent_bytes, self._cut_off = sent_bytes, cut_off
        if not self._loaded.lent.is_over:
            self._watch()

    def _watch(self) -> None:
        if self._loaded.piece_bytes is None:
            self._loaded.lent.may_be_taken_back(self._sent_bytes, self._let_go_soon, _STORED_SEND_S)
        else:
            self._loaded.lent.may_be_taken_back(self._sent_bytes, self._cut_off, _REBUILT_SEND_S)

    def memory(self, start: int, end: int) -> Buffer | None:
        """These bytes, valid until anything else is waited for; None when the memory is gone."""
        if self._loaded.lent.is_over:
            return None
        return self._loaded.lent.buffer.data[start:end]

    async def slice_at(self, start: int) -> Buffer:
        """Bytes from ``start`` on, at most SLICE_BYTES, without memory.

        Raises what loading the segment anew raises, when it is not stored as it was.
        """
        first = start - start % SLICE_BYTES
        data = memoryview(bytearray(min(SLICE_BYTES, self._source.length - first)))
        try:
            await run_in(self._source.pool, self._source.read, first, data)
            is_same = hashlib.sha256(data).digest() == self._digests[first // SLICE_BYTES]
        except (NoSuchPiece, StoreError):
            is_same = False
        if not is_same:
            data = await self._slice_of_another(first, len(data))
        return data[start - first : self.end - first]

    async def _slice_of_another(self, first: int, size_bytes: int) -> Buffer:
        """Broken since it was verified: what is loaded in its place is sent from memory."""
        self._loaded = await self._source.load()
        self._letting_go = None
        self._watch()
        return memoryview(bytes(self._loaded.lent.buffer.data[first : first + size_bytes]))

    def _let_go_soon(self) -> None:
        self._letting_go = asyncio.create_task(self.let_go())

    async def let_go(self) -> None:
        """Do without memory from now on, if it is stored."""
        lent = self._loaded.lent
        if lent.is_over or self._loaded.piece_bytes is not None:
            return
        lent.hold()
        try:
            view = lent.buffer.data[: self._source.length]
            self._digests = await run_in(self._source.pool, _slice_digests, view)
        finally:
            lent.give_back()
        self.was_let_go = True

    def close(self) -> None:
        """Nothing more is sent."""
        if self._letting_go is None or self._letting_go.done():
            self._loaded.lent.give_back()


def _slice_digests(segment: Buffer) -> list[bytes]:
    return [
        hashlib.sha256(segment[start : start + SLICE_BYTES]).digest()
        for start in range(0, len(segment), SLICE_BYTES)
    ]
