"""Deleting objects and buckets on chain, by users, and discontinuing them, by their primary SP;
storage providers give the space back by themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from greenray.chain.dialects import Dialect
from greenray.chain.ports import ChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import (
    AccessDenied,
    InvalidInput,
    TransactionRefused,
    WrongObjectStatus,
)
from greenray.protocol.names import check_bucket_name, check_object_name
from greenray.protocol.objects import ObjectStatus, Visibility

_NOT_EMPTY = "Bucket is not empty"
_DENIED = "Access denied"
_NO_PROVIDER = "No such storage provider"
_DISCONTINUED_ALREADY = ("should in created or sealed status", "invalid bucket status")


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted or discontinued; ``object_name`` and ``object_id`` None: the bucket.
    ``cancelled``: it was not sealed yet, and its creation was taken back."""

    bucket_name: str
    object_name: str | None
    object_id: int | None
    cancelled: bool
    tx_hash: str
    height: int

    @property
    def name(self) -> str:
        """``bucket/object``, or the bucket."""
        return "/".join(filter(None, (self.bucket_name, self.object_name)))

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        bucket, object_name = document.pop("bucket_name"), document.pop("object_name")
        return {"bucket": bucket, "object": object_name, **document}


class Deleter:
    """Deletes in a user's name."""

    def __init__(self, chain: ChainClient, dialect: Dialect, private_key: bytes) -> None:
        self._chain = chain
        self._sender = TransactionSender(chain, dialect, private_key)

    async def close(self) -> None:
        """Send nothing any more."""
        await self._sender.close()

    async def delete_object(
        self, bucket_name: str, object_name: str, *, only_created: bool = False
    ) -> Deletion:
        """``only_created``: take back its creation, or refuse. Raises: InvalidName, NoSuchObject,
        WrongObjectStatus (it is sealed), AccessDenied, TransactionRefused, TransactionFailed,
        ChainError."""
        check_bucket_name(bucket_name)
        check_object_name(object_name)
        info = await self._chain.head_object(bucket_name, object_name)
        cancels = info.object_status is ObjectStatus.OBJECT_STATUS_CREATED
        if only_created and not cancels:
            raise WrongObjectStatus(
                f"the object is {info.object_status.name}: there is nothing to cancel",
                info.name,
                f"Delete it with greenray rm {info.name}",
            )
        send = self._sender.cancel_create_object if cancels else self._sender.delete_object
        try:
            result = await send(bucket_name, object_name)
        except TransactionRefused as error:
            raise _told(error, info.name) from error
        return Deletion(bucket_name, object_name, info.id, cancels, result.tx_hash, result.height)

    async def set_visibility(
        self, bucket_name: str, object_name: str, visibility: Visibility
    ) -> str:
        """Say who may read an object; the hash of the transaction. Raises: NoSuchObject,
        AccessDenied, TransactionRefused, TransactionFailed, ChainError."""
        info = await self._chain.head_object(bucket_name, object_name)
        try:
            result = await self._sender.set_visibility(bucket_name, object_name, visibility)
        except TransactionRefused as error:
            raise _told(error, info.name) from error
        return result.tx_hash

    async def delete_bucket(self, bucket_name: str) -> Deletion:
        """Raises: InvalidName, InvalidInput (it is not empty), NoSuchBucket, AccessDenied,
        TransactionRefused, TransactionFailed, ChainError."""
        check_bucket_name(bucket_name)
        await self._chain.head_bucket(bucket_name)
        try:
            result = await self._sender.delete_bucket(bucket_name)
        except TransactionRefused as error:
            raise _told(error, bucket_name) from error
        return Deletion(bucket_name, None, None, False, result.tx_hash, result.height)

    async def discontinue(self, bucket_name: str, object_name: str | None, reason: str) -> Deletion:
        """Stop to serve an object, or with None a bucket and all that is in it: the chain deletes
        it after its confirm period. With the gc key of the bucket's primary SP.

        Raises: NoSuchObject, NoSuchBucket, AccessDenied, InvalidInput (the reason is longer than
        128 bytes), WrongObjectStatus (it is discontinued already), TransactionRefused,
        TransactionFailed, ChainError.
        """
        check_bucket_name(bucket_name)
        name = "/".join(filter(None, (bucket_name, object_name)))
        object_id: int | None = None
        try:
            if object_name is None:
                await self._chain.head_bucket(bucket_name)
                result = await self._sender.discontinue_bucket(bucket_name, reason)
            else:
                object_id = (await self._chain.head_object(bucket_name, object_name)).id
                result = await self._sender.discontinue_object(bucket_name, object_id, reason)
        except TransactionRefused as error:
            raise _told_to_provider(error, name) from error
        return Deletion(bucket_name, object_name, object_id, False, result.tx_hash, result.height)


def _told(error: TransactionRefused, name: str) -> Exception:
    """What the chain's refusal means to a user, where there is something to do about it."""
    if _NOT_EMPTY in error.what:
        return InvalidInput(
            "the bucket is not empty",
            name,
            f"Delete its objects first, or with it: greenray rb --force {name}",
        )
    if _DENIED in error.what:
        return AccessDenied(
            "only its owner, or who has a policy for it, may do this", name, "Name another key"
        )
    return error


def _told_to_provider(error: TransactionRefused, name: str) -> Exception:
    """The same to a storage provider that discontinues something.

    The key of nobody's is told from that of another provider by the chain; both are the wrong one.
    """
    if _NO_PROVIDER in error.what or _DENIED in error.what:
        return AccessDenied(
            "the key is not the gc key of the bucket's primary", name, "Name that key with --key"
        )
    if any(said in error.what for said in _DISCONTINUED_ALREADY):
        return WrongObjectStatus(
            "it is discontinued already", name, "The chain deletes it after its confirm period"
        )
    return error
