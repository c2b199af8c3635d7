"""One URL, and behind it the node that a test wants there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


class MovableEndpoint:
    def __init__(self) -> None:
        self.url = ""
        self._target = ""
        self.requests = 0
        """Since the last move."""
        self._asked = asyncio.Condition()
        self._session = aiohttp.ClientSession()

    def move_to(self, endpoint: str) -> None:
        """From now on that node answers; the count of requests starts anew."""
        self._target = endpoint
        self.requests = 0

    async def asked(self, count: int) -> None:
        """Return when the node has been asked that often."""
        async with self._asked:
            await self._asked.wait_for(lambda: self.requests >= count)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        async with self._asked:
            self.requests += 1
            self._asked.notify_all()
        try:
            async with self._session.post(self._target, data=await request.read()) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return web.Response(status=502)
        return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[MovableEndpoint]:
        endpoint = cls()
        runner = web.ServerRunner(web.Server(endpoint._handle), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield endpoint
        finally:
            await runner.cleanup()
            await endpoint._session.close()
