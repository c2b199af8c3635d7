"""Waits for objects to become SEALED: one poller serves all jobs of all seal addresses.

Per poll it asks for the height; only when that has grown, for each address' committed sequence; and
only transactions whose nonce is consumed (or whose timeout height has come) are looked up. So a
seal costs one or two requests however long it waits in the mempool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from greenray.actors.ports import SealOrder, SealOutcome
from greenray.actors.signer.seal_queue import SealQueue
from greenray.actors.signer.settings import WatchSettings
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import (
    AnotherObject,
    ChainError,
    ComponentUnavailable,
    GreenrayError,
    InsufficientFunds,
    SealTimeout,
    TransactionFailed,
    TransactionLost,
)
from greenray.protocol.nonce_plan import ChainView, Fate
from greenray.protocol.objects import ObjectStatus
from greenray.storage.ports import JobStore, TransactionRow, TransactionState


@dataclass(slots=True, eq=False)
class _Watch:
    order: SealOrder
    row: TransactionRow
    queue: SealQueue
    checked_height: int
    done: asyncio.Future[SealOutcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class _Progress:
    """Since which height an address' committed sequence stands still."""

    sequence: int
    since_height: int


class SealWatcher:
    def __init__(
        self,
        chain: ChainClient,
        store: JobStore,
        settings: WatchSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._chain = chain
        self._store = store
        self._settings = settings
        self._sleep = sleep
        self._watches: set[_Watch] = set()
        self._seals: set[str] = set()
        self._progress: dict[str, _Progress] = {}
        self._poller: asyncio.Task[None] | None = None
        self._height = 0
        self._trouble: GreenrayError | None = None

    def made(self, tx_hash: str) -> None:
        """This process has made the seal: when it is in a block its object is sealed, and need not
        be looked at."""
        self._seals.add(tx_hash)

    async def watch(
        self, order: SealOrder, row: TransactionRow, queue: SealQueue, timeout_s: float
    ) -> SealOutcome:
        """Return when the object is sealed by ``row`` or by anything else.

        Raises: SealTimeout, TransactionFailed, TransactionLost, NoSuchObject, InsufficientFunds,
        StoreError.
        """
        watch = _Watch(order, row, queue, self._height)
        self._watches.add(watch)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(timeout_s):
                return await watch.done
        except TimeoutError:
            trouble = f"; last trouble: {self._trouble}" if self._trouble else ""
            raise SealTimeout(
                f"transaction {row.tx_hash} (nonce {row.nonce}) is in no block after "
                f"{timeout_s:g} s, at height {self._height}{trouble}",
                order.object_info.name,
                f"It stays valid until height {row.timeout_height} and is watched again",
            ) from None
        finally:
            self._watches.discard(watch)

    async def ended(self, order: SealOrder, rows: Sequence[TransactionRow]) -> SealOutcome:
        """The outcome of a job whose transactions ``rows`` (oldest first) have all ended.

        Raises: TransactionFailed, TransactionLost, NoSuchObject, ChainError.
        """
        sealed = await self.sealed_outcome(order, rows)
        if sealed is not None:
            return sealed
        where = order.object_info.name
        if rows and rows[-1].state is TransactionState.FAILED:
            result = await self._chain.transaction(rows[-1].tx_hash)
            if result is not None:
                raise TransactionFailed(
                    f"the seal transaction {result.tx_hash} failed in block {result.height} "
                    f"({result.codespace}/{result.code}: {result.log})",
                    where,
                    "It is tried again",
                    result.codespace,
                    result.code,
                )
        raise TransactionLost(
            "its seal transaction is in no block and never will be", where, "It is made again"
        )

    async def sealed_outcome(
        self, order: SealOrder, rows: Iterable[TransactionRow]
    ) -> SealOutcome | None:
        """How the object got sealed, None while it is not; no hash when another's transaction did
        it. Raises: NoSuchObject (cancelled or rejected), ChainError."""
        wanted = order.object_info
        found = await self._chain.head_object(wanted.bucket_name, wanted.object_name)
        if found.identity != wanted.identity:
            raise AnotherObject(
                f"{wanted.identity} is gone, the name belongs to {found.identity} now", wanted.name
            )
        if found.object_status is not ObjectStatus.OBJECT_STATUS_SEALED:
            return None
        for row in rows:
            if row.state in (TransactionState.COMMITTED, TransactionState.RESERVED):
                result = await self._chain.transaction(row.tx_hash)
                if result is not None and result.code == 0:
                    return SealOutcome(result.tx_hash, result.height)
        return SealOutcome(None, None)

    async def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    # --- polling -------------------------------------------------------------------------------

    async def _poll(self) -> None:
        looked_at_height = -1
        try:
            while self._watches:
                try:
                    self._height = await self._chain.latest_height()
                    if self._height != looked_at_height:
                        await self._look()
                        looked_at_height = self._height
                        self._trouble = None
                except ChainError as error:
                    # The watches go on; who runs out of time is told about it.
                    self._trouble = error
                except Exception as error:
                    self._fail_all(error)
                await self._sleep(self._settings.poll_interval_s)
            self._progress.clear()
        finally:
            # Only a cancelled poller leaves anyone waiting here.
            self._fail_all(ComponentUnavailable("the seal watcher was stopped"))

    def _fail_all(self, error: Exception) -> None:
        for watch in self._watches:
            watch.fail(error)

    async def _look(self) -> None:
        by_queue: dict[SealQueue, list[_Watch]] = {}
        for watch in self._watches:
            by_queue.setdefault(watch.queue, []).append(watch)
        for queue, watches in by_queue.items():
            view = await queue.ledger.look()
            due = [watch for watch in watches if self._is_due(watch, view)]
            limit = asyncio.Semaphore(self._settings.parallel_looks)
            await asyncio.gather(*(self._examine(watch, view, limit) for watch in due))
            if queue.stale or self._stands_still(queue, view):
                await self._send_again(queue, watches)

    def _is_due(self, watch: _Watch, view: ChainView) -> bool:
        """Whether there is anything to ask about it."""
        return (
            watch.queue.ledger.may_have_ended(watch.row)
            or view.height - watch.checked_height >= self._settings.object_check_blocks
        )

    async def _examine(self, watch: _Watch, view: ChainView, limit: asyncio.Semaphore) -> None:
        async with limit:
            try:
                outcome = await self._outcome(watch, view)
            except (TransactionLost, TransactionFailed) as error:
                watch.fail(error)
            except ChainError:
                raise
            except Exception as error:
                watch.fail(error)
            else:
                if outcome is not None and not watch.done.done():
                    watch.done.set_result(outcome)
            if watch.done.done():
                self._seals.discard(watch.row.tx_hash)

    async def _outcome(self, watch: _Watch, view: ChainView) -> SealOutcome | None:
        """None while nothing is decided. A committed seal is final: it needs no second look."""
        settled = await watch.queue.ledger.settle(watch.row)
        if settled.fate is Fate.COMMITTED and settled.result is not None:
            if watch.row.tx_hash not in self._seals:
                # Found in the journal: it may be a rejection whose answer was lost, or have been
                # made on a chain that was put back since.
                await self.sealed_outcome(watch.order, ())
            return SealOutcome(settled.result.tx_hash, settled.result.height)
        if settled.fate is not Fate.IN_FLIGHT:
            rows = await self._rows(watch.order)
            return await self.ended(watch.order, rows)
        if view.height - watch.checked_height >= self._settings.object_check_blocks:
            watch.checked_height = view.height
            outcome = await self.sealed_outcome(watch.order, await self._rows(watch.order))
            if outcome is not None and outcome.tx_hash == watch.row.tx_hash:
                # Its block came after the look, or the node is behind it: nobody looks again.
                await watch.queue.ledger.declare_committed(watch.row)
            return outcome
        return None

    async def _rows(self, order: SealOrder) -> tuple[TransactionRow, ...]:
        return await self._store.get_transactions(order.sp_address, order.job_id)

    def _stands_still(self, queue: SealQueue, view: ChainView) -> bool:
        progress = self._progress.get(queue.ledger.address)
        if progress is None or progress.sequence != view.sequence:
            self._progress[queue.ledger.address] = _Progress(view.sequence, view.height)
            return False
        if view.height - progress.since_height < self._settings.resend_after_blocks:
            return False
        progress.since_height = view.height
        return bool(queue.ledger.unconsumed())

    async def _send_again(self, queue: SealQueue, watches: Iterable[_Watch]) -> None:
        try:
            await queue.sync()
        except InsufficientFunds as error:
            for watch in watches:
                watch.fail(error)
