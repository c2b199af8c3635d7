"""A small chain in memory that implements ``greenray.chain.ports.ChainClient``.

It is a model, not a mock: accounts, buckets and objects live in it, statuses change through its
methods, and queries answer from that state. A broadcast transaction is decoded, its sequence and
its primary's approval are checked, and it takes effect in a block that is made at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from greenray.chain import wire
from greenray.chain.crypto import recover_signer
from greenray.chain.dialects import Message, get_dialect
from greenray.chain.dialects.v0_2 import MsgCreateBucket, MsgCreateObject, MsgSealObject
from greenray.chain.ports import (
    Account,
    BroadcastResult,
    ChainClient,
    GasEstimate,
    TransactionResult,
)
from greenray.chain.transactions.signing import transaction_hash
from greenray.protocol.errors import (
    ChainUnavailable,
    NoSuchAccount,
    NoSuchBucket,
    NoSuchObject,
    TransactionRefused,
)
from greenray.protocol.listing import StreamRecord
from greenray.protocol.objects import (
    ActionType,
    BucketInfo,
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    StorageParams,
    StorageProvider,
    Visibility,
)

CREATE_AT = 1684137600
PLENTY = 10**26


class FakeChain(ChainClient):
    """``providers`` are registered and in service; ``params`` are the consensus parameters."""

    def __init__(
        self, providers: Iterable[StorageProvider] = (), params: StorageParams | None = None
    ) -> None:
        self.params = params or StorageParams()
        self.providers = list(providers)
        self.height = 100
        self.accounts: dict[str, Account] = {}
        self.buckets: dict[str, BucketInfo] = {}
        self.objects: dict[tuple[str, str], ObjectInfo] = {}
        self.grants: set[tuple[str, str, str, ActionType]] = set()
        """(operator, bucket, object, action) that a policy allows."""
        self.frozen_payment_addresses: set[str] = set()
        self.stream_records: dict[str, StreamRecord] = {}
        self.balances: dict[str, int] = {}
        """Of accounts that have another one than ``PLENTY``."""
        self.transactions: dict[str, TransactionResult] = {}
        self.unavailable = False
        self.calls: list[str] = []
        """Names of the queries made, in order."""

    # --- what tests do to it -------------------------------------------------------------------

    def add_account(self, address: str, sequence: int = 0) -> Account:
        account = Account(address, len(self.accounts) + 1, sequence)
        self.accounts[address] = account
        return account

    def add_bucket(self, owner: str, bucket_name: str, primary_sp_address: str) -> BucketInfo:
        bucket = BucketInfo(
            owner=owner,
            bucket_name=bucket_name,
            visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
            id=len(self.buckets) + 1,
            create_at=CREATE_AT,
            payment_address=owner,
            primary_sp_address=primary_sp_address,
        )
        self.buckets[bucket_name] = bucket
        return bucket

    def add_object(
        self,
        bucket_name: str,
        object_name: str,
        payload_size: int,
        checksums: tuple[bytes, ...],
        *,
        redundancy_type: RedundancyType = RedundancyType.REDUNDANCY_EC_TYPE,
        visibility: Visibility = Visibility.VISIBILITY_TYPE_INHERIT,
        content_type: str = "application/octet-stream",
    ) -> ObjectInfo:
        """CREATED, or SEALED at once when it is empty (protocol 04 §10.2)."""
        info = ObjectInfo(
            owner=self.buckets[bucket_name].owner,
            bucket_name=bucket_name,
            object_name=object_name,
            id=len(self.objects) + 1,
            payload_size=payload_size,
            visibility=visibility,
            content_type=content_type,
            create_at=CREATE_AT,
            object_status=(
                ObjectStatus.OBJECT_STATUS_CREATED
                if payload_size
                else ObjectStatus.OBJECT_STATUS_SEALED
            ),
            redundancy_type=redundancy_type,
            checksums=checksums,
        )
        self.objects[bucket_name, object_name] = info
        return info

    def seal_object(
        self, bucket_name: str, object_name: str, secondaries: tuple[str, ...] = ()
    ) -> ObjectInfo:
        sealed = replace(
            self.objects[bucket_name, object_name],
            object_status=ObjectStatus.OBJECT_STATUS_SEALED,
            secondary_sp_addresses=secondaries,
        )
        self.objects[bucket_name, object_name] = sealed
        return sealed

    # --- ChainClient ---------------------------------------------------------------------------

    async def chain_id(self) -> str:
        self._called("chain_id")
        return "greenfield_9000-1741"

    async def latest_height(self) -> int:
        self._called("latest_height")
        return self.height

    async def storage_params(self) -> StorageParams:
        self._called("storage_params")
        return self.params

    async def storage_providers(self) -> tuple[StorageProvider, ...]:
        self._called("storage_providers")
        return tuple(self.providers)

    async def head_bucket(self, bucket_name: str) -> BucketInfo:
        self._called("head_bucket")
        try:
            return self.buckets[bucket_name]
        except KeyError:
            raise NoSuchBucket("no such bucket on chain", bucket_name) from None

    async def head_object(self, bucket_name: str, object_name: str) -> ObjectInfo:
        self._called("head_object")
        try:
            return self.objects[bucket_name, object_name]
        except KeyError:
            raise NoSuchObject("no such object on chain", f"{bucket_name}/{object_name}") from None

    async def head_object_by_id(self, object_id: int) -> ObjectInfo:
        self._called("head_object_by_id")
        for info in self.objects.values():
            if info.id == object_id:
                return info
        raise NoSuchObject("no such object on chain", f"object {object_id}")

    async def verify_permission(
        self, operator: str, bucket_name: str, object_name: str, action: ActionType
    ) -> bool:
        self._called("verify_permission")
        if bucket_name not in self.buckets:
            raise NoSuchBucket("no such bucket on chain", bucket_name)
        bucket = self.buckets[bucket_name]
        info = self.objects.get((bucket_name, object_name))
        if info is None and object_name:
            raise NoSuchObject("no such object on chain", f"{bucket_name}/{object_name}")
        if operator == bucket.owner:
            return True
        if action is ActionType.ACTION_GET_OBJECT and _is_public(bucket, info):
            return True
        return (operator, bucket_name, object_name, action) in self.grants

    async def account(self, address: str) -> Account:
        self._called("account")
        try:
            return self.accounts[address]
        except KeyError:
            raise NoSuchAccount("no such account on chain", address) from None

    async def balance(self, address: str) -> int:
        self._called("balance")
        return self.balances.get(address, PLENTY)

    async def stream_record(self, payment_address: str) -> StreamRecord | None:
        self._called("stream_record")
        return self.stream_records.get(payment_address)

    async def is_stream_active(self, payment_address: str) -> bool:
        self._called("is_stream_active")
        return payment_address not in self.frozen_payment_addresses

    async def transaction(self, tx_hash: str) -> TransactionResult | None:
        self._called("transaction")
        return self.transactions.get(tx_hash.upper())

    async def simulate(self, tx_bytes: bytes) -> GasEstimate:
        self._called("simulate")
        self._check(_decode(tx_bytes)[0])
        return GasEstimate(1200, 1200 * 5 * 10**9, "BNB")

    async def broadcast_all(self, transactions: Sequence[bytes]) -> tuple[BroadcastResult, ...]:
        return tuple([await self.broadcast_sync(tx_bytes) for tx_bytes in transactions])

    async def broadcast_sync(self, tx_bytes: bytes) -> BroadcastResult:
        self._called("broadcast_sync")
        tx_hash = transaction_hash(tx_bytes)
        message, sequence = _decode(tx_bytes)
        signer = self.accounts[get_dialect().signer_address(message)]
        if sequence != signer.sequence:
            log = f"account sequence mismatch, expected {signer.sequence}, got {sequence}"
            return BroadcastResult(tx_hash, 32, "sdk", log)
        self._check(message)
        self.height += 1
        self.accounts[signer.address] = replace(signer, sequence=sequence + 1)
        data = self._execute(message)
        self.transactions[tx_hash] = TransactionResult(tx_hash, self.height, 0, "", "[]", data)
        return BroadcastResult(tx_hash, 0, "", "[]")

    async def close(self) -> None:
        """Nothing is open."""

    def _check(self, message: Message) -> None:
        match message:
            case MsgCreateBucket(bucket_name=name):
                if name in self.buckets:
                    raise TransactionRefused("Bucket already exists", name)
                self._check_approval(message, message.primary_sp_address)
            case MsgCreateObject():
                bucket = self.buckets.get(message.bucket_name)
                if bucket is None:
                    raise TransactionRefused("No such bucket", message.bucket_name)
                if (message.bucket_name, message.object_name) in self.objects:
                    raise TransactionRefused("Object already exists", message.object_name)
                self._check_approval(message, bucket.primary_sp_address)

    def _check_approval(self, message: MsgCreateBucket | MsgCreateObject, sp_address: str) -> None:
        approval = message.primary_sp_approval
        assert approval is not None
        keys = {sp.operator_address: sp.approval_address for sp in self.providers}
        signer = recover_signer(get_dialect().approval_sign_bytes(message), approval.sig)
        if approval.expired_height < self.height or signer != keys.get(sp_address):
            raise TransactionRefused("Invalid approval of sp", sp_address)

    def _execute(self, message: Message) -> bytes:
        """Take effect; the bytes of TxMsgData with the message's response."""
        match message:
            case MsgCreateBucket():
                bucket = self.add_bucket(
                    message.creator, message.bucket_name, message.primary_sp_address
                )
                self.buckets[bucket.bucket_name] = replace(bucket, visibility=message.visibility)
                response: Any = wire.storage.MsgCreateBucketResponse(bucket_id=str(bucket.id))
            case MsgCreateObject():
                info = self.add_object(
                    message.bucket_name,
                    message.object_name,
                    message.payload_size,
                    message.expect_checksums,
                    redundancy_type=message.redundancy_type,
                    visibility=message.visibility,
                    content_type=message.content_type,
                )
                response = wire.storage.MsgCreateObjectResponse(object_id=str(info.id))
            case MsgSealObject():
                self.seal_object(
                    message.bucket_name, message.object_name, message.secondary_sp_addresses
                )
                response = wire.storage.MsgSealObjectResponse()
            case _:
                raise TransactionRefused(f"the fake chain does not know {type(message).__name__}")
        answer = wire.abci.TxMsgData()
        answer.msg_responses.add(value=response.SerializeToString())
        encoded: bytes = answer.SerializeToString()
        return encoded

    def _called(self, name: str) -> None:
        if self.unavailable:
            raise ChainUnavailable("the chain does not answer", "fake chain", "Start it.")
        self.calls.append(name)


def _is_public(bucket: BucketInfo, info: ObjectInfo | None) -> bool:
    inherited = info is None or info.visibility is Visibility.VISIBILITY_TYPE_INHERIT
    visibility = bucket.visibility if inherited or info is None else info.visibility
    return visibility is Visibility.VISIBILITY_TYPE_PUBLIC_READ


def _decode(tx_bytes: bytes) -> tuple[Message, int]:
    """The only message and the signer's sequence."""
    raw = wire.decode(wire.tx.TxRaw, tx_bytes)
    (message,) = wire.decode(wire.tx.TxBody, raw.body_bytes).messages
    (signer,) = wire.decode(wire.tx.AuthInfo, raw.auth_info_bytes).signer_infos
    return get_dialect().decode_message(message.type_url, message.value), signer.sequence
