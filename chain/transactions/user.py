"""Transactions of one user: simulate, sign, broadcast, wait until they are in a block.

One transaction at a time per sender: the chain counts them. ``put`` uses this for create-bucket,
create-object and cancel; SPs seal through the Signer, which keeps a journal. Both send the same
bytes again until their fate is decided, by the rules of ``greenray.protocol.nonce_plan``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from greenray.chain import wire
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
    InsufficientFunds,
    InvalidInput,
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
    needs_look_up,
    read_answer,
    resend_verdict,
    transaction_fate,
)

VALID_FOR_BLOCKS = 100
"""Timeout height over the current height: after it a silent transaction is certainly lost."""

_CANNOT_PAY = ("insufficient funds", "charge failed error")
"""In the texts of simulations, whose codes are not telling (protocol 04 §12)."""
_SEQUENCE_TRIES = 3
_SEND_TRIES = 3
_LOOK_BLOCKS = 4
"""A transaction that is in no block for so many is looked after, and sent again."""
_SETTLE_BLOCKS = 2
"""How many blocks a node may take to index a transaction."""


@dataclass(slots=True)
class _Waiting:
    """What is known of a transaction whose fate is not decided. Heights are of blocks."""

    look_at_height: int | None = None
    consumed_since_height: int | None = None
    trouble: str = ""


class TransactionSender:
    """Sends transactions of one account. ``repr`` shows the address only."""

    def __init__(
        self,
        chain: ChainClient,
        dialect: Dialect,
        private_key: bytes,
        *,
        poll_interval_s: float = 0.25,
        inclusion_timeout_s: float = 120.0,
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
        self._lock = asyncio.Lock()
        self._chain_id: str | None = None

    def __repr__(self) -> str:
        return f"TransactionSender({self.address})"

    async def send(self, message: Message, memo: str = "") -> TransactionResult:
        """Send one message and wait until it is executed.

        Raises:
            InvalidInput: the chain would not even look at the message (ValidateBasic).
            InsufficientFunds: the account cannot pay the fee; nothing was sent.
            TransactionRefused: simulation or CheckTx refused it; nothing was paid.
            TransactionFailed: it is in a block and failed there.
            TransactionLost: its timeout height passed and it is in no block.
            ChainUnavailable: no answer, or not in a block within the inclusion timeout.
            NoSuchAccount: the account has never received anything.
        """
        fault = self._dialect.validate_basic(message)
        if fault is not None:
            raise InvalidInput(fault.log, type(message).__name__)
        async with self._lock:
            for _ in range(1, _SEQUENCE_TRIES):
                try:
                    return await self.wait(await self._broadcast(message, memo))
                except SequenceTaken:
                    continue  # it can never be in a block: another one is no second one
            return await self.wait(await self._broadcast(message, memo))

    async def wait(self, signed: SignedTransaction) -> TransactionResult:
        """Return when the transaction is in a block; its bytes are sent again meanwhile, because a
        node that was killed has forgotten them. A chain that is away is waited for.

        Raises as ``send``.
        """
        deadline = self._clock() + self._inclusion_timeout_s
        waiting = _Waiting()
        while True:
            try:
                result = await self._decided(signed, waiting)
            except (ChainUnavailable, ChainLags) as error:
                waiting = _Waiting(look_at_height=0, trouble=f"; last trouble: {error}")
            else:
                if result is not None:
                    return self._succeeded(result)
            if self._clock() >= deadline:
                raise ChainUnavailable(
                    f"it is in no block after {self._inclusion_timeout_s:g} s{waiting.trouble}",
                    f"transaction {signed.tx_hash}",
                    "Check that the chain makes blocks",
                )
            await self._sleep(self._poll_interval_s)

    async def _decided(
        self, signed: SignedTransaction, waiting: _Waiting
    ) -> TransactionResult | None:
        """The result in a block; None while it is undecided. Raises TransactionLost, ChainError."""
        # The height is read first: a block that came in between is then seen by the look-up.
        height = await self._chain.latest_height()
        result = await self._chain.transaction(signed.tx_hash)
        if result is not None and result.code == 0:
            return result
        if waiting.look_at_height is None:
            waiting.look_at_height = height + _LOOK_BLOCKS
        has_timed_out = 0 < signed.timeout_height <= height
        if result is None and height < waiting.look_at_height and not has_timed_out:
            return None
        waiting.look_at_height = height + _LOOK_BLOCKS
        account = await self._chain.account(self.address)
        view = ChainView(account.sequence, await self._chain.latest_height())
        result = await self._chain.transaction(signed.tx_hash)
        if view.sequence > signed.sequence and waiting.consumed_since_height is None:
            waiting.consumed_since_height = view.height
            waiting.look_at_height = view.height + _SETTLE_BLOCKS
        fate = transaction_fate(
            nonce=signed.sequence,
            timeout_height=signed.timeout_height,
            code=None if result is None else result.code,
            view=view,
            consumed_since_height=waiting.consumed_since_height,
            settle_blocks=_SETTLE_BLOCKS,
        )
        if fate is Fate.DEAD:
            raise self._lost(signed, view)
        if fate is Fate.IN_FLIGHT:
            await self._send_again(signed, view, waiting)
            return None
        return result

    async def _send_again(
        self, signed: SignedTransaction, view: ChainView, waiting: _Waiting
    ) -> None:
        """Whatever the answer, it decides nothing: an earlier sending may have been accepted."""
        if needs_look_up(nonce=signed.sequence, timeout_height=signed.timeout_height, view=view):
            return
        answered = await self._chain.broadcast_sync(signed.tx_bytes)
        if resend_verdict(signed.sequence, _kind_of(answered)) is not ResendVerdict.CONTINUE:
            waiting.trouble = f"; the node refuses it now ({answered.codespace}/{answered.code})"

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

    # --- what ``put`` needs ----------------------------------------------------------------------

    async def create_bucket(self, approved: Message) -> int:
        """Send an approved create-bucket message; the new bucket's id. Raises as ``send``."""
        result = await self.send(approved)
        response = _response(result, wire.storage.MsgCreateBucketResponse)
        return _id_of(response.bucket_id, result)

    async def create_object(self, approved: Message) -> int:
        """Send an approved create-object message; the new object's id. Raises as ``send``."""
        result = await self.send(approved)
        response = _response(result, wire.storage.MsgCreateObjectResponse)
        return _id_of(response.object_id, result)

    async def cancel_create_object(self, bucket_name: str, object_name: str) -> TransactionResult:
        """Take back an object that is not sealed. Raises as ``send``."""
        message = self._dialect.cancel_create_object_message(self.address, bucket_name, object_name)
        return await self.send(message)

    async def delete_object(self, bucket_name: str, object_name: str) -> TransactionResult:
        """Delete an object that is sealed or discontinued. Raises as ``send``."""
        message = self._dialect.delete_object_message(self.address, bucket_name, object_name)
        return await self.send(message)

    async def delete_bucket(self, bucket_name: str) -> TransactionResult:
        """Delete an empty bucket. Raises as ``send``."""
        return await self.send(self._dialect.delete_bucket_message(self.address, bucket_name))

    async def discontinue_object(
        self, bucket_name: str, object_id: int, reason: str
    ) -> TransactionResult:
        """With the gc key of the bucket's primary SP. Raises as ``send``."""
        message = self._dialect.discontinue_object_message(
            self.address, bucket_name, [object_id], reason
        )
        return await self.send(message)

    async def discontinue_bucket(self, bucket_name: str, reason: str) -> TransactionResult:
        """With the gc key of the bucket's primary SP. Raises as ``send``."""
        message = self._dialect.discontinue_bucket_message(self.address, bucket_name, reason)
        return await self.send(message)

    # --- parts -----------------------------------------------------------------------------------

    async def _broadcast(self, message: Message, memo: str) -> SignedTransaction:
        """Sign with the sequence that the chain expects; another program may use the account. What
        is returned may be on its way: nothing else is signed in its place."""
        account = await self._chain.account(self.address)
        sequence = account.sequence
        for tried in range(1, _SEQUENCE_TRIES + 1):
            try:
                signed = await self._prepare(message, memo, account, sequence)
                await self._send(signed)
            except TransactionRefused as error:
                answer = read_answer(error.codespace, error.code, error.what)
                if answer.expected_sequence is None or tried == _SEQUENCE_TRIES:
                    raise
                sequence = answer.expected_sequence
            else:
                return signed
        raise AssertionError("every try returns or raises")

    async def _send(self, signed: SignedTransaction) -> None:
        """Raises TransactionRefused, when the node has never accepted the bytes. Whether it has is
        not known when no answer comes: identical bytes are one transaction, they are sent again."""
        for tried in range(_SEND_TRIES):
            try:
                answered = await self._chain.broadcast_sync(signed.tx_bytes)
            except (ChainUnavailable, ChainAnswerInvalid, ChainLags):
                await self._sleep(self._poll_interval_s)
                continue
            if tried == 0 and _kind_of(answered).kind is not AnswerKind.ACCEPTED:
                raise _refused(answered, self.address)
            return

    async def _prepare(
        self, message: Message, memo: str, account: Account, sequence: int
    ) -> SignedTransaction:
        public_key = public_key_of(self._private_key)
        timeout_height = await self._chain.latest_height() + VALID_FOR_BLOCKS
        unsigned = unsigned_for_simulation(
            self._dialect, message, public_key, sequence, memo, timeout_height
        )
        gas, balance = await self._price(unsigned)
        if balance < gas.fee_amount:
            raise InsufficientFunds(
                f"the account has {balance} of the {gas.fee_amount} that the fee is (in 10^-18 "
                f"{gas.fee_denom})",
                f"account {self.address}",
                f"Send {gas.fee_denom} to it",
            )
        return sign_transaction(
            self._dialect,
            message,
            private_key=self._private_key,
            chain_id=await self._known_chain_id(),
            account_number=account.account_number,
            sequence=sequence,
            gas_limit=gas.gas_limit,
            fee_amount=gas.fee_amount,
            fee_denom=gas.fee_denom,
            timeout_height=timeout_height,
            memo=memo,
        )

    async def _price(self, unsigned: bytes) -> tuple[GasEstimate, int]:
        """What a transaction costs, and what the account has. Raises InsufficientFunds, when the
        message itself costs more (it locks a storage fee), TransactionRefused."""
        try:
            return await asyncio.gather(
                self._chain.simulate(unsigned), self._chain.balance(self.address)
            )
        except TransactionRefused as error:
            if not any(text in error.what for text in _CANNOT_PAY):
                raise
            raise InsufficientFunds(
                f"the account cannot pay what this costs ({error.what})",
                f"account {self.address}",
                "Send BNB to it",
                error.codespace,
                error.code,
            ) from error

    async def _known_chain_id(self) -> str:
        if self._chain_id is None:
            self._chain_id = await self._chain.chain_id()
        return self._chain_id

    def _succeeded(self, result: TransactionResult) -> TransactionResult:
        if result.code == 0:
            return result
        raise TransactionFailed(
            f"{result.codespace}/{result.code}: {result.log}",
            f"transaction {result.tx_hash} in block {result.height}",
            "",
            result.codespace,
            result.code,
        )


def _kind_of(answered: BroadcastResult) -> NodeAnswer:
    return read_answer(answered.codespace, answered.code, answered.log, answered.already_known)


def _refused(answered: BroadcastResult, address: str) -> TransactionRefused:
    what = f"{answered.codespace}/{answered.code}: {answered.log}"
    if _kind_of(answered).kind is AnswerKind.FUNDS:
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


def _response(result: TransactionResult, cls: Any) -> Any:
    """The one message response of a successful transaction (protocol 04 §8)."""
    try:
        responses = wire.decode(wire.abci.TxMsgData, result.data).msg_responses
        if len(responses) != 1:
            raise InvalidInput(f"{len(responses)} responses instead of one")
        return wire.decode(cls, responses[0].value)
    except InvalidInput as error:
        raise _invalid_result(result, str(error)) from error


def _id_of(text: str, result: TransactionResult) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _invalid_result(result, f"{text[:80]!r} is not an id")
    return int(text)


def _invalid_result(result: TransactionResult, what: str) -> ChainAnswerInvalid:
    return ChainAnswerInvalid(
        f"the result makes no sense: {what}",
        f"transaction {result.tx_hash}",
        "It is executed: look at the bucket or object on chain",
    )
