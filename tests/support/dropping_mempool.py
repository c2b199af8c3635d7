"""A node that loses transactions: it says that it has taken them, and no block ever has them."""

from __future__ import annotations

import hashlib

from greenray.chain.local.mempool import Mempool, MempoolLimits
from greenray.chain.local.node import Node
from greenray.chain.local.tx_result import TxResult


class DroppingMempool(Mempool):
    """Loses every ``every``-th transaction that it accepts."""

    def __init__(self, node: Node, every: int) -> None:
        super().__init__(node.app, MempoolLimits())
        self._every = every
        self._accepted = 0
        self.dropped = 0

    def submit(self, tx_bytes: bytes) -> TxResult:
        result = super().submit(tx_bytes)
        if result.code == 0:
            self._accepted += 1
            if self._accepted % self._every == 0:
                self._drop(hashlib.sha256(tx_bytes).digest())
                self._known.pop(hashlib.sha256(tx_bytes).digest(), None)
                self.dropped += 1
        return result
