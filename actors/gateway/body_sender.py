"""Sending a body at the pace of who reads it, keeping nothing of it."""

from __future__ import annotations

import asyncio
import os

from aiohttp import web

from greenray.actors.credit.places import Pace, PeerTurns
from greenray.actors.downloader.held_segment import SLICE_BYTES, HeldSegment
from greenray.actors.settings import MIB
from greenray.storage.ports import Buffer

_WRITE_BYTES = 1 * MIB


class BodySender:
    """The body of one response, whose head is written.

    As long as the socket takes what it is given, it is given it straight from memory. Where it does
    not, the connection waits with a copy of one small slice: the memory may be taken back
    meanwhile.
    """

    def __init__(
        self, raw: web.BaseRequest, response: web.StreamResponse, idle_timeout_s: float
    ) -> None:
        """``idle_timeout_s``: how long one slice may take."""
        self._raw = raw
        self._response = response
        self._idle_timeout_s = idle_timeout_s
        self._is_begun = False
        self.sent_bytes = 0
        self._turns = PeerTurns()
        if raw.transport is not None:
            # Drain means sent.
            raw.transport.set_write_buffer_limits(high=0)

    def pace(self) -> Pace:
        return Pace(self.sent_bytes, self._turns.waited_s)

    async def send(self, segment: HeldSegment) -> None:
        """Raises TimeoutError, ConnectionError, and what ``segment`` raises."""
        before_bytes = self.sent_bytes
        segment.begin_sending(lambda: self.sent_bytes - before_bytes, self._cut_off)
        position = segment.start
        while position < segment.end:
            size_bytes = await self._send_some(segment, position)
            self.sent_bytes += size_bytes
            position += size_bytes

    def _cut_off(self) -> None:
        """Reset the connection: the missing bytes must not look like the end of the object."""
        if self._raw.transport is not None:
            self._raw.transport.abort()

    async def _send_some(self, segment: HeldSegment, position: int) -> int:
        memory = segment.memory(position, min(segment.end, position + _WRITE_BYTES))
        if memory is None:
            data = await segment.slice_at(position)
        elif size_bytes := self._write_now(memory):
            await asyncio.sleep(0)  # a fast reader is not served alone
            return size_bytes
        else:
            data = memoryview(bytes(memory[:SLICE_BYTES]))
        del memory
        async with asyncio.timeout(self._idle_timeout_s):
            with self._turns.turn():
                await self._response.write(data)
                await self._raw.writer.drain()
        self._is_begun = True
        return len(data)

    def _write_now(self, memory: Buffer) -> int:
        """What the socket takes at once; nothing before the HTTP library has written its head."""
        transport = self._raw.transport
        if not self._is_begun or transport is None or transport.is_closing():
            return 0
        connection = transport.get_extra_info("socket")
        if not isinstance(transport, asyncio.Transport) or connection is None:
            return 0
        if transport.get_write_buffer_size() or transport.get_extra_info("sslcontext"):
            return 0
        try:
            return os.write(connection.fileno(), memory)
        except BlockingIOError:
            return 0
