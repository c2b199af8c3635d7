"""The storage providers of the chain, cached: they change rarely and everyone asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from greenray.chain.ports import ChainClient
from greenray.protocol.errors import ChainUnavailable, UnknownStorageProvider
from greenray.protocol.objects import StorageProvider


class ProviderBook:
    """Refreshes after ``ttl_s``, and at once (but not more than every ``miss_s``) on a miss. A
    provider that leaves service, or has another key, is so for everybody a few seconds later; while
    the chain does not answer, what was read at most ``stale_s`` ago goes on to count."""

    def __init__(
        self,
        chain: ChainClient,
        clock: Callable[[], float],
        ttl_s: float = 5.0,
        miss_s: float = 2.0,
        stale_s: float = 300.0,
    ) -> None:
        self._chain = chain
        self._clock = clock
        self._ttl_s = ttl_s
        self._miss_s = miss_s
        self._stale_s = stale_s
        self._by_operator: dict[str, StorageProvider] = {}
        self._read_at = float("-inf")
        self._asked_in_vain_at = float("-inf")
        self._reading = asyncio.Lock()

    async def all(self) -> tuple[StorageProvider, ...]:
        """In the chain's order (by operator address)."""
        await self._refresh_if_older_than(self._ttl_s)
        return tuple(self._by_operator.values())

    def forget(self) -> None:
        """What is known has turned out to be old."""
        self._read_at = self._asked_in_vain_at = float("-inf")

    async def find(self, operator_address: str) -> StorageProvider | None:
        await self._refresh_if_older_than(self._ttl_s)
        if operator_address not in self._by_operator:
            await self._refresh_if_older_than(self._miss_s)
        return self._by_operator.get(operator_address)

    async def get(self, operator_address: str) -> StorageProvider:
        """Raises UnknownStorageProvider."""
        provider = await self.find(operator_address)
        if provider is None:
            raise UnknownStorageProvider("is not a storage provider on chain", operator_address)
        return provider

    async def _refresh_if_older_than(self, age_s: float) -> None:
        # One caller asks, the others wait for its answer: hundreds may come at the same time.
        async with self._reading:
            now = self._clock()
            if now - self._read_at < age_s or now - self._asked_in_vain_at < self._miss_s:
                return
            try:
                providers = await self._chain.storage_providers()
            except ChainUnavailable:
                if now - self._read_at >= self._stale_s:
                    raise
                self._asked_in_vain_at = now
            else:
                self._by_operator = {p.operator_address: p for p in providers}
                self._read_at = now
