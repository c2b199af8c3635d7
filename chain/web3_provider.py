"""web3's HTTP provider on one session of its own.

web3 takes its session from a cache behind a thread lock. A request that is cancelled while it waits
for that lock never gives it back, and all later requests hang; and each request pays for a hop to
a thread. One session per provider needs neither cache nor lock.

Importing web3 takes a second: import this module where a node is first asked.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from chain.lazy_imports import kept_recursion_limit

with kept_recursion_limit():
    from web3 import AsyncHTTPProvider

CONNECTIONS = 64


class OneSessionProvider(AsyncHTTPProvider):
    """Keeps connections alive; made and used in one event loop."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        super().__init__(endpoint, exception_retry_configuration=None)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers=self.get_request_headers(),
            raise_for_status=True,
        )

    async def _make_request(self, method: Any, request_data: bytes) -> bytes:
        async with self._session.post(str(self.endpoint_uri), data=request_data) as response:
            return await response.read()

    async def disconnect(self) -> None:
        await self._session.close()
