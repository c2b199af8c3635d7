"""The connections of a Gateway: how many there are, and which never say a word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler


class SilentConnections:
    """Closes connections on which no request has begun for ``timeout_s``; afterwards the HTTP
    library watches over them."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._ends: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self.open_connections = 0

    def opened(self, transport: asyncio.Transport) -> None:
        self.open_connections += 1
        loop = asyncio.get_running_loop()
        self._ends[transport] = loop.call_later(self._timeout_s, transport.abort)

    def spoke(self, transport: asyncio.BaseTransport | None) -> None:
        if transport is not None and transport in self._ends:
            self._ends.pop(transport).cancel()

    def closed(self, transport: asyncio.BaseTransport | None) -> None:
        self.open_connections -= 1
        self.spoke(transport)


class WatchedServer(web.Server):
    """Tells ``connections`` of each of its own."""

    def __init__(
        self,
        connections: SilentConnections,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        **options: Any,
    ) -> None:
        super().__init__(answer, **options)
        self._watch = connections
        self._transports: dict[RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        self._watch.opened(transport)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._watch.closed(self._transports.pop(handler, None))
