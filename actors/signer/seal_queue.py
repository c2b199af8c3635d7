"""Sends the transactions of one signer address, one after the other, as many as a block can take.

One worker per address. Nobody waits for a block in between: what waits is taken as a batch, gets
consecutive nonces, is signed, reserved together (the job store commits them as a group), and sent
together in nonce order, because the node must have accepted nonce n before it can accept n + 1.

What may die, and when (design §6):

* A transaction that its *first* sending refused was never in any mempool. It is dead at once; so
  are the later ones of its batch, which the node then refuses for want of its nonce. They are
  written down as dead from the highest nonce down, so that a crash in between leaves no gap below a
  living transaction.
* Whenever an answer is missing, and for everything found in the journal after a start, the
  transaction may be in some mempool. Its identical bytes are sent again until its nonce is consumed
  or its timeout height has passed; only then is another transaction signed for the job.

Simulation: seals cost a fixed gas by message type, so one simulation gives the gas of all of them,
and the Signer has checked before what a simulation would find (receipts, object status). What is
left to fail in a block costs one fee. Simulated each time is only what the cached gas does not fit
(large transactions) and a job whose last transaction failed, so that a bad seal fails early and
does not burn a fee per retry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from greenray.actors.signer.nonce_ledger import NonceLedger
from greenray.actors.signer.settings import QueueSettings
from greenray.chain.crypto import public_key_of
from greenray.chain.dialect import Dialect, Message
from greenray.chain.ports import BroadcastResult, ChainClient, GasEstimate
from greenray.chain.transactions.signing import FEE_DENOM, sign_transaction, unsigned_for_simulation
from greenray.protocol.errors import (
    ChainError,
    ComponentUnavailable,
    GreenrayError,
    SealAccountWithoutFunds,
    StaleJob,
    TransactionRefused,
)
from greenray.protocol.job import JobState
from greenray.protocol.nonce_plan import (
    AnswerKind,
    NodeAnswer,
    ResendVerdict,
    SentVerdict,
    distinct_timeout_height,
    needs_look_up,
    read_answer,
    resend_verdict,
    sent_verdict,
)
from greenray.storage.ports import JobStore, TransactionRow, TransactionState
from greenray.timeline.stage_trace import Stage, StageTrace

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class TransactionRequest:
    """One job that wants a new transaction. ``earlier`` are the job's rows so far."""

    message: Message
    where: str
    sp_address: str
    job_id: int
    object_id: int
    epoch: int
    expected_state: JobState
    simulate: bool
    earlier: list[TransactionRow]
    done: asyncio.Future[TransactionRow] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def succeed(self, row: TransactionRow) -> None:
        if not self.done.done():
            self.done.set_result(row)


@dataclass(frozen=True, slots=True)
class _Reserved:
    request: TransactionRequest
    row: TransactionRow


class SealQueue:
    """``stale`` says that journal and chain must be read again before anything new is planned."""

    def __init__(
        self,
        private_key: bytes,
        ledger: NonceLedger,
        *,
        chain: ChainClient,
        store: JobStore,
        dialect: Dialect,
        settings: QueueSettings,
        clock: Callable[[], float],
        trace: StageTrace,
    ) -> None:
        self.ledger = ledger
        self.stale = True
        self._private_key = private_key
        self._chain = chain
        self._store = store
        self._dialect = dialect
        self._settings = settings
        self._clock = clock
        self._trace = trace
        self._waiting: deque[TransactionRequest] = deque()
        self._syncing: list[asyncio.Future[None]] = []
        self._worker: asyncio.Task[None] | None = None
        self._chain_id = ""
        self._gas: dict[type[Message], GasEstimate] = {}
        self._unpaid: SealAccountWithoutFunds | None = None
        self._looking: asyncio.Task[bool] | None = None
        self._expected: int | None = None

    async def check_funds(self) -> None:
        """Whether something can be sent at all: while the address is known to have no coins, one
        question for all jobs that wait for them at the moment. Raises SealAccountWithoutFunds."""
        unpaid = self._unpaid
        if unpaid is None:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._can_pay())
        if not await asyncio.shield(self._looking):
            raise SealAccountWithoutFunds(*unpaid.args)

    async def submit(self, request: TransactionRequest) -> TransactionRow:
        """The row of the request's transaction, once a node has accepted it.

        Raises: TransactionRefused, SealAccountWithoutFunds, StaleJob, ChainError (the transaction
        may be living: ask again), StoreError.
        """
        await self.check_funds()
        self._waiting.append(request)
        self._start_worker()
        return await request.done

    async def sync(self) -> None:
        """Return when every living transaction of the address has been settled or sent again.

        Raises: what keeps the first of them from going on: SealAccountWithoutFunds, ChainError.
        """
        await self.check_funds()
        self.stale = True
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncing.append(synced)
        self._start_worker()
        await synced

    async def close(self) -> None:
        """Stop sending. What is reserved stays in the journal; waiting callers get an error."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # --- the worker ----------------------------------------------------------------------------

    def _start_worker(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        batch: list[TransactionRequest] = []
        syncing: list[asyncio.Future[None]] = []
        try:
            while self._waiting or self._syncing:
                batch, syncing = self._take_batch(), self._syncing
                self._syncing = []
                try:
                    await self._refresh_if_stale()
                    _resolve(syncing, None)
                    await self._send_batch(batch)
                except Exception as error:
                    self.stale = True
                    _resolve(syncing, error)
                    for request in batch:
                        request.fail(error)
        finally:
            # Only a cancelled or broken worker leaves anyone waiting here.
            stopped = ComponentUnavailable("the seal queue was stopped", self.ledger.address)
            _resolve([*syncing, *self._syncing], stopped)
            for request in (*batch, *self._waiting):
                request.fail(stopped)

    def _take_batch(self) -> list[TransactionRequest]:
        """A simulation needs the node's next sequence, so it can only be the first of a batch."""
        batch: list[TransactionRequest] = []
        while self._waiting and len(batch) < self._settings.batch_limit:
            if batch and self._must_simulate(self._waiting[0]):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _send_batch(self, batch: list[TransactionRequest]) -> None:
        for _ in range(self._settings.plan_rounds):
            batch = [request for request in batch if not request.done.done()]
            if not batch:
                return
            await self._refresh_if_stale()
            await self._send_round(batch)
        for request in batch:
            request.fail(
                TransactionRefused(
                    "the node keeps refusing the sequence of this address, account sequence "
                    f"mismatch in {self._settings.plan_rounds} tries",
                    f"{request.where}, seal address {self.ledger.address}",
                    "It is tried again; make sure that nothing else sends with this key",
                )
            )

    async def _send_round(self, batch: list[TransactionRequest]) -> None:
        """Plan, sign, reserve and send once. A request that is not done afterwards goes again."""
        height = await self._chain.latest_height()
        nonces = self.ledger.plan(len(batch), self._expected)
        self._expected = None
        gas = await self._gas_of(batch[0], nonces[0])
        if gas is None:
            return
        began_ns = time.monotonic_ns()
        reserved = await self._reserve(
            [
                _Reserved(request, self._sign(request, nonce, gas, height))
                for request, nonce in zip(batch, nonces, strict=True)
            ]
        )
        reserved_ns = time.monotonic_ns()
        await self._send_new(reserved)
        for item in reserved:
            stages = self._trace.of(item.request.object_id, item.request.sp_address)
            stages.add(Stage.RESERVED, None, 0, began_ns, reserved_ns)
            stages.add(Stage.BROADCAST, None, 0, reserved_ns)

    # --- gas -----------------------------------------------------------------------------------

    def _must_simulate(self, request: TransactionRequest) -> bool:
        return request.simulate or type(request.message) not in self._gas

    async def _gas_of(self, request: TransactionRequest, nonce: int) -> GasEstimate | None:
        """Gas for the batch that ``request`` leads; None when its simulation was refused."""
        kind = type(request.message)
        if not self._must_simulate(request):
            return self._gas[kind]
        unsigned = unsigned_for_simulation(
            self._dialect, request.message, public_key_of(self._private_key), nonce
        )
        try:
            gas = await self._chain.simulate(unsigned)
        except TransactionRefused as error:
            answer = read_answer(error.codespace, error.code, error.what)
            if answer.kind is AnswerKind.SEQUENCE:
                self._replan(answer)
            else:
                request.fail(error)
            return None
        if len(unsigned) <= self._settings.cached_gas_up_to_size_bytes:
            self._gas[kind] = gas
        return gas

    # --- reserving -----------------------------------------------------------------------------

    def _sign(
        self, request: TransactionRequest, nonce: int, gas: GasEstimate, height: int
    ) -> TransactionRow:
        signed = sign_transaction(
            self._dialect,
            request.message,
            private_key=self._private_key,
            chain_id=self._chain_id,
            account_number=self.ledger.account_number,
            sequence=nonce,
            gas_limit=gas.gas_limit,
            fee_amount=gas.fee_amount,
            fee_denom=gas.fee_denom,
            timeout_height=distinct_timeout_height(
                height=height,
                timeout_blocks=self._settings.seal_timeout_blocks,
                nonce=nonce,
                earlier=[(row.nonce, row.timeout_height) for row in request.earlier],
            ),
        )
        return TransactionRow(
            tx_hash=signed.tx_hash,
            sp_address=request.sp_address,
            job_id=request.job_id,
            signer_address=self.ledger.address,
            nonce=nonce,
            tx_bytes=signed.tx_bytes,
            timeout_height=signed.timeout_height,
            state=TransactionState.RESERVED,
            created_at=self._clock(),
        )

    async def _reserve(self, items: list[_Reserved]) -> list[_Reserved]:
        """Write all rows in one group; returns those before the first that was refused.

        Nothing was sent yet, so the ones behind it are dead at once and planned again.
        """
        outcomes = await asyncio.gather(
            *(
                self._store.reserve_transaction(
                    item.row, item.request.epoch, item.request.expected_state
                )
                for item in items
            ),
            return_exceptions=True,
        )
        written: list[_Reserved] = []
        refused: list[tuple[_Reserved, BaseException]] = []
        behind: list[_Reserved] = []
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome is not None:
                refused.append((item, outcome))
                continue
            self.ledger.hold(item.row)
            item.request.earlier.append(item.row)
            (behind if refused else written).append(item)
        if refused:
            self.stale = True
            await self._declare_dead(behind)
        for item, error in refused:
            if not isinstance(error, Exception):
                raise error
            await self._explain_refused_reservation(item.request, error)
        return written

    async def _explain_refused_reservation(
        self, request: TransactionRequest, error: Exception
    ) -> None:
        """A stale claim, another living transaction of the job, or only a nonce to plan again."""
        if not isinstance(error, StaleJob):
            request.fail(error)
            return
        job = await self._store.get_job(request.sp_address, request.object_id)
        if (
            job is None
            or job.job_id != request.job_id
            or job.epoch != request.epoch
            or job.state is not request.expected_state
            or any(
                row.state is TransactionState.RESERVED
                for row in await self._store.get_transactions(request.sp_address, request.job_id)
            )
        ):
            request.fail(error)

    async def _declare_dead(self, items: Sequence[_Reserved]) -> None:
        for item in reversed(items):
            await self.ledger.declare_dead(item.row)

    # --- sending -------------------------------------------------------------------------------

    async def _send_new(self, reserved: Sequence[_Reserved]) -> None:
        """Send transactions that no node has seen. Those on their way are done, those whose first
        sending was refused are dead, and all others stay: they may be living."""
        try:
            answers, tries = await self._broadcast([item.row for item in reserved])
        except GreenrayError as error:
            self.stale = True
            for item in reserved:
                item.request.fail(error)
            return
        refused: list[tuple[_Reserved, BroadcastResult]] = []
        for item, answered in zip(reserved, answers, strict=True):
            match sent_verdict(item.row.nonce, _read(answered), tries):
                case SentVerdict.ON_ITS_WAY:
                    item.request.succeed(item.row)
                case SentVerdict.NEVER_ACCEPTED:
                    refused.append((item, answered))
                case SentVerdict.MAY_LIVE:
                    self.stale = True
                    item.request.fail(self._refusal(answered, item.row))
        if refused:
            await self._declare_dead([item for item, _ in refused])
            self._act_on_refusal(refused[0][1], [item for item, _ in refused])

    def _act_on_refusal(self, refused: BroadcastResult, behind: Sequence[_Reserved]) -> None:
        """``behind`` starts with the refused one; all of them are dead already."""
        answer = _read(refused)
        if answer.kind is AnswerKind.SEQUENCE:
            self._replan(answer)
            return
        # The price or the gas of the message may have changed: the next one simulates again.
        self._gas.clear()
        affected = behind if answer.kind.concerns_address else behind[:1]
        for item in affected:
            item.request.fail(self._refusal(refused, item.row))

    def _replan(self, answer: NodeAnswer) -> None:
        self.stale = True
        self._expected = answer.expected_sequence

    async def _refresh_if_stale(self) -> None:
        """Settle what has ended and send again what has not, in nonce order.

        Raises: ChainError, with the reason why the first living transaction cannot go on; nothing
        above its nonce could either.
        """
        if not self.stale:
            return
        self.stale = False
        try:
            if not self._chain_id:
                self._chain_id = await self._chain.chain_id()
            view = await self.ledger.reload()
            for row in self.ledger.unconsumed():
                if needs_look_up(nonce=row.nonce, timeout_height=row.timeout_height, view=view):
                    raise self._blocked("its timeout height has come", row)
                (answered,), _ = await self._broadcast([row])
                verdict = resend_verdict(row.nonce, _read(answered))
                if verdict is ResendVerdict.BLOCKED:
                    raise self._refusal(answered, row)
                if verdict is ResendVerdict.BELOW_A_GAP:
                    break
        except BaseException:
            self.stale = True
            raise

    async def _broadcast(
        self, rows: Sequence[TransactionRow]
    ) -> tuple[tuple[BroadcastResult, ...], int]:
        """The node's answers, and how often the bytes were sent until they came."""
        tried = 1
        while True:
            try:
                return await self._chain.broadcast_all([row.tx_bytes for row in rows]), tried
            except ChainError:
                if tried == self._settings.send_tries:
                    raise
                tried += 1

    # --- errors --------------------------------------------------------------------------------

    def _refusal(self, answered: BroadcastResult, row: TransactionRow) -> TransactionRefused:
        what = f"{answered.codespace}/{answered.code}: {answered.log}"
        if _read(answered).kind is AnswerKind.FUNDS:
            return self._without_funds(what, answered)
        return TransactionRefused(
            f"the node refused the transaction ({what})",
            f"address {row.signer_address}, nonce {row.nonce}",
            "It is tried again later",
            answered.codespace,
            answered.code,
        )

    def _without_funds(self, what: str, answered: BroadcastResult) -> SealAccountWithoutFunds:
        """From now on nothing is sent until the address has more; said aloud once."""
        error = SealAccountWithoutFunds(
            f"the seal address cannot pay the fee ({what})",
            f"address {self.ledger.address}",
            f"Send {FEE_DENOM} to it; waiting seals go on by themselves",
            answered.codespace,
            answered.code,
        )
        if self._unpaid is None:
            log.error("nothing is sealed: %s", error)
        self._unpaid = error
        return error

    async def _can_pay(self) -> bool:
        cost = max([self._dialect.seal_cost.amount, *(g.fee_amount for g in self._gas.values())])
        if await self._chain.balance(self.ledger.address) < cost:
            return False
        if self._unpaid is not None:
            self._unpaid = None
            log.warning("seal address %s has funds again, its seals go on", self.ledger.address)
        return True

    def _blocked(self, why: str, row: TransactionRow) -> TransactionRefused:
        return TransactionRefused(
            f"nonce {row.nonce} is not decided yet: {why} and it is in no block so far",
            f"address {row.signer_address}",
            f"It is dead {self._settings.settle_blocks} blocks after height {row.timeout_height}",
        )


def _read(answered: BroadcastResult) -> NodeAnswer:
    return read_answer(answered.codespace, answered.code, answered.log, answered.already_known)


def _resolve(futures: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
