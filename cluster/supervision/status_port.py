"""Where a running network tells how it is: who connects is sent one line of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from greenray.client.network_health import NetworkHealth

log = logging.getLogger(__name__)


class StatusPort:
    """A port of 127.0.0.1; nothing is read from it. ``health`` asks the network's processes."""

    def __init__(self, health: Callable[[], Awaitable[NetworkHealth]]) -> None:
        self._health = health
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)

    @property
    def number(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            health = await self._health()
            writer.write(json.dumps(health.to_json()).encode() + b"\n")
            await writer.drain()
        except ConnectionError as error:  # who asked has gone
            log.debug("nobody took the answer: %s", error)
        finally:
            writer.close()
