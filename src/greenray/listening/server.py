"""An HTTP server that bounds what it takes before a request is looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from greenray.listening.connections import Connection, Connections
from greenray.listening.heads import BoundedParser, HeadsBudget
from greenray.listening.limits import ListenLimits

SERVER_NAME = "greenray"
"""Without a version: whoever looks for one may ask its owner."""
_UNASKED_BYTES = 16 * 1024
"""Of a body that nobody reads: beyond twice as much, nothing more is taken from the connection."""
_READ_BYTES = 64 * 1024
_READ_BODY_BYTES = 256 * 1024
"""What asyncio takes from a connection at once, until a body is read and from then on."""
_LINGER_S = 1.0
"""So long a refused client may go on sending before the connection is closed under the answer."""

_FAULTS_OF_CLIENTS = (ConnectionError, HttpProcessingError, web.RequestPayloadError)

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Refuse = Callable[[BaseException], web.Response]
"""The answer to what is no request."""
Dress = Callable[[web.BaseRequest, web.StreamResponse], None]
"""Adds headers to every answer."""

log = logging.getLogger(__name__)


class BoundedServer(web.Server):
    """Makes the protocol of each connection."""

    def __init__(
        self,
        limits: ListenLimits,
        connections: Connections,
        answer: Answer,
        refuse: Refuse,
        dress: Dress,
    ) -> None:
        super().__init__(answer, request_factory=self._request)
        self._options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": limits.keepalive_timeout_s,
            "max_line_size": limits.max_request_line_bytes,
            "max_field_size": limits.max_head_bytes,
            "read_bufsize": _UNASKED_BYTES,
        }
        self.limits = limits
        self.shared_connections = connections
        self.heads = HeadsBudget(limits.heads_budget_bytes)
        self.refuse = refuse
        self.dress = dress

    def protocol(self, connection: Connection) -> BoundedHandler:
        return BoundedHandler(self, connection, loop=self._loop, **self._options)

    def _request(
        self, message: Any, body: Any, handler: Any, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        return DressedRequest(message, body, handler, writer, task, self._loop)


def read_ahead(request: web.BaseRequest, size_bytes: int) -> None:
    """The body of ``request`` is read from now on: so much of it may wait for that."""
    if request.can_read_body:
        request.content.set_read_chunk_size(size_bytes)
        _read_at_once(request.transport, _READ_BODY_BYTES)


def _read_at_once(transport: asyncio.BaseTransport | None, size_bytes: int) -> None:
    """asyncio has no method for it; without this attribute a read would have 256 KiB."""
    if transport is not None and hasattr(transport, "max_size"):
        transport.max_size = size_bytes


class DressedRequest(web.BaseRequest):
    """Its answer gets the headers that all answers have."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers["Server"] = SERVER_NAME
        response.headers["X-Content-Type-Options"] = "nosniff"
        handler = self.protocol
        if isinstance(handler, BoundedHandler):
            handler.dress(self, response)


class BoundedHandler(RequestHandler):
    """The HTTP library's protocol of one connection, with bounds in front of its parser."""

    def __init__(self, server: BoundedServer, connection: Connection, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._connection = connection
        self._is_half_closed = False
        self._gone = asyncio.Event()
        self._answered_count = 0
        self._unread: asyncio.TimerHandle | None = None
        """While an answer waits for who asked."""
        assert self._parser is not None
        self._bounded = BoundedParser(
            self._parser, server.limits, server.heads, self._is_idle, self._poke
        )
        self._parser = self._bounded  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connection.opened(transport, self._server.limits.keepalive_timeout_s)
        _read_at_once(transport, _READ_BYTES)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection.closed()
        self._bounded.close()
        self._gone.set()
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._connection.spoke()
        super().data_received(data)
        if self._bounded.is_in_head and self._answered_count == self._request_count:
            self._connection.waited_for()
        elif not self._unread:
            self._connection.goes_on()
        self._rest_if_done()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connection.waited_for()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        self._connection.goes_on()
        self._stop_waiting()
        super().resume_writing()

    def _wait_for_reader(self, left_bytes: int = -1) -> None:
        """``left_bytes``: what was not taken when this was asked last; if nothing was since then,
        the connection ends."""
        transport = self._connection.transport
        assert transport is not None
        now_bytes = transport.get_write_buffer_size()
        if now_bytes == left_bytes:
            transport.abort()
            return
        self._unread = asyncio.get_running_loop().call_later(
            self._server.limits.answer_timeout_s, self._wait_for_reader, now_bytes
        )

    def _stop_waiting(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _rest_if_done(self) -> None:
        """Nothing is asked, and nothing is left of a body that nobody wanted."""
        if self._answered_count == self._request_count and not self._bounded.has_begun:
            self._connection.rests()

    async def finish_response(self, *args: Any, **kwargs: Any) -> tuple[web.StreamResponse, bool]:
        finished = await super().finish_response(*args, **kwargs)
        _read_at_once(self.transport, _READ_BYTES)
        self._answered_count += 1
        self._rest_if_done()
        return finished

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more; it still reads what it asked for (RFC 9112 §9.6)."""
        self._gone.set()
        if self._is_idle() or not self._request_count:
            return False
        self._is_half_closed = True
        self._bounded.cut_off()
        if not self._messages:
            self.close()  # after the answer that is under way
        return True

    def dress(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if self._is_half_closed and not self._messages:
            response.force_close()
            response.headers["Connection"] = "close"
        self._server.dress(request, response)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Nothing is logged of what clients send."""
        if exc is None or not isinstance(exc, _FAULTS_OF_CLIENTS):
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is sent already")
        answer = _LastWord(self._server.refuse(exc), self._linger)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """The library says what breaks while it drops a body that nobody wanted."""
        if not isinstance(kwargs.get("exc_info"), _FAULTS_OF_CLIENTS):
            super().log_exception(*args, **kwargs)

    async def _linger(self) -> None:
        """Bytes that are not read when a connection is closed would take the answer with them."""
        if self.transport is not None:
            with suppress(OSError, NotImplementedError):
                self.transport.write_eof()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), _LINGER_S)

    async def start(self) -> None:
        """Answer one request after the other. The library leaves a connection open for ever when
        this breaks."""
        try:
            await super().start()
        except Exception:
            log.exception("a connection is given up")
            if self.transport is not None:
                self.transport.abort()

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _poke(self) -> None:
        if self.transport is not None:
            self.data_received(b"")


class _LastWord(web.Response):
    """The answer that a connection ends with."""

    def __init__(self, answer: web.Response, linger: Callable[[], Awaitable[None]]) -> None:
        super().__init__(status=answer.status, body=answer.body, headers=answer.headers)
        self._linger = linger
        # The library takes a request that it could not read for one of HTTP/1.0, where this goes
        # without saying.
        self.headers["Connection"] = "close"

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        await self._linger()
