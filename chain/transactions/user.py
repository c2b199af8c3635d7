"""Transactions of one user: simulate, sign, broadcast, wait until they are in a block.

One transaction at a time per sender: the chain counts them. ``put`` uses this for create-bucket,
create-object and cancel; SPs seal through the Signer, which keeps a journal.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from greenray.chain import wire
from greenray.chain.crypto import address_of, public_key_of
from greenray.chain.dialect import Dialect, Message
from greenray.chain.ports import Account, BroadcastResult, ChainClient, TransactionResult
from greenray.chain.transactions.signing import (
    SignedTransaction,
    sign_transaction,
    unsigned_for_simulation,
)
from greenray.protocol.errors import (
    ChainAnswerInvalid,
    ChainUnavailable,
    InvalidInput,
    TransactionFailed,
    TransactionLost,
    TransactionRefused,
)

VALID_FOR_BLOCKS = 100
"""Timeout height over the current height: after it a silent transaction is certainly lost."""

_SEQUENCE_MISMATCH = re.compile(
    r"account sequence mismatch, expected ([0-9]{1,19}), got ([0-9]{1,19})"
)
_SEQUENCE_TRIES = 3
_SEND_TRIES = 3


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
            signed = await self._broadcast(message, memo)
            return await self.wait(signed)

    async def wait(self, signed: SignedTransaction) -> TransactionResult:
        """Poll until the transaction is in a block. Raises as ``send``."""
        deadline = self._clock() + self._inclusion_timeout_s
        while True:
            # The height is read first: a block that came in between is then seen by the look-up.
            height = await self._chain.latest_height()
            result = await self._chain.transaction(signed.tx_hash)
            if result is not None:
                return self._succeeded(result)
            where = f"transaction {signed.tx_hash}"
            if 0 < signed.timeout_height < height:
                raise TransactionLost(
                    f"it is in no block up to height {height}", where, "Send it again"
                )
            if self._clock() >= deadline:
                raise ChainUnavailable(
                    f"it is in no block after {self._inclusion_timeout_s:g} s",
                    where,
                    "Check that the chain makes blocks",
                )
            await self._sleep(self._poll_interval_s)

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
        """Sign with the sequence that the chain expects; another program may use the account."""
        account = await self._chain.account(self.address)
        sequence = account.sequence
        for tried in range(1, _SEQUENCE_TRIES + 1):
            try:
                signed = await self._prepare(message, memo, account, sequence)
                answer = await self._send_until_answered(signed.tx_bytes)
                if answer.code == 0 or answer.already_known:
                    return signed
                raise _refused(answer)
            except TransactionRefused as error:
                expected = _expected_sequence(error)
                if expected is None or tried == _SEQUENCE_TRIES:
                    raise
                sequence = expected
        raise AssertionError("every try returns or raises")

    async def _send_until_answered(self, tx_bytes: bytes) -> BroadcastResult:
        """Identical bytes are one transaction: they may be sent again when no answer came."""
        for _ in range(1, _SEND_TRIES):
            try:
                return await self._chain.broadcast_sync(tx_bytes)
            except ChainUnavailable:
                await self._sleep(self._poll_interval_s)
        return await self._chain.broadcast_sync(tx_bytes)

    async def _prepare(
        self, message: Message, memo: str, account: Account, sequence: int
    ) -> SignedTransaction:
        public_key = public_key_of(self._private_key)
        timeout_height = await self._chain.latest_height() + VALID_FOR_BLOCKS
        unsigned = unsigned_for_simulation(
            self._dialect, message, public_key, sequence, memo, timeout_height
        )
        gas = await self._chain.simulate(unsigned)
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


def _refused(answer: BroadcastResult) -> TransactionRefused:
    return TransactionRefused(
        f"{answer.codespace}/{answer.code}: {answer.log}",
        f"transaction {answer.tx_hash}",
        "",
        answer.codespace,
        answer.code,
    )


def _expected_sequence(error: TransactionRefused) -> int | None:
    match = _SEQUENCE_MISMATCH.search(error.what)
    return int(match[1]) if match else None


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
