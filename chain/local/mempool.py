"""Transactions that wait for a block, with CometBFT's limits and cache (protocol 04 §7.5)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from greenray.chain.local.app import Application
from greenray.chain.local.tx_result import TxResult

MAX_BLOCK_BYTES = 22_020_096


class MempoolRefusal(Exception):
    """The node does not even check the transaction; the text goes into ``data`` of the error."""


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """``size``: transactions; ``cache_size``: remembered hashes."""

    size: int = 5000
    max_txs_bytes: int = 1_073_741_824
    max_tx_bytes: int = 1_048_576
    cache_size: int = 10_000


class Mempool:
    """First in, first out; a transaction is known until CheckTx or its block refuses it."""

    def __init__(self, app: Application, limits: MempoolLimits) -> None:
        self._app = app
        self._limits = limits
        self._queue: OrderedDict[bytes, bytes] = OrderedDict()
        self._queued_bytes = 0
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def total_bytes(self) -> int:
        return self._queued_bytes

    def transactions(self) -> list[bytes]:
        """In queue order."""
        return list(self._queue.values())

    def submit(self, tx_bytes: bytes) -> TxResult:
        """CheckTx, and queue what it accepts.

        Raises:
            MempoolRefusal: full, too large, or already known.
        """
        limits = self._limits
        if (
            len(self._queue) >= limits.size
            or self._queued_bytes + len(tx_bytes) > limits.max_txs_bytes
        ):
            raise MempoolRefusal(
                f"mempool is full: number of txs {len(self._queue)} (max: {limits.size}),"
                f" total txs bytes {self._queued_bytes} (max: {limits.max_txs_bytes})"
            )
        if len(tx_bytes) > limits.max_tx_bytes:
            raise MempoolRefusal(
                f"Tx too large. Max size is {limits.max_tx_bytes}, but got {len(tx_bytes)}"
            )
        tx_hash = hashlib.sha256(tx_bytes).digest()
        known = tx_hash in self._known
        # Also what is refused takes a place of the cache, and what comes again is young again.
        self._remember(tx_hash)
        if known:
            raise MempoolRefusal("tx already exists in cache")
        result = self._app.check_tx(tx_bytes)
        if result.code == 0:
            self._queue[tx_hash] = tx_bytes
            self._queued_bytes += len(tx_bytes)
        else:
            self._known.pop(tx_hash, None)
        return result

    def take(self) -> list[bytes]:
        """What fits into the next block; it stays queued until ``commit``."""
        taken, size_bytes = [], 0
        for tx_bytes in self._queue.values():
            size_bytes += len(tx_bytes)
            if size_bytes > MAX_BLOCK_BYTES:
                break
            taken.append(tx_bytes)
        return taken

    def commit(self, transactions: Sequence[bytes], results: Sequence[TxResult]) -> None:
        """Drop what is in a block, and check what is left again in the new check state."""
        for tx_bytes, result in zip(transactions, results, strict=True):
            tx_hash = hashlib.sha256(tx_bytes).digest()
            self._drop(tx_hash)
            if result.code == 0:
                self._remember(tx_hash)
            else:
                self._known.pop(tx_hash, None)
        self._app.reset_check_state()
        for tx_hash, tx_bytes in list(self._queue.items()):
            if self._app.check_tx(tx_bytes).code != 0:
                self._drop(tx_hash)
                self._known.pop(tx_hash, None)

    def _drop(self, tx_hash: bytes) -> None:
        tx_bytes = self._queue.pop(tx_hash, b"")
        self._queued_bytes -= len(tx_bytes)

    def _remember(self, tx_hash: bytes) -> None:
        self._known[tx_hash] = None
        self._known.move_to_end(tx_hash)
        while len(self._known) > self._limits.cache_size:
            self._known.popitem(last=False)
