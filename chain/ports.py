"""What everyone above ``chain`` may ask of a chain, real or embedded. All calls are async."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from greenray.protocol.collection import BlockNews, ChainTip, ObjectSighting
from greenray.protocol.index_changes import BlockRecord
from greenray.protocol.listing import StreamRecord
from greenray.protocol.objects import (
    ActionType,
    BucketInfo,
    ObjectInfo,
    StorageParams,
    StorageProvider,
)
from greenray.seam.travel import alone, grouped

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    address: str
    account_number: int
    sequence: int


@dataclass(frozen=True, slots=True)
class GasEstimate:
    gas_limit: int
    fee_amount: int
    fee_denom: str


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """The answer of broadcast_tx_sync; ``code`` 0 means CheckTx accepted it.

    ``already_known`` is set when the node said that it has this very transaction already.
    """

    tx_hash: str
    code: int
    codespace: str
    log: str
    already_known: bool = False


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """A transaction in a block. Its events are in ``log``, when it succeeded."""

    tx_hash: str
    height: int
    code: int
    codespace: str
    log: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ChainPage(Generic[T]):
    """``next_key`` empty: this was the last page. ``height``: of the state that it is from."""

    items: tuple[T, ...]
    next_key: bytes
    height: int


class ChainClient(Protocol):
    """Raises ChainUnavailable when no answer came, ChainAnswerInvalid when it made no sense."""

    @alone
    async def chain_id(self) -> str: ...

    @grouped
    async def latest_height(self) -> int: ...

    @grouped
    async def storage_params(self) -> StorageParams: ...

    @grouped
    async def storage_providers(self) -> tuple[StorageProvider, ...]: ...

    @grouped
    async def head_bucket(self, bucket_name: str) -> BucketInfo:
        """Raises NoSuchBucket."""

    @grouped
    async def head_object(self, bucket_name: str, object_name: str) -> ObjectInfo:
        """Raises NoSuchObject (also when the bucket is missing)."""

    @grouped
    async def head_object_by_id(self, object_id: int) -> ObjectInfo:
        """Raises NoSuchObject."""

    @grouped
    async def verify_permission(
        self, operator: str, bucket_name: str, object_name: str, action: ActionType
    ) -> bool:
        """True for EFFECT_ALLOW. ``operator`` may be empty. Raises NoSuchBucket, NoSuchObject."""

    @grouped
    async def account(self, address: str) -> Account:
        """Raises NoSuchAccount."""

    @grouped
    async def balance(self, address: str) -> int:
        """What the account has of the coin that fees are paid in, in its smallest unit; 0 for one
        that does not exist."""

    @grouped
    async def is_stream_active(self, payment_address: str) -> bool:
        """Whether the payment account's stream record is ACTIVE; a missing record counts as
        active (an account that owes nothing has none)."""

    @alone
    async def simulate(self, tx_bytes: bytes) -> GasEstimate:
        """Raises TransactionRefused with the node's text."""

    @alone
    async def broadcast_sync(self, tx_bytes: bytes) -> BroadcastResult:
        """Sends the bytes once, never by itself again: a refusal then proves that the node has not
        accepted them. After ChainUnavailable they may or may not be in its mempool."""

    @alone
    async def broadcast_all(self, transactions: Sequence[bytes]) -> tuple[BroadcastResult, ...]:
        """``broadcast_sync`` of each, in that order; one that is refused does not stop the others.
        After ChainUnavailable any of them may or may not be in the node's mempool."""

    @grouped
    async def transaction(self, tx_hash: str) -> TransactionResult | None:
        """The transaction if it is in a block, else None."""

    @alone
    async def close(self) -> None: ...


class ChainHistory(Protocol):
    """The chain as who has to know which state an answer is from. Raises as ``ChainClient``."""

    @alone
    async def first_block_hash(self) -> str:
        """Hexadecimal, and another one for another chain of the same id; empty when the node has it
        no more."""

    @grouped
    async def latest_block(self) -> ChainTip: ...

    @grouped
    async def block_hash(self, height: int) -> str:
        """Hexadecimal; empty when the node does not have the block (yet, or any more)."""

    @grouped
    async def block_news(self, height: int) -> BlockNews | None:
        """What a block did to objects; None when the node does not have its results."""

    @grouped
    async def sight_object(self, object_id: int) -> ObjectSighting:
        """As ``head_object_by_id``, and the height of the state that the answer is from; what is
        not there is an answer, too."""

    @grouped
    async def primary_of(self, bucket_name: str, height: int) -> str:
        """Operator address of the bucket's primary SP in a state that is not older than the one
        after block ``height``. Empty: there is no such bucket, or the node's state is older."""


class StreamRecords(Protocol):
    """What accounts pay. Raises as ``ChainClient``."""

    @grouped
    async def stream_record(self, payment_address: str) -> StreamRecord | None:
        """None: the account has never paid for anything. Raises also InvalidInput: no address."""


class FollowedChain(ChainHistory, Protocol):
    """The chain as who keeps an index of it sees it. Raises as ``ChainClient``."""

    @grouped
    async def block_record(self, height: int) -> BlockRecord | None:
        """``block_news`` with what the block did to the index of buckets and objects: for who reads
        each block once for both."""

    @alone
    async def bucket_page(self, page_key: bytes) -> ChainPage[BucketInfo]:
        """Some buckets of all accounts; ``page_key`` empty: the first."""

    @alone
    async def object_page(self, bucket_name: str, page_key: bytes) -> ChainPage[ObjectInfo]:
        """Some objects of a bucket; none of one that is not there."""
