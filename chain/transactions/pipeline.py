"""The transactions of one account in a pipeline: as many on their way as a node's mempool takes.

Nobody waits for a block in between. What waits is taken as a batch, gets consecutive nonces, is
signed, and sent together in nonce order. Identical bytes are sent again until their fate is
decided; what can never be in a block is made again with another nonce, behind the others. There is
no journal: what a user creates is found by its name, so a process that dies leaves nothing that
another one has to know.

Another program may send with the same key. The node names the sequence that it expects, and the
batch is planned again from there; nobody above notices. The rules are those of
``greenray.protocol.nonce_plan``, as in the Signer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from greenray.chain.crypto import address_of, public_key_of
from greenray.chain.dialect import Dialect, Message
from greenray.chain.ports import (
    Account,
    BroadcastResult,
    ChainClient,
    GasEstimate,
    TransactionResult,
)
from greenray.chain.transactions.signing import (
    SignedTransaction,
    sign_transaction,
    unsigned_for_simulation,
)
from greenray.protocol.errors import (
    ChainAnswerInvalid,
    ChainLags,
    ChainUnavailable,
    ComponentUnavailable,
    InsufficientFunds,
    SequenceTaken,
    TransactionFailed,
    TransactionLost,
    TransactionRefused,
)
from greenray.protocol.nonce_plan import (
    AnswerKind,
    ChainView,
    Fate,
    NodeAnswer,
    ResendVerdict,
    SentVerdict,
    free_nonces,
    needs_look_up,
    read_answer,
    resend_verdict,
    sent_verdict,
    transaction_fate,
)

VALID_FOR_BLOCKS = 100
"""Timeout height over the current height: after it a silent transaction is certainly lost."""

_CANNOT_PAY = ("insufficient funds", "charge failed error", "balance not enough")
"""In the texts of simulations, whose codes are not telling (protocol 04 §12)."""
_BATCH = 64
"""Transactions that are signed and sent in one go: a refusal signs at most these again."""
_SEND_TRIES = 3
_REFUSALS_WITHOUT_PAUSE = 3
_AWAY = (ChainUnavailable, ChainLags)
_QUIET_POLLS = 20
"""A chain that makes no block for so many polls may be another process than it was."""
_SETTLE_BLOCKS = 2
"""How many blocks a node may take to index a transaction."""
_CACHED_GAS_UP_TO_BYTES = 30_000
"""From half of the chain's 65536 byte limit on, gas depends on the size (protocol 04 §7.1)."""


@dataclass(slots=True, eq=False)
class _Order:
    """One message that is to be in a block. ``message`` None: somebody else has signed it.
    ``simulate``: its last transaction failed, so the next is looked at before it is paid for."""

    message: Message | None
    memo: str
    since_s: float
    simulate: bool = False
    done: asyncio.Future[TransactionResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True, eq=False)
class _Flight:
    """A signed transaction whose fate is not decided."""

    order: _Order
    signed: SignedTransaction
    sent_at_height: int
    consumed_since_height: int | None = None


class AccountPipeline:
    """Used from one event loop. Its worker runs while anything waits or is on its way."""

    def __init__(
        self,
        chain: ChainClient,
        dialect: Dialect,
        private_key: bytes,
        *,
        poll_interval_s: float,
        inclusion_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.address = address_of(private_key)
        self._chain = chain
        self._dialect = dialect
        self._private_key = private_key
        self._poll_interval_s = poll_interval_s
        self._inclusion_timeout_s = inclusion_timeout_s
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[_Order] = deque()
        self._flights: dict[int, _Flight] = {}
        """By nonce."""
        self._gas: dict[type[Message], GasEstimate] = {}
        self._chain_id = ""
        self._account: Account | None = None
        self._expected: int | None = None
        """What the node's check state asks for, as far as is known."""
        self._forgotten = False
        """Whether the node may have forgotten what is on its way."""
        self._looked_at_height = -1
        self._polls_without_block = 0
        self._moved_at_s = 0.0
        self._trouble = ""
        self._refusals = 0
        """Of batches in a row, for their sequence."""
        self._sending = asyncio.Lock()
        self._senders: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def send(self, message: Message, memo: str = "") -> TransactionResult:
        """Return when the message is executed. Raises: see ``TransactionSender.send``."""
        order = _Order(message, memo, self._clock())
        self._waiting.append(order)
        self._start()
        return await order.done

    async def wait(self, signed: SignedTransaction) -> TransactionResult:
        """Return when a transaction that was signed elsewhere is executed. Raises: see
        ``TransactionSender.wait``."""
        order = _Order(None, "", 0.0)
        self._hold(_Flight(order, signed, 0))
        self._start()
        return await order.done

    async def close(self) -> None:
        """Stop; who waits gets ComponentUnavailable."""
        tasks = [task for task in (self._senders, self._watcher) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stopped = ComponentUnavailable("the client was closed", f"account {self.address}")
        for order in (*self._waiting, *(flight.order for flight in self._flights.values())):
            order.fail(stopped)

    def _start(self) -> None:
        if self._waiting and (self._senders is None or self._senders.done()):
            self._senders = asyncio.create_task(self._send_waiting())
        if self._flights and (self._watcher is None or self._watcher.done()):
            self._watcher = asyncio.create_task(self._watch())

    def _hold(self, flight: _Flight) -> None:
        if not self._flights:
            self._moved_at_s, self._looked_at_height = self._clock(), -1
        self._flights[flight.signed.sequence] = flight

    # --- sending ---------------------------------------------------------------------------------

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch = self._take_batch()
            if not batch:
                continue
            try:
                async with self._sending:
                    await self._send_batch(batch)
            except Exception as error:
                await self._not_sent(batch, error)
            self._start()
            if self._refusals > _REFUSALS_WITHOUT_PAUSE:
                # Others send with this key: not all at the same moment again.
                await self._sleep(self._poll_interval_s * random.random())

    async def _not_sent(self, batch: list[_Order], error: Exception) -> None:
        """Nothing of the batch was. While others are on their way, a chain that is away is waited
        for; who comes alone is told at once."""
        if self._flights and isinstance(error, _AWAY):
            self._waiting.extendleft(reversed(batch))
            await self._sleep(self._poll_interval_s)
            return
        for order in batch:
            order.fail(error)

    def _take_batch(self) -> list[_Order]:
        """A simulation needs the node's next sequence, so it can only be the first of a batch."""
        batch: list[_Order] = []
        while self._waiting and len(batch) < _BATCH:
            order = self._waiting[0]
            if batch and self._must_simulate(order):
                break
            self._waiting.popleft()
            if order.done.done():
                continue  # whoever wanted it has gone away
            if self._clock() - order.since_s > self._inclusion_timeout_s:
                order.fail(self._crowded_out())
                continue
            batch.append(order)
        return batch

    async def _send_batch(self, batch: list[_Order]) -> None:
        """Plan, sign and send once. What is refused for its sequence waits again.

        Raises: ChainError, NoSuchAccount; nothing was sent then.
        """
        if self._forgotten:
            await self._send_again()
        account = await self._known_account()
        height = await self._chain.latest_height()
        nonces = free_nonces(
            sequence=account.sequence,
            held=self._flights,
            count=len(batch),
            expected=self._expected,
        )
        gas = await self._gas_of(batch[0], nonces[0], height)
        if gas is None:
            self._waiting.extendleft(reversed(batch[1:]))
            return
        flights = [
            _Flight(order, self._sign(order, account, nonce, gas, height), height)
            for order, nonce in zip(batch, nonces, strict=True)
        ]
        for flight in flights:
            self._hold(flight)
        await self._send_new(flights)

    async def _known_account(self) -> Account:
        """Of an account that is idle, others may have used the sequence meanwhile."""
        if self._account is None or not self._flights:
            self._account = await self._chain.account(self.address)
        if not self._chain_id:
            self._chain_id = await self._chain.chain_id()
        return self._account

    def _sign(
        self, order: _Order, account: Account, nonce: int, gas: GasEstimate, height: int
    ) -> SignedTransaction:
        return sign_transaction(
            self._dialect,
            order.message,
            private_key=self._private_key,
            chain_id=self._chain_id,
            account_number=account.account_number,
            sequence=nonce,
            gas_limit=gas.gas_limit,
            fee_amount=gas.fee_amount,
            fee_denom=gas.fee_denom,
            timeout_height=height + VALID_FOR_BLOCKS,
            memo=order.memo,
        )

    async def _send_new(self, flights: Sequence[_Flight]) -> None:
        """Send transactions that no node has seen. What the first sending refused is dead, all
        others stay: they may be living."""
        answered = await self._broadcast([flight.signed for flight in flights])
        if answered is None:
            self._forgotten = True
            return
        answers, tries = answered
        refused: list[tuple[_Flight, BroadcastResult]] = []
        for flight, answer in zip(flights, answers, strict=True):
            verdict = sent_verdict(flight.signed.sequence, _read(answer), tries)
            if verdict is SentVerdict.NEVER_ACCEPTED:
                self._drop(flight)
                refused.append((flight, answer))
            elif verdict is SentVerdict.ON_ITS_WAY:
                self._expected = max(self._expected or 0, flight.signed.sequence + 1)
            else:
                self._forgotten = True
        is_crowded = bool(refused) and _read(refused[0][1]).kind is AnswerKind.SEQUENCE
        self._refusals = self._refusals + 1 if is_crowded else 0
        if refused:
            await self._act_on_refusal(refused[0][1], [flight.order for flight, _ in refused])

    async def _act_on_refusal(self, refused: BroadcastResult, orders: Sequence[_Order]) -> None:
        """``orders`` starts with the refused one; those behind it lack its nonce only."""
        answer = _read(refused)
        if answer.kind is AnswerKind.SEQUENCE:
            self._plan_from(answer)
        elif answer.kind is not AnswerKind.MEMPOOL_FULL:
            # The price or the gas of the message may have changed: the next one simulates again.
            self._gas.clear()
            ended = len(orders) if answer.kind.concerns_address else 1
            for order in orders[:ended]:
                order.fail(_refused(refused, self.address))
            orders = orders[ended:]
        self._waiting.extendleft(reversed(orders))
        if answer.kind is AnswerKind.MEMPOOL_FULL:
            await self._sleep(self._poll_interval_s)

    def _plan_from(self, answer: NodeAnswer) -> None:
        """From the sequence that the node expects: it may be higher, when another program sends
        with this key, or lower, when the node has forgotten what we have sent."""
        self._expected = answer.expected_sequence
        if self._expected is None:
            self._account = None
        elif any(nonce >= self._expected for nonce in self._flights):
            self._forgotten = True

    async def _broadcast(
        self, signed: Sequence[SignedTransaction]
    ) -> tuple[tuple[BroadcastResult, ...], int] | None:
        """The node's answers, and how often the bytes were sent until they came. None: no answer
        came. Identical bytes are one transaction, so they may be sent again."""
        for tries in range(1, _SEND_TRIES + 1):
            try:
                return await self._chain.broadcast_all([one.tx_bytes for one in signed]), tries
            except (ChainUnavailable, ChainAnswerInvalid, ChainLags) as error:
                self._trouble = f"; last trouble: {error}"
                await self._sleep(self._poll_interval_s)
        return None

    def _crowded_out(self) -> TransactionRefused:
        return TransactionRefused(
            f"no node has taken it for {self._inclusion_timeout_s:g} s: account sequence mismatch, "
            "or the mempool is full",
            f"account {self.address}",
            "Send it again; make sure that not too many programs send with this key",
        )

    # --- gas -------------------------------------------------------------------------------------

    def _must_simulate(self, order: _Order) -> bool:
        """A transaction that is alone is looked at before it is paid for. Of many, the first of a
        kind: what is left to fail in a block costs one fee."""
        return order.simulate or not self._flights or type(order.message) not in self._gas

    async def _gas_of(self, order: _Order, nonce: int, height: int) -> GasEstimate | None:
        """Of the batch that ``order`` leads; None when its simulation was refused."""
        kind = type(order.message)
        if not self._must_simulate(order):
            return self._gas[kind]
        unsigned = unsigned_for_simulation(
            self._dialect,
            order.message,
            public_key_of(self._private_key),
            nonce,
            order.memo,
            height + VALID_FOR_BLOCKS,
        )
        try:
            gas = await self._price(unsigned)
        except TransactionRefused as error:
            answer = read_answer(error.codespace, error.code, error.what)
            if answer.kind is AnswerKind.SEQUENCE:
                self._plan_from(answer)
                self._waiting.appendleft(order)
            else:
                order.fail(error)
            return None
        if len(unsigned) <= _CACHED_GAS_UP_TO_BYTES:
            self._gas[kind] = gas
        return gas

    async def _price(self, unsigned: bytes) -> GasEstimate:
        """What a transaction costs, when the account has that. Raises InsufficientFunds, also when
        the message itself costs more (it locks a storage fee), TransactionRefused."""
        try:
            gas, balance = await asyncio.gather(
                self._chain.simulate(unsigned), self._chain.balance(self.address)
            )
        except TransactionRefused as error:
            if not any(text in error.what for text in _CANNOT_PAY):
                raise
            raise self._cannot_pay(error) from error
        if balance < gas.fee_amount:
            raise InsufficientFunds(
                f"the account has {balance} of the {gas.fee_amount} that the fee is (in 10^-18 "
                f"{gas.fee_denom})",
                f"account {self.address}",
                f"Send {gas.fee_denom} to it",
            )
        return gas

    def _cannot_pay(self, error: TransactionRefused) -> InsufficientFunds:
        return InsufficientFunds(
            f"the account cannot pay what this costs ({error.what})",
            f"account {self.address}",
            "Send BNB to it",
            error.codespace,
            error.code,
        )

    # --- until it is decided ---------------------------------------------------------------------

    async def _watch(self) -> None:
        while self._flights:
            try:
                await self._look()
            except _AWAY as error:
                # A chain that is away is waited for; what it had in its mempool may be lost.
                self._forgotten, self._looked_at_height = True, -1
                self._trouble = f"; last trouble: {error}"
            except Exception as error:
                self._give_up(error)
            if self._flights and self._clock() - self._moved_at_s >= self._inclusion_timeout_s:
                self._give_up(self._not_included())
            self._start()
            if self._flights:
                await self._sleep(self._poll_interval_s)
        self._expected = None

    async def _look(self) -> None:
        """Settle what a new block has ended, and send again what a node has forgotten."""
        height = await self._chain.latest_height()
        is_quiet = self._polls_without_block >= _QUIET_POLLS
        if height == self._looked_at_height and not (self._forgotten or is_quiet):
            self._polls_without_block += 1
            return
        self._polls_without_block = 0
        view = await self._view()
        due = [
            flight
            for flight in self._flights.values()
            if needs_look_up(
                nonce=flight.signed.sequence,
                timeout_height=flight.signed.timeout_height,
                view=view,
            )
        ]
        await asyncio.gather(*(self._settle(flight, view) for flight in due))
        async with self._sending:
            if self._forgotten or await self._has_lost_the_first(view, is_quiet):
                await self._send_again()
        self._looked_at_height = height

    async def _view(self) -> ChainView:
        """The sequence is read before the height, and a node that lags is not believed."""
        account = await self._chain.account(self.address)
        known = self._account
        height = await self._chain.latest_height()
        if known is None or account.sequence > known.sequence:
            self._account = account
        if known is not None and account.sequence > known.sequence:
            self._moved_at_s = self._clock()
        assert self._account is not None
        return ChainView(self._account.sequence, height)

    async def _settle(self, flight: _Flight, view: ChainView) -> None:
        signed = flight.signed
        if view.sequence > signed.sequence and flight.consumed_since_height is None:
            flight.consumed_since_height = view.height
        result = await self._chain.transaction(signed.tx_hash)
        if result is not None and _is_out_of_turn(result):
            result = None  # it has used no nonce, and another block may still have it
        fate = transaction_fate(
            nonce=signed.sequence,
            timeout_height=signed.timeout_height,
            code=None if result is None else result.code,
            view=view,
            consumed_since_height=flight.consumed_since_height,
            settle_blocks=_SETTLE_BLOCKS,
        )
        if fate is Fate.IN_FLIGHT:
            return
        self._drop(flight)
        if fate is Fate.DEAD:
            self._made_again(flight, view)
        elif result is not None and result.code == 0:
            if not flight.order.done.done():
                flight.order.done.set_result(result)
        elif result is not None:
            flight.order.fail(self._failure(result))

    def _made_again(self, flight: _Flight, view: ChainView) -> None:
        """It can never be in a block: another one is no second one."""
        if flight.order.message is None:
            flight.order.fail(self._lost(flight.signed, view))
            return
        flight.order.simulate = True
        self._waiting.appendleft(flight.order)

    async def _has_lost_the_first(self, view: ChainView, is_quiet: bool) -> bool:
        """A node that takes what should be in its mempool since the last block, or longer, as
        something new has lost it, and all behind it with the next block."""
        nonce = min((n for n in self._flights if n >= view.sequence), default=None)
        if nonce is None:
            return False
        if self._flights[nonce].sent_at_height >= view.height and not is_quiet:
            return False
        answered = await self._broadcast([self._flights[nonce].signed])
        if answered is None:
            return True
        (answer,), _ = answered
        return not answer.already_known and _read(answer).kind is AnswerKind.ACCEPTED

    async def _send_again(self) -> None:
        """All bytes that no block has decided, in nonce order. Whatever the answer, it decides
        nothing: an earlier sending may have been accepted."""
        view = ChainView(self._account.sequence if self._account else 0, self._looked_at_height)
        flights = [
            flight
            for nonce, flight in sorted(self._flights.items())
            if not needs_look_up(
                nonce=nonce, timeout_height=flight.signed.timeout_height, view=view
            )
        ]
        for start in range(0, len(flights), _BATCH):
            signed = [flight.signed for flight in flights[start : start + _BATCH]]
            answered = await self._broadcast(signed)
            if answered is None:
                return
            for one, answer in zip(signed, map(_read, answered[0]), strict=True):
                verdict = resend_verdict(one.sequence, answer)
                if verdict is ResendVerdict.CONTINUE:
                    self._expected = one.sequence + 1
                elif verdict is ResendVerdict.BELOW_A_GAP:
                    # Others' transactions were forgotten as well: new ones go where they were.
                    self._expected = answer.expected_sequence
                    self._forgotten = False
                    return
                else:
                    self._trouble = f"; the node refuses it now ({answer.kind.value})"
        self._forgotten = False

    def _drop(self, flight: _Flight) -> None:
        if self._flights.get(flight.signed.sequence) is flight:
            del self._flights[flight.signed.sequence]

    # --- ends ------------------------------------------------------------------------------------

    def _give_up(self, error: Exception) -> None:
        flights = list(self._flights.values())
        self._flights.clear()
        for flight in flights:
            flight.order.fail(error)

    def _not_included(self) -> ChainUnavailable:
        first = self._flights[min(self._flights)].signed
        return ChainUnavailable(
            f"it is in no block after {self._inclusion_timeout_s:g} s{self._trouble}",
            f"transaction {first.tx_hash}",
            "Check that the chain makes blocks",
        )

    def _failure(self, result: TransactionResult) -> TransactionRefused:
        what = f"{result.codespace}/{result.code}: {result.log}"
        where = f"transaction {result.tx_hash} in block {result.height}"
        failed = TransactionFailed(what, where, "", result.codespace, result.code)
        return self._cannot_pay(failed) if any(text in what for text in _CANNOT_PAY) else failed

    def _lost(self, signed: SignedTransaction, view: ChainView) -> TransactionLost:
        where = f"transaction {signed.tx_hash}"
        if view.sequence > signed.sequence:
            return SequenceTaken(
                f"another transaction of {self.address} has used its sequence {signed.sequence}",
                where,
                "Send it again",
            )
        return TransactionLost(
            f"it is in no block up to height {view.height}", where, "Send it again"
        )


def _read(answered: BroadcastResult) -> NodeAnswer:
    return read_answer(answered.codespace, answered.code, answered.log, answered.already_known)


def _is_out_of_turn(result: TransactionResult) -> bool:
    answer = read_answer(result.codespace, result.code, result.log)
    return answer.kind is AnswerKind.SEQUENCE


def _refused(answered: BroadcastResult, address: str) -> TransactionRefused:
    what = f"{answered.codespace}/{answered.code}: {answered.log}"
    if _read(answered).kind is AnswerKind.FUNDS:
        return InsufficientFunds(
            f"the account cannot pay ({what})",
            f"account {address}",
            "Send BNB to it",
            answered.codespace,
            answered.code,
        )
    return TransactionRefused(
        what, f"transaction {answered.tx_hash}", "", answered.codespace, answered.code
    )
