"""web3's HTTP provider on one session of its own.

web3 takes its session from a cache behind a thread lock. A request that is cancelled while it waits
for that lock never gives it back, and all later requests hang; and each request pays for a hop to
a thread. One session per provider needs neither cache nor lock.

Importing web3 takes a second: import this module where a node is first asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from greenray.chain.lazy_imports import kept_recursion_limit

with kept_recursion_limit():
    from web3 import AsyncHTTPProvider
    from web3.types import RPCEndpoint

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

    async def make_batch(
        self, requests: Sequence[tuple[str, dict[str, Any] | list[Any]]]
    ) -> list[Any]:
        """One JSON-RPC array of two or more; the answers in the order of the requests, None for
        one that the node did not answer."""
        numbered = [self.form_request(RPCEndpoint(name), params) for name, params in requests]
        body = json.dumps(numbered, separators=(",", ":")).encode()
        answers = json.loads(await self._make_request("batch", body))
        if not isinstance(answers, list):
            # A node that takes no arrays, or not so long ones.
            return [answers for _ in numbered]
        by_id = {answer["id"]: answer for answer in answers if _has_id(answer)}
        return [by_id.get(request["id"]) for request in numbered]

    async def disconnect(self) -> None:
        await self._session.close()


def _has_id(answer: Any) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("id"), int)
