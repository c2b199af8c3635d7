"""Creating buckets and objects on chain, with the primary's approval (protocol 06 §3.4)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenray.chain.dialects import Dialect, Message
from greenray.chain.ports import ChainClient
from greenray.chain.transactions.user import TransactionSender, object_id_of
from greenray.client.gateway_session import GatewaySession
from greenray.client.patience import patiently
from greenray.protocol.errors import (
    AnotherObject,
    BadAnswer,
    ChainLags,
    InvalidInput,
    NoSuchObject,
    TransactionRefused,
    WrongObjectStatus,
)
from greenray.protocol.go_json import sorted_compact
from greenray.protocol.objects import BucketInfo, ObjectInfo, RedundancyType, Visibility

if TYPE_CHECKING:
    from greenray.coding.checksums import PayloadChecksums

_APPROVAL_PATH = "/greenfield/admin/v1/get-approval"
_EXISTS = "already exists"
OBJECT_EXISTS = "Object already exists"
_DISCONTINUED = "the bucket is discontinued"
_APPROVALS_AT_ONCE = 16
_FIND_TRIES, _FIND_INTERVAL_S = 20, 0.25
"""How long what a block has is looked for."""


@dataclass(frozen=True, slots=True)
class PutOptions:
    """How a bucket or object is created when it does not exist."""

    visibility: Visibility = Visibility.VISIBILITY_TYPE_INHERIT
    bucket_visibility: Visibility = Visibility.VISIBILITY_TYPE_PRIVATE
    redundancy_type: RedundancyType = RedundancyType.REDUNDANCY_EC_TYPE
    content_type: str = "application/octet-stream"
    replace_created: bool = False
    """Whether an object that is created and waits for another payload is cancelled first."""


class Creator:
    """Makes a user's buckets and objects."""

    def __init__(
        self,
        chain: ChainClient,
        dialect: Dialect,
        private_key: bytes,
        *,
        outage_s: float = 0.0,
        poll_interval_s: float = 0.25,
    ) -> None:
        """``outage_s``: how long a gateway that is asked for an approval may be away.
        ``poll_interval_s``: how often the chain is asked for blocks."""
        self._outage_s = outage_s
        self._chain = chain
        self._dialect = dialect
        self._sender = TransactionSender(
            chain, dialect, private_key, poll_interval_s=poll_interval_s
        )
        self._asking = asyncio.Semaphore(_APPROVALS_AT_ONCE)

    async def close(self) -> None:
        """Send nothing any more."""
        await self._sender.close()

    async def create_bucket(
        self, session: GatewaySession, bucket_name: str, sp_address: str, options: PutOptions
    ) -> BucketInfo:
        """A bucket whose primary is the SP behind ``session``; one that appeared meanwhile is fine.

        Raises: TransactionRefused, TransactionFailed, ChainError, BadAnswer.
        """
        message = self._dialect.create_bucket_message(
            self._sender.address, bucket_name, sp_address, options.bucket_visibility
        )
        try:
            await self._sender.send_approved(
                lambda: self._approved(session, "CreateBucket", message)
            )
        except TransactionRefused as error:
            if _EXISTS not in error.what:
                raise
        return await self._chain.head_bucket(bucket_name)

    async def create_object(
        self,
        session: GatewaySession,
        bucket_name: str,
        object_name: str,
        checksums: PayloadChecksums,
        options: PutOptions,
    ) -> ObjectInfo:
        """The object that our transaction made, and no other of that name.

        Raises: AnotherObject, WrongObjectStatus (the bucket is discontinued), TransactionRefused,
        TransactionFailed, ChainError, BadAnswer.
        """
        message = self._object_message(bucket_name, object_name, checksums, options)
        try:
            created = await self._sender.send_approved(
                lambda: self._approved(session, "CreateObject", message)
            )
        except TransactionRefused as error:
            if _DISCONTINUED not in error.what:
                raise
            raise WrongObjectStatus(
                "its bucket is discontinued, and will be deleted",
                f"{bucket_name}/{object_name}",
                "Choose another bucket",
            ) from error
        object_id = object_id_of(created)
        info = await self._found(object_id, f"{bucket_name}/{object_name}")
        if info.checksums != checksums.integrity_hashes or info.object_name != object_name:
            raise AnotherObject(
                f"object {object_id} is {info.identity} on chain, which is not what was created",
                f"{bucket_name}/{object_name}",
                "The chain was put back, or its nodes disagree: put it again",
            )
        return info

    async def _found(self, object_id: int, name: str) -> ObjectInfo:
        """A node may be some blocks behind the one that has executed the transaction."""
        tries = iter(range(_FIND_TRIES))
        while True:
            try:
                return await self._chain.head_object_by_id(object_id)
            except NoSuchObject as error:
                if next(tries, None) is None:
                    raise ChainLags(
                        f"object {object_id} was created, and the node does not have it",
                        name,
                        "Put it again: it goes on from there",
                    ) from error
            await asyncio.sleep(_FIND_INTERVAL_S)

    def _object_message(
        self,
        bucket_name: str,
        object_name: str,
        checksums: PayloadChecksums,
        options: PutOptions,
    ) -> Message:
        return self._dialect.create_object_message(
            self._sender.address,
            bucket_name,
            object_name,
            payload_size=checksums.payload_size_bytes,
            visibility=options.visibility,
            content_type=options.content_type,
            expect_checksums=checksums.integrity_hashes,
            redundancy_type=options.redundancy_type,
        )

    async def _approved(self, session: GatewaySession, action: str, message: Message) -> Message:
        """The message with the primary's approval; nothing else in it may have changed."""
        unsigned = sorted_compact(self._dialect.message_to_json(message)).hex()

        async def ask() -> str:
            async with session.request(
                "GET", _APPROVAL_PATH, f"action={action}", {"X-Gnfd-Unsigned-Msg": unsigned}
            ) as answer:
                return answer.headers.get("X-Gnfd-Signed-Msg", "")

        async with self._asking:
            header = await patiently(ask, self._outage_s)
        try:
            signed = self._dialect.message_from_json(
                json.loads(bytes.fromhex(header)), type(message)
            )
            approval = self._dialect.approval_of(signed)
            if approval is None:
                raise InvalidInput("the message has no approval")
            approved = self._dialect.with_approval(message, approval.expired_height, approval.sig)
        except (ValueError, TypeError, RecursionError, InvalidInput) as error:
            raise BadAnswer(
                "the approval cannot be read", session.endpoint, "See the gateway's log."
            ) from error
        if approved != signed:
            raise BadAnswer(
                "the gateway approved another message than the one asked for", session.endpoint
            )
        return approved
