"""What a dialect of the chain offers, and the values every dialect shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from greenray.protocol.approvals import Approval, ApprovalRequest
from greenray.protocol.collection import BlockNews
from greenray.protocol.index_changes import IndexChange
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.job import JobContext, SecondaryReceipt
from greenray.protocol.objects import (
    ActionType,
    BucketInfo,
    ObjectInfo,
    RedundancyType,
    StorageParams,
    StorageProvider,
    Visibility,
)
from greenray.protocol.peers import Ping, Pong
from greenray.protocol.replication_plan import ReplicationPlan

T = TypeVar("T")

Message = Any
"""A message dataclass of the dialect in use."""


@dataclass(frozen=True, slots=True)
class Coin:
    """``amount`` in the smallest unit of ``denom`` (10**-18 BNB)."""

    denom: str
    amount: int


NEVER_EXPIRES = 2**64 - 1
"""The expiry height of an approval that is still to be given."""


@dataclass(frozen=True, slots=True)
class SpApproval:
    """The primary SP's consent inside a message; valid while height <= ``expired_height``."""

    expired_height: int
    sig: bytes = b""


@dataclass(frozen=True, slots=True)
class TransactionTerms:
    """What is signed beside the message (protocol 04 §4.4).

    ``fee_payer`` empty: the signer pays, and the signed document says so although the
    transaction leaves the field empty. ``timeout_height`` 0: valid for ever.
    """

    chain_id: str
    account_number: int
    sequence: int
    gas_limit: int
    fee: tuple[Coin, ...]
    fee_payer: str = ""
    fee_granter: str = ""
    memo: str = ""
    timeout_height: int = 0


@dataclass(frozen=True, slots=True)
class SealSignature:
    """One secondary's signature inside a seal message; ``signer_address`` is recovered from it."""

    operator_address: str
    signature: bytes
    signer_address: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the chain refuses a message; ``log`` is its text, letter by letter."""

    codespace: str
    code: int
    log: str


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """An ABCI query; ``decode`` raises InvalidInput for an answer that makes no sense."""

    path: str
    request: bytes
    decode: Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``next_key`` empty: this was the last page."""

    items: tuple[T, ...]
    next_key: bytes


class Queries(Protocol):
    """Questions whose bytes differ between dialects."""

    def storage_params(self) -> Query[StorageParams]: ...

    def storage_providers(self, page_key: bytes, limit: int) -> Query[Page[StorageProvider]]: ...

    def head_bucket(self, bucket_name: str) -> Query[BucketInfo]: ...

    def head_object(self, bucket_name: str, object_name: str) -> Query[ObjectInfo]: ...

    def head_object_by_id(self, object_id: int) -> Query[ObjectInfo]: ...

    def verify_permission(
        self, operator: str, bucket_name: str, object_name: str, action: ActionType
    ) -> Query[bool]: ...

    def list_buckets(self, page_key: bytes, limit: int) -> Query[Page[BucketInfo]]:
        """Of all accounts."""

    def list_objects(
        self, bucket_name: str, page_key: bytes, limit: int
    ) -> Query[Page[ObjectInfo]]: ...


class P2pWire(Protocol):
    """How providers find each other and ask for approvals; the decoders raise InvalidInput."""

    def encode_request(self, request: ApprovalRequest) -> bytes: ...

    def decode_request(self, data: bytes) -> ApprovalRequest: ...

    def encode_approval(self, approval: Approval) -> bytes: ...

    def decode_approval(self, data: bytes) -> Approval: ...

    def encode_ping(self, ping: Ping) -> bytes: ...

    def decode_ping(self, data: bytes) -> Ping: ...

    def encode_pong(self, pong: Pong) -> bytes: ...

    def decode_pong(self, data: bytes) -> Pong: ...


class Secondaries(Protocol):
    """How secondaries are chosen, what they vouch with, and what is done anew when one fails."""

    @property
    def p2p_wire(self) -> P2pWire: ...

    def plan(self, job: JobContext) -> ReplicationPlan:
        """Who holds which redundancy index, by the job's record: after a failure that is on record,
        who holds it instead. Raises TooFewApprovals."""

    def plan_with(
        self,
        job: JobContext,
        approvals: Sequence[Approval],
        not_accepted: Sequence[tuple[str, str]],
    ) -> ReplicationPlan:
        """As ``plan``, if these approvals were the job's; ``not_accepted``: (operator address,
        reason) of the others, for the message. Raises TooFewApprovals."""

    def receipt_sign_bytes(
        self, operator_address: str, object_id: int, integrity_hash: bytes
    ) -> bytes:
        """What a secondary signs for a group it has finished."""

    def verify_receipt(
        self,
        receipt: UnverifiedReceipt | SecondaryReceipt,
        object_info: ObjectInfo,
        provider: StorageProvider,
    ) -> SecondaryReceipt:
        """See ``greenray.protocol.integrity.verify_receipt``. Raises SecondaryLied."""

    def seal_signatures(self, seal: Message, object_info: ObjectInfo) -> tuple[SealSignature, ...]:
        """What a seal message carries of its secondaries, in index order. Raises SignatureError."""


class Dialect(Protocol):
    """One wire dialect. A package of ``greenray.chain.dialects`` is one, and the type checker
    compares the two there; nothing outside compares names."""

    @property
    def fee_denom(self) -> str: ...

    @property
    def seal_cost(self) -> Coin:
        """The fee of one seal at the chain's usual gas price, before a node has said its own."""

    @property
    def queries(self) -> Queries: ...

    @property
    def secondaries(self) -> Secondaries: ...

    @property
    def approval_actions(self) -> Mapping[str, type[Message]]:
        """The messages that a primary approves, by the action's name in get-approval (06 §3.4)."""

    def encode_message(self, message: Message) -> bytes:
        """Protobuf bytes. Raises InvalidInput for values that do not fit."""

    def decode_message(self, type_url: str, value: bytes) -> Message:
        """The message inside an Any. Raises InvalidInput."""

    def type_url(self, message: Message) -> str: ...

    def signer_address(self, message: Message) -> str:
        """The account that must sign: creator, operator or sender."""

    def validate_basic(self, message: Message) -> Fault | None:
        """The chain's checks that need no state; None when it passes."""

    def eip712_typed_data(self, message: Message, terms: TransactionTerms) -> dict[str, Any]: ...

    def eip712_digest(self, message: Message, terms: TransactionTerms) -> bytes:
        """The 32 bytes that a transaction's signature is over."""

    def approval_sign_bytes(self, message: Message) -> bytes:
        """What the primary SP's approval key signs. Raises InvalidInput without an approval."""

    def approval_of(self, message: Message) -> SpApproval | None:
        """The approval in a message that has a place for one."""

    def with_approval(self, message: Message, expired_height: int, sig: bytes) -> Message: ...

    def message_to_json(self, message: Message) -> dict[str, Any]: ...

    def message_from_json(
        self, value: Mapping[str, Any], message_type: type[Message] | None = None
    ) -> Message: ...

    def block_news(self, height: int, events: Iterable[tuple[str, Mapping[str, str]]]) -> BlockNews:
        """What the events of a block, each its type and attributes, say of objects. Raises
        InvalidInput."""

    def index_change(self, name: str, attributes: Mapping[str, str]) -> IndexChange | None:
        """What an event of a block does to an index of buckets and objects; None: nothing. Raises
        InvalidInput."""

    # Messages are made here, because what they carry differs between dialects.

    def create_bucket_message(
        self,
        creator: str,
        bucket_name: str,
        primary_sp_address: str,
        visibility: Visibility,
        *,
        payment_address: str = "",
        charged_read_quota: int = 0,
    ) -> Message:
        """With an unsigned approval that never expires, as get-approval wants to see it."""

    def create_object_message(
        self,
        creator: str,
        bucket_name: str,
        object_name: str,
        *,
        payload_size: int,
        visibility: Visibility,
        content_type: str,
        expect_checksums: Sequence[bytes],
        redundancy_type: RedundancyType,
    ) -> Message:
        """As ``create_bucket_message``; ``payload_size`` in bytes."""

    def seal_message(
        self, operator: str, object_info: ObjectInfo, receipts: Sequence[SecondaryReceipt]
    ) -> Message:
        """``operator``: the seal address of the primary; ``receipts`` in index order."""

    def must_be_sealed(self, message: Message) -> bool:
        """Whether what the message makes has to be sealed by its primary."""

    def reject_seal_message(self, operator: str, object_info: ObjectInfo) -> Message: ...

    def cancel_create_object_message(
        self, operator: str, bucket_name: str, object_name: str
    ) -> Message: ...

    def send_message(self, sender: str, receiver: str, amount: int) -> Message:
        """``amount`` of the coin that fees are paid in, in its smallest unit."""

    def delete_object_message(
        self, operator: str, bucket_name: str, object_name: str
    ) -> Message: ...

    def update_object_info_message(
        self, operator: str, bucket_name: str, object_name: str, visibility: Visibility
    ) -> Message: ...

    def delete_bucket_message(self, operator: str, bucket_name: str) -> Message: ...

    def discontinue_object_message(
        self, operator: str, bucket_name: str, object_ids: Sequence[int], reason: str
    ) -> Message:
        """``operator``: the gc address of the primary."""

    def discontinue_bucket_message(self, operator: str, bucket_name: str, reason: str) -> Message:
        """``operator``: the gc address of the primary."""
