"""Where an upload's bytes come from: a port that fills the upload's own memory.

A connection is read straight into it. An HTTP library's stream, which allocates and joins what
arrives, costs the Uploader about as much as hashing does.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from greenray.actors.credit.places import Pace, PeerTurns
from greenray.actors.ports import BlockSlice, ColumnRef, ObjectSpace
from greenray.protocol.errors import InvalidInput, NoSuchPiece, PayloadInterrupted
from greenray.storage.ports import Buffer


class PayloadSource(Protocol):
    """The bytes of one payload, in order."""

    @property
    def moved_bytes(self) -> int:
        """How many have come, those of a call of ``read_into`` that has not returned too."""

    async def read_into(self, view: Buffer) -> int:
        """Fill the beginning of ``view``, which is not empty; returns how many bytes came, 0 at the
        end of the payload. Raises PayloadInterrupted."""


class ChunkedPayload:
    """A payload that comes in chunks of any length."""

    def __init__(self, chunks: AsyncIterator[bytes | Buffer]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.moved_bytes = 0

    async def read_into(self, view: Buffer) -> int:
        """Raises whatever the chunks raise."""
        while not self._rest:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
            self.moved_bytes += len(self._rest)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class WatchedPayload:
    """Another payload, and how long its peer was waited for."""

    def __init__(self, source: PayloadSource) -> None:
        self._source = source
        self._turns = PeerTurns()

    @property
    def moved_bytes(self) -> int:
        return self._source.moved_bytes

    def pace(self) -> Pace:
        return Pace(self._source.moved_bytes, self._turns.waited_s)

    async def read_into(self, view: Buffer) -> int:
        """See ``PayloadSource.read_into``."""
        with self._turns.turn():
            return await self._source.read_into(view)


def block_bytes(block: object, where: str) -> Buffer:
    """The bytes of a block: of bytes, a contiguous array, an Arrow buffer. Raises InvalidInput."""
    try:
        view = memoryview(block)  # type: ignore[arg-type]
        return view.cast("B") if view.nbytes else memoryview(b"")
    except TypeError:
        raise InvalidInput(
            f"a {type(block).__name__} is not a contiguous run of bytes",
            where,
            "Give blocks of bytes, or contiguous arrays",
        ) from None


@dataclass(frozen=True, slots=True)
class Run:
    """Some consecutive bytes of a payload, in one block."""

    where: BlockSlice
    view: Buffer
    is_copy: bool
    """The memory is this process's own; other processes would make another copy of it."""


class ReferencedPayload:
    """A payload that lies in the object space, in blocks of any length, and is used where it lies.

    Not a ``PayloadSource``: nobody has to make room for it. ``fetch`` before ``runs``.
    """

    def __init__(self, space: ObjectSpace, blocks: Sequence[ColumnRef]) -> None:
        self._space = space
        self._blocks = tuple(blocks)
        self._ends: list[int] = []
        self._fetched: dict[int, tuple[Buffer, bool]] = {}

    async def fetch(self, end: int) -> int:
        """Look at the blocks up to byte ``end``; returns how many bytes they have in all, which is
        less when the payload ends before.

        Raises InvalidInput, when a block is not bytes; PayloadInterrupted, when one is lost.
        """
        while self._size_bytes < end and len(self._ends) < len(self._blocks):
            index = len(self._ends)
            where = f"block {index}"
            try:
                block = await self._space.get(self._blocks[index])
            except NoSuchPiece as error:
                raise PayloadInterrupted(
                    f"a block of the payload is lost ({error.what})",
                    where,
                    "Put the payload again, and keep its references until it is stored.",
                ) from error
            view = block_bytes(block, where)
            self._fetched[index] = view, isinstance(block, bytes | bytearray)
            self._ends.append(self._size_bytes + len(view))
        return self._size_bytes

    def runs(self, start: int, size_bytes: int) -> list[Run]:
        """Where these bytes lie, which were fetched and not let go."""
        runs = []
        index = bisect_right(self._ends, start)
        while size_bytes:
            view, is_copy = self._fetched[index]
            offset = start - (self._ends[index] - len(view))
            part = view[offset : offset + size_bytes]
            if part:
                where = BlockSlice(self._blocks[index], offset, len(part))
                runs.append(Run(where, part, is_copy))
            start, size_bytes = start + len(part), size_bytes - len(part)
            index += 1
        return runs

    def let_go(self, end: int) -> None:
        """Nothing before byte ``end`` is asked for again."""
        for index in [i for i in self._fetched if self._ends[i] <= end]:
            del self._fetched[index]

    @property
    def _size_bytes(self) -> int:
        return self._ends[-1] if self._ends else 0


Payload = PayloadSource | ReferencedPayload
"""What an upload stores."""


class ConnectionPayload(asyncio.BufferedProtocol):
    """A payload of known size on a connection, which belongs to this object until ``give_back``.

    Nothing is read from the socket but into a view that was given, so a slow reader slows the
    sender.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        received: bytes,
        size_bytes: int,
        idle_timeout_s: float,
        where: str,
    ) -> None:
        """``received``: the beginning of the ``size_bytes``, which came with the request's head."""
        self._transport = transport
        self._owner = transport.get_protocol()
        self._received = memoryview(received)
        self.moved_bytes = len(received)
        self._left_bytes = size_bytes - len(received)
        self._idle_timeout_s = idle_timeout_s
        self._where = where
        self._view = memoryview(b"")
        self._filled = 0
        self._full: asyncio.Future[None] | None = None
        self._lost = False
        transport.pause_reading()
        transport.set_protocol(self)

    def give_back(self) -> bool:
        """The connection belongs to its owner again. Whether the payload was read to its end."""
        self._transport.set_protocol(self._owner)
        self._transport.resume_reading()
        return not self._received and self._left_bytes == 0

    async def read_into(self, view: Buffer) -> int:
        """See ``PayloadSource.read_into``. Fills all of ``view`` but at the end of the payload."""
        if self._received:
            count = min(len(view), len(self._received))
            view[:count] = self._received[:count]
            self._received = self._received[count:]
            return count
        wanted_bytes = min(len(view), self._left_bytes)
        if wanted_bytes == 0:
            return 0
        self._view, self._filled = view[:wanted_bytes], 0
        self._full = asyncio.get_running_loop().create_future()
        if self._lost:
            self._full.set_result(None)
        else:
            self._transport.resume_reading()
        try:
            await self._until_full(self._full)
        finally:
            self._transport.pause_reading()
            self._full = None
            self._left_bytes -= self._filled
            self._view = memoryview(b"")  # it would keep the whole buffer in memory
        return wanted_bytes

    async def _until_full(self, full: asyncio.Future[None]) -> None:
        while True:
            before = self._filled
            await asyncio.wait([full], timeout=self._idle_timeout_s)
            if self._filled == len(self._view):
                return
            if full.done():
                raise PayloadInterrupted(
                    "the sender closed the connection", self._where, "Send the payload again."
                )
            if self._filled == before:
                raise PayloadInterrupted(
                    f"no byte arrived for {self._idle_timeout_s:g} s",
                    self._where,
                    "Send the payload again.",
                )

    # --- asyncio's side --------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> Buffer:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self.moved_bytes += nbytes
        if self._filled == len(self._view):
            self._transport.pause_reading()
            self._wake()

    def eof_received(self) -> bool:
        """Nothing more comes; the connection stays open for the answer."""
        self._lost = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()
        self._owner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        self._owner.resume_writing()

    def _wake(self) -> None:
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
