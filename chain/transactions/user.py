"""Transactions of one user: simulate, sign, broadcast, wait until they are in a block.

``put`` uses this for create-bucket, create-object and cancel; SPs seal through the Signer, which
keeps a journal. Both send the same bytes again until their fate is decided, by the rules of
``greenray.protocol.nonce_plan``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from greenray.chain import wire
from greenray.chain.crypto import address_of
from greenray.chain.dialect import Dialect, Message
from greenray.chain.ports import ChainClient, TransactionResult
from greenray.chain.transactions.pipeline import AccountPipeline
from greenray.chain.transactions.signing import SignedTransaction
from greenray.chain.transactions.window import ApprovalWindow
from greenray.protocol.errors import ChainAnswerInvalid, InvalidInput, TransactionRefused
from greenray.protocol.objects import Visibility

_MOST_APPROVALS_AHEAD = 256
_APPROVAL_TRIES = 10
_EXPIRED = "approval of sp is expired"


class TransactionSender:
    """Sends transactions of one account, any number at a time. ``repr`` shows the address only."""

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
        self._dialect = dialect
        self._window = ApprovalWindow(_MOST_APPROVALS_AHEAD)
        self._pipeline = AccountPipeline(
            chain,
            dialect,
            private_key,
            poll_interval_s=poll_interval_s,
            inclusion_timeout_s=inclusion_timeout_s,
            clock=clock,
            sleep=sleep,
        )

    def __repr__(self) -> str:
        return f"TransactionSender({self.address})"

    async def close(self) -> None:
        """Send nothing any more. What was sent may still get into a block."""
        await self._pipeline.close()

    async def send(self, message: Message, memo: str = "") -> TransactionResult:
        """Send one message and wait until it is executed. Messages that are sent at the same time
        get consecutive nonces, and do not wait for each other.

        Raises:
            InvalidInput: the chain would not even look at the message (ValidateBasic).
            InsufficientFunds: the account cannot pay.
            TransactionRefused: simulation or CheckTx refused it; nothing was paid.
            TransactionFailed: it is in a block and failed there.
            ChainUnavailable: no answer, or not in a block within the inclusion timeout.
            NoSuchAccount: the account has never received anything.
        """
        fault = self._dialect.validate_basic(message)
        if fault is not None:
            raise InvalidInput(fault.log, type(message).__name__)
        return await self._pipeline.send(message, memo)

    async def send_approved(self, approved: Callable[[], Awaitable[Message]]) -> TransactionResult:
        """``send`` what ``approved`` returns, which is asked for at its turn, and again when the
        approval has expired meanwhile. Raises as ``send``, and what ``approved`` raises."""
        async with self._window.place():
            for tried in range(1, _APPROVAL_TRIES + 1):
                try:
                    result = await self.send(await approved())
                except TransactionRefused as error:
                    if _EXPIRED not in error.what or tried == _APPROVAL_TRIES:
                        raise
                    self._window.has_expired()
                else:
                    self._window.was_in_time()
                    return result
        raise AssertionError("every try returns or raises")

    async def wait(self, signed: SignedTransaction) -> TransactionResult:
        """Return when the transaction is in a block; its bytes are sent again meanwhile, because a
        node that was killed has forgotten them. A chain that is away is waited for.

        Raises: TransactionFailed, TransactionLost (it can never be in a block), ChainUnavailable.
        """
        return await self._pipeline.wait(signed)

    # --- what ``put`` needs ----------------------------------------------------------------------

    async def create_bucket(self, approved: Message) -> int:
        """Send an approved create-bucket message; the new bucket's id. Raises as ``send``."""
        return bucket_id_of(await self.send(approved))

    async def create_object(self, approved: Message) -> int:
        """Send an approved create-object message; the new object's id. Raises as ``send``."""
        return object_id_of(await self.send(approved))

    async def cancel_create_object(self, bucket_name: str, object_name: str) -> TransactionResult:
        """Take back an object that is not sealed. Raises as ``send``."""
        message = self._dialect.cancel_create_object_message(self.address, bucket_name, object_name)
        return await self.send(message)

    async def send_coins(self, receiver: str, amount: int) -> TransactionResult:
        """``amount`` in the smallest unit of the coin that pays fees. Raises as ``send``."""
        return await self.send(self._dialect.send_message(self.address, receiver, amount))

    async def delete_object(self, bucket_name: str, object_name: str) -> TransactionResult:
        """Delete an object that is sealed or discontinued. Raises as ``send``."""
        message = self._dialect.delete_object_message(self.address, bucket_name, object_name)
        return await self.send(message)

    async def set_visibility(
        self, bucket_name: str, object_name: str, visibility: Visibility
    ) -> TransactionResult:
        """Say who may read an object. Raises as ``send``."""
        return await self.send(
            self._dialect.update_object_info_message(
                self.address, bucket_name, object_name, visibility
            )
        )

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


def bucket_id_of(result: TransactionResult) -> int:
    """Of a bucket that was created. Raises ChainAnswerInvalid."""
    return _id_of(_response(result, wire.storage.MsgCreateBucketResponse).bucket_id, result)


def object_id_of(result: TransactionResult) -> int:
    """Of an object that was created. Raises ChainAnswerInvalid."""
    return _id_of(_response(result, wire.storage.MsgCreateObjectResponse).object_id, result)


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
