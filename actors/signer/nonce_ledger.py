"""One signer address: its living transactions in the journal, and where the chain is.

The ledger asks and remembers; what the answers mean is decided in ``greenray.protocol.nonce_plan``.
It is used by the one worker that sends for the address and by the watcher, in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from greenray.chain.ports import Account, ChainClient, TransactionResult
from greenray.protocol.nonce_plan import (
    ChainView,
    Fate,
    free_nonces,
    needs_look_up,
    transaction_fate,
)
from greenray.storage.ports import JobStore, TransactionRow, TransactionState

log = logging.getLogger(__name__)

_STATE_OF_FATE = {
    Fate.FAILED: TransactionState.FAILED,
    Fate.DEAD: TransactionState.DEAD,
}


@dataclass(frozen=True, slots=True)
class Settled:
    """What a look at the chain said about one transaction; ``result`` when it is in a block."""

    fate: Fate
    result: TransactionResult | None


class NonceLedger:
    def __init__(
        self, address: str, chain: ChainClient, store: JobStore, settle_blocks: int
    ) -> None:
        self.address = address
        self._chain = chain
        self._store = store
        self._settle_blocks = settle_blocks
        self._held: dict[int, TransactionRow] = {}
        self._consumed_since_height: dict[str, int] = {}
        self._account: Account | None = None
        self._height = 0

    @property
    def account_number(self) -> int:
        """Known after ``look``."""
        assert self._account is not None
        return self._account.account_number

    @property
    def view(self) -> ChainView:
        """What the last ``look`` saw."""
        assert self._account is not None
        return ChainView(self._account.sequence, self._height)

    def unconsumed(self) -> tuple[TransactionRow, ...]:
        """Living transactions whose nonce no block has used yet, in nonce order."""
        sequence = self.view.sequence
        return tuple(row for nonce, row in sorted(self._held.items()) if nonce >= sequence)

    def plan(self, count: int, expected: int | None = None) -> tuple[int, ...]:
        """Nonces for ``count`` new transactions, ascending."""
        return free_nonces(
            sequence=self.view.sequence, held=self._held.keys(), count=count, expected=expected
        )

    def hold(self, row: TransactionRow) -> None:
        """The journal has reserved this row."""
        self._held[row.nonce] = row

    async def declare_dead(self, row: TransactionRow) -> None:
        """The row was never accepted by any node: its nonce is free again."""
        await self._end(row, TransactionState.DEAD)

    async def declare_committed(self, row: TransactionRow) -> None:
        """The row is in a block with code 0, whatever ``look`` has seen."""
        # First: a ``reload`` would take back the nonce of a row that it finds written down already.
        self._sequence_is_at_least(row.nonce + 1)
        await self._end(row, TransactionState.COMMITTED)

    async def look(self) -> ChainView:
        """Ask the chain where it is. A node that lags behind an earlier answer is not believed.

        Raises: ChainUnavailable, NoSuchAccount (the address never received coins).
        """
        # In this order: the height must not be older than the sequence.
        account, height = await asyncio.gather(
            self._chain.account(self.address), self._chain.latest_height()
        )
        self._height = max(self._height, height)
        if self._account is None or account.sequence >= self._account.sequence:
            self._account = account
        return self.view

    async def reload(self) -> ChainView:
        """Read journal and chain anew, and settle what has ended."""
        view = await self.look()
        lost = await self._store.return_nonces(self.address, view.sequence)
        if lost:
            log.warning(
                "%d transactions of %s are in no block any more: the chain went back",
                lost,
                self.address,
            )
        rows = await self._store.list_reserved(self.address)
        self._held = {row.nonce: row for row in rows}
        await asyncio.gather(*(self.settle(row) for row in rows))
        return view

    def may_have_ended(self, row: TransactionRow) -> bool:
        """As of the last ``look``: its nonce is used, or its timeout height has come."""
        return needs_look_up(nonce=row.nonce, timeout_height=row.timeout_height, view=self.view)

    async def settle(self, row: TransactionRow) -> Settled:
        """What has become of the transaction as of the last ``look``; an end is written down."""
        view = self.view
        if not self.may_have_ended(row):
            return Settled(Fate.IN_FLIGHT, None)
        if view.sequence > row.nonce:
            self._consumed_since_height.setdefault(row.tx_hash, view.height)
        result = await self._chain.transaction(row.tx_hash)
        fate = transaction_fate(
            nonce=row.nonce,
            timeout_height=row.timeout_height,
            code=None if result is None else result.code,
            view=view,
            consumed_since_height=self._consumed_since_height.get(row.tx_hash),
            settle_blocks=self._settle_blocks,
        )
        if fate is Fate.COMMITTED:
            await self.declare_committed(row)
        elif fate is not Fate.IN_FLIGHT:
            await self._end(row, _STATE_OF_FATE[fate])
        return Settled(fate, result)

    def _sequence_is_at_least(self, sequence: int) -> None:
        account = self._account
        if account is not None and account.sequence < sequence:
            self._account = replace(account, sequence=sequence)

    async def _end(self, row: TransactionRow, state: TransactionState) -> None:
        await self._store.mark_transaction(row.tx_hash, state)
        self._consumed_since_height.pop(row.tx_hash, None)
        held = self._held.get(row.nonce)
        if held is not None and held.tx_hash == row.tx_hash:
            del self._held[row.nonce]
