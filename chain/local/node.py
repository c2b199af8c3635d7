"""The node: an application, its mempool, and a block every interval."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from greenray.chain.local.app import Application
from greenray.chain.local.mempool import Mempool, MempoolLimits
from greenray.chain.local.queries import QueryRouter
from greenray.chain.local.tx_result import TxResult


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A transaction in a block."""

    result: TxResult
    height: int


class Node:
    """``clock_ns`` gives the unix time in nanoseconds."""

    def __init__(
        self,
        app: Application,
        *,
        limits: MempoolLimits | None = None,
        broadcast_timeout_s: float = 10.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.app = app
        self.mempool = Mempool(app, limits or MempoolLimits())
        self.queries = QueryRouter(app)
        self.broadcast_timeout_s = broadcast_timeout_s
        self._clock_ns = clock_ns
        self._waiting: dict[bytes, asyncio.Future[Inclusion]] = {}

    def make_block(self) -> list[TxResult]:
        """Commit one block with what the mempool holds; wake who waits for inclusion."""
        transactions = self.mempool.take()
        results = self.app.make_block(transactions, self._clock_ns())
        self.mempool.commit(transactions, results)
        height = self.app.head.height
        for tx_bytes, result in zip(transactions, results, strict=True):
            waiting = self._waiting.pop(hashlib.sha256(tx_bytes).digest(), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(Inclusion(result, height))
        return results

    async def run(self, block_interval_s: float) -> None:
        """Make blocks until cancelled, empty ones too."""
        loop = asyncio.get_running_loop()
        next_at = loop.time() + block_interval_s
        while True:
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            next_at = max(next_at + block_interval_s, loop.time())
            self.make_block()

    async def wait_for_inclusion(self, tx_bytes: bytes) -> Inclusion | None:
        """The transaction's block, or None when ``broadcast_timeout_s`` passed first."""
        tx_hash = hashlib.sha256(tx_bytes).digest()
        waiting = self._waiting.setdefault(tx_hash, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), self.broadcast_timeout_s)
        except TimeoutError:
            self._waiting.pop(tx_hash, None)
            return None
