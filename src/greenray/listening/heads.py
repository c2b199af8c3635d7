"""How long the heads of requests may be, and how long they may take.

The HTTP library's parser bounds one line and how many there are; the sum of a head, all heads
together and their time are bounded here, in front of it. The parser decides where a head ends: it
is never given more bytes than a head may have until it has found that end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from greenray.listening.limits import ListenLimits

_HEAD_END = b"\r\n\r\n"
_NOTHING: Fed = ((), False, b"")

Messages = Any
"""A sequence of (head, body) of the HTTP library."""
Fed = tuple[Messages, bool, bytes]
"""Requests that were found, whether the connection speaks another protocol now, and the rest."""


class HeadTooLong(HttpProcessingError):
    code = 431


class HeadTooSlow(HttpProcessingError):
    code = 408


class HeadPutOff(HttpProcessingError):
    """Others need the memory."""

    code = 503


class HttpParser(Protocol):
    """What is used of the HTTP library's."""

    def feed_data(self, data: bytes) -> Fed: ...
    def feed_eof(self) -> Any: ...
    def message_consumed(self) -> None: ...
    def pause_reading(self) -> None: ...
    def set_upgraded(self, upgraded: bool) -> None: ...


class HeadsBudget:
    """Bytes of heads that have begun and not ended, of all connections."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: dict[BoundedParser, int] = {}
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    def hold(self, parser: BoundedParser, size_bytes: int) -> None:
        """``parser`` holds so many now. Beyond the budget the oldest is put off."""
        self._held_bytes += size_bytes - self._held.get(parser, 0)
        if size_bytes:
            self._held[parser] = size_bytes
        else:
            self._held.pop(parser, None)
        while self._held_bytes > self._max_bytes:
            oldest = next(iter(self._held))
            self.hold(oldest, 0)
            oldest.refuse(HeadPutOff(message="too many heads are under way"))


class BoundedParser:
    """Stands where the HTTP library's own parser would, for one connection."""

    def __init__(
        self,
        parser: HttpParser,
        limits: ListenLimits,
        budget: HeadsBudget,
        is_idle: Callable[[], bool],
        poke: Callable[[], None],
    ) -> None:
        """``is_idle``: whether no request is being answered; ``poke``: have ``feed_data`` called
        with no bytes."""
        self._parser = parser
        self._limits = limits
        self._budget = budget
        self._is_idle = is_idle
        self._poke = poke
        self._held_bytes = 0
        """Of a head that has not ended."""
        self._body: StreamReader | None = None
        """Of the last request."""
        self._fault: HttpProcessingError | None = None
        self._is_refused = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is a part of a request that has not come whole."""
        return bool(self._held_bytes) or self.is_in_body

    @property
    def is_in_head(self) -> bool:
        """Whether there is a part of one, and no body before it."""
        return bool(self._held_bytes) and not self.is_in_body

    @property
    def is_in_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def feed_data(self, data: bytes) -> Fed:
        """Raises HttpProcessingError, after which every byte is dropped."""
        if self._is_refused:
            return _NOTHING
        if self._fault is not None:
            raise self._refused(self._fault)
        try:
            return self._feed(data)
        except HttpProcessingError as fault:
            raise self._refused(fault) from None

    def refuse(self, fault: HttpProcessingError) -> None:
        """Have ``feed_data`` raise it."""
        self._fault = fault
        asyncio.get_running_loop().call_soon(self._poke)

    def close(self) -> None:
        """The connection is gone."""
        self._is_refused = True
        self._hold(0)

    def cut_off(self) -> None:
        """The sender has said its last word: a body that is not whole never will be."""
        if self._body is not None and self.is_in_body:
            self._body.set_exception(ConnectionResetError("the sender ended within the body"))

    # --- for the HTTP library --------------------------------------------------------------------

    def feed_eof(self) -> Any:
        return self._parser.feed_eof()

    def message_consumed(self) -> None:
        self._parser.message_consumed()

    def pause_reading(self) -> None:
        self._parser.pause_reading()

    def set_upgraded(self, upgraded: bool) -> None:
        self._parser.set_upgraded(upgraded)

    # --- counting --------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> Fed:
        if self.is_in_body:
            return self._feed_body(data)
        room_bytes = self._limits.max_head_bytes - self._held_bytes
        fed = self._feed_head(data[:room_bytes])
        if len(data) <= room_bytes:
            return fed
        if not fed[0]:
            raise HeadTooLong(message=f"the head has more than {self._limits.max_head_bytes} bytes")
        return self._with_more(fed[0], data[room_bytes:])

    def _with_more(self, messages: Messages, data: bytes) -> Fed:
        """``messages``, and what is in ``data`` behind them."""
        try:
            more, _, _ = self._feed(data)
        except HttpProcessingError as fault:
            self.refuse(fault)  # what came before is answered first
            more = ()
        return [*messages, *more], False, b""

    def _feed_head(self, data: bytes) -> Fed:
        messages, rest = self._parsed(data)
        if messages:
            self._found(messages, data[: len(data) - len(rest)])
        else:
            self._hold(self._held_bytes + len(data))
        return self._with_more(messages, rest) if rest else (messages, False, b"")

    def _parsed(self, data: bytes) -> tuple[Messages, bytes]:
        """What is found, and what is behind it when the last one asks for another protocol. None is
        spoken here (RFC 9110 §7.8, §9.3.6): that is HTTP as well."""
        messages, is_upgraded, rest = self._parser.feed_data(data)
        if is_upgraded:
            self._parser.set_upgraded(False)
        if not messages or messages[-1][0].path is not None:
            return messages, rest
        # The parser takes it, and what makes requests of its heads breaks.
        fault = BadHttpMessage("CONNECT has no target")
        if len(messages) == 1:
            raise fault
        self.refuse(fault)  # what came before is answered first
        return messages[:-1], b""

    def _feed_body(self, data: bytes) -> Fed:
        body = self._body
        assert body is not None
        received_bytes = body.total_bytes
        messages, rest = self._parsed(data)
        if messages:
            self._found(messages, data[: len(data) - len(rest)])
        elif body.is_eof() or body.total_bytes > received_bytes:
            self._hold(0)
        else:
            self._hold_trailers(body, len(data))
        return self._with_more(messages, rest) if rest else (messages, False, b"")

    def _hold_trailers(self, body: StreamReader, size_bytes: int) -> None:
        """Bytes of a body that are none of its payload; their time is the body's."""
        self._held_bytes += size_bytes
        self._budget.hold(self, self._held_bytes)
        if self._held_bytes > self._limits.max_head_bytes:
            fault = HeadTooLong(message="the trailers of the body are too long")
            body.set_exception(fault)
            raise fault

    def _found(self, messages: Messages, data: bytes) -> None:
        """``data`` ended at least one head; where the next begins behind a body is not looked
        for."""
        self._body = messages[-1][1]
        behind = 0
        if self._body is EMPTY_PAYLOAD and not data.endswith(_HEAD_END):
            behind = max(0, len(data) - data.rfind(_HEAD_END) - len(_HEAD_END))
        self._hold(behind)

    def _hold(self, size_bytes: int) -> None:
        if size_bytes == self._held_bytes == 0:
            return
        self._held_bytes = size_bytes
        if not size_bytes and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif size_bytes and self._deadline is None:
            self._start_deadline()
        self._budget.hold(self, size_bytes)

    def _start_deadline(self) -> None:
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._limits.head_timeout_s, self._late)

    def _late(self) -> None:
        if self._is_idle():
            self.refuse(HeadTooSlow(message="the head is not whole in time"))
        else:
            self._start_deadline()  # who reads an answer need not send the next head

    def _refused(self, fault: HttpProcessingError) -> HttpProcessingError:
        self.close()
        return fault
