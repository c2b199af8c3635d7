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
        **options: Any,
    ) -> None:
        """``options``: of the HTTP library's server."""
        super().__init__(answer, request_factory=self._request)
        self._options = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": limits.keepalive_timeout_s,
            "max_line_size": limits.max_request_line_bytes,
            "max_field_size": limits.max_head_bytes,
            **options,
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
        assert self._parser is not None
        self._bounded = BoundedParser(
            self._parser, server.limits, server.heads, self._is_idle, self._poke
        )
        self._parser = self._bounded  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connection.opened(transport, self._server.limits.keepalive_timeout_s)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection.closed()
        self._bounded.close()
        self._gone.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._connection.spoke()
        super().data_received(data)

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
