"""A small model of a node: check state, mempool, blocks, and faults that a test switches on.

It decodes and verifies the real bytes (sequence, timeout height, fee, EIP-712 signature) and
executes MsgSealObject and MsgRejectSealObject. A block is made by ``make_block``, or by ``sleep``
when that is given to the code under test, so that no test waits for a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256
from typing import Any

from greenray.chain import crypto, wire
from greenray.chain.dialect import Coin, TransactionTerms
from greenray.chain.dialects import get_dialect
from greenray.chain.ports import (
    Account,
    BroadcastResult,
    ChainClient,
    GasEstimate,
    TransactionResult,
)
from greenray.protocol.errors import (
    ChainUnavailable,
    NoSuchAccount,
    NoSuchBucket,
    NoSuchObject,
    TransactionRefused,
)
from greenray.protocol.objects import (
    ActionType,
    BucketInfo,
    ObjectInfo,
    ObjectStatus,
    StorageParams,
    StorageProvider,
)

CHAIN_ID = "greenfield_9000-121"
GAS = 1200
MIN_GAS_PRICE = 5_000_000_000
FEE = GAS * MIN_GAS_PRICE


class BroadcastFault(Enum):
    """What happens to one ``broadcast_sync`` call."""

    REQUEST_LOST = "the node never sees it"
    ANSWER_LOST = "the node acts on it, the answer does not come"
    SEQUENCE_TOO_HIGH = "the node claims to expect a later sequence"
    SEQUENCE_TOO_LOW = "the node claims to expect an earlier sequence"
    MEMPOOL_FULL = "sdk/20"
    REFUSED = "sdk/18"


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    tx_bytes: bytes
    tx_hash: str
    signer: str
    sequence: int
    timeout_height: int
    gas_limit: int
    fee: int
    message: Any
    signature: bytes


@dataclass(slots=True)
class _Wallet:
    number: int
    sequence: int
    balance: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction in a block, as tests look at it."""

    height: int
    signer: str
    sequence: int
    tx_hash: str
    code: int
    object_name: str


_Refusal = tuple[str, int, str]
_OK: _Refusal = ("", 0, "[]")


class SealChain(ChainClient):
    def __init__(self, providers: Iterable[StorageProvider] = ()) -> None:
        self.dialect = get_dialect("v0_2")
        self.height = 10
        self.providers = list(providers)
        self.objects: dict[tuple[str, str], ObjectInfo] = {}
        self.blocks: list[Committed] = []
        self.block_limit = 1000
        self.index_lag_blocks = 0
        self.sequence_lag = 0
        """So many transactions its answers about accounts are behind."""
        self.unavailable = False
        self.accept_reject = True
        self.refuse_messages: _Refusal | None = None
        """What the execution of every message ends with; CheckTx does not see it."""
        self.faults: dict[int, BroadcastFault] = {}
        """By number of the broadcast call, counted from 0."""
        self.broadcasts = 0
        self.simulations = 0
        self.on_broadcast: Callable[[bytes], None] = lambda tx_bytes: None
        self._wallets: dict[str, _Wallet] = {}
        self._checked: dict[str, _Wallet] = {}
        self.mempool: list[DecodedTransaction] = []
        self._results: dict[str, TransactionResult] = {}

    # --- what tests do to it -------------------------------------------------------------------

    def fund(self, address: str, amount: int) -> None:
        wallet = self._wallets.setdefault(address, _Wallet(len(self._wallets) + 1, 0, 0))
        wallet.balance += amount
        self._recheck()

    def drain(self, address: str) -> None:
        self._wallets[address].balance = 0
        self._recheck()

    def consume_sequence(self, address: str) -> None:
        """Somebody else, with the same key, got a transaction into a block."""
        self._wallets[address].sequence += 1
        self._recheck()

    def lose_mempool(self) -> None:
        """The node restarts."""
        self.mempool.clear()
        self._recheck()

    def remove_object(self, info: ObjectInfo) -> None:
        del self.objects[info.bucket_name, info.object_name]

    @property
    def mempool_size(self) -> int:
        return len(self.mempool)

    def sequence(self, address: str) -> int:
        return self._wallets[address].sequence

    def sealed_by(self, info: ObjectInfo) -> list[Committed]:
        """Successful transactions on this object; more than one would be a double seal."""
        return [b for b in self.blocks if b.code == 0 and b.object_name == info.object_name]

    def make_block(self) -> None:
        self.height += 1
        taken, self.mempool = self.mempool[: self.block_limit], self.mempool[self.block_limit :]
        for tx in taken:
            self._deliver(tx)
        self._recheck()

    async def sleep(self, seconds: float) -> None:
        """Time passes: one block per call."""
        await asyncio.sleep(0)
        self.make_block()

    # --- ChainClient ---------------------------------------------------------------------------

    async def chain_id(self) -> str:
        self._answer()
        return CHAIN_ID

    async def latest_height(self) -> int:
        self._answer()
        return self.height

    async def storage_params(self) -> StorageParams:
        self._answer()
        return StorageParams()

    async def storage_providers(self) -> tuple[StorageProvider, ...]:
        self._answer()
        return tuple(self.providers)

    async def head_bucket(self, bucket_name: str) -> BucketInfo:
        """There are objects without buckets here."""
        self._answer()
        raise NoSuchBucket("no such bucket on chain", bucket_name)

    async def head_object(self, bucket_name: str, object_name: str) -> ObjectInfo:
        self._answer()
        if (bucket_name, object_name) not in self.objects:
            raise NoSuchObject("no such object on chain", f"{bucket_name}/{object_name}")
        return self.objects[bucket_name, object_name]

    async def head_object_by_id(self, object_id: int) -> ObjectInfo:
        self._answer()
        for info in self.objects.values():
            if info.id == object_id:
                return info
        raise NoSuchObject("no such object on chain", f"object {object_id}")

    async def verify_permission(
        self, operator: str, bucket_name: str, object_name: str, action: ActionType
    ) -> bool:
        """Nobody has been granted anything."""
        info = await self.head_object(bucket_name, object_name)
        return operator == info.owner

    async def is_stream_active(self, payment_address: str) -> bool:
        self._answer()
        return True

    async def balance(self, address: str) -> int:
        self._answer()
        return self._wallets[address].balance if address in self._wallets else 0

    async def account(self, address: str) -> Account:
        self._answer()
        if address not in self._wallets:
            raise NoSuchAccount("the account does not exist", address)
        wallet = self._wallets[address]
        return Account(address, wallet.number, max(0, wallet.sequence - self.sequence_lag))

    async def transaction(self, tx_hash: str) -> TransactionResult | None:
        self._answer()
        result = self._results.get(tx_hash)
        if result is None or self.height < result.height + self.index_lag_blocks:
            return None
        return result

    async def simulate(self, tx_bytes: bytes) -> GasEstimate:
        self._answer()
        self.simulations += 1
        tx = self.decode(tx_bytes)
        expected = self._checked[tx.signer].sequence
        refusal = _sequence_mismatch(expected, tx.sequence) if expected != tx.sequence else _OK
        if refusal is _OK:
            refusal = self._message_refusal(tx)
        if refusal is not _OK:
            raise TransactionRefused(
                f"sdk/6: rpc error: code = Unknown desc = {refusal[2]}", "", "", "sdk", 6
            )
        return GasEstimate(GAS, FEE, "BNB")

    async def broadcast_all(self, transactions: Sequence[bytes]) -> tuple[BroadcastResult, ...]:
        return tuple([await self.broadcast_sync(tx_bytes) for tx_bytes in transactions])

    async def broadcast_sync(self, tx_bytes: bytes) -> BroadcastResult:
        self.on_broadcast(tx_bytes)
        self._answer()
        fault = self.faults.get(self.broadcasts)
        self.broadcasts += 1
        await asyncio.sleep(0)
        tx = self.decode(tx_bytes)
        expected = self._checked[tx.signer].sequence
        match fault:
            case BroadcastFault.REQUEST_LOST:
                raise ChainUnavailable("connection reset", "node")
            case BroadcastFault.SEQUENCE_TOO_HIGH:
                return _result(tx, _sequence_mismatch(expected + 7, tx.sequence))
            case BroadcastFault.SEQUENCE_TOO_LOW:
                return _result(tx, _sequence_mismatch(max(expected - 1, 0), tx.sequence))
            case BroadcastFault.MEMPOOL_FULL:
                return _result(tx, ("sdk", 20, "mempool is full"))
            case BroadcastFault.REFUSED:
                return _result(tx, ("sdk", 18, "invalid request"))
        if any(queued.tx_hash == tx.tx_hash for queued in self.mempool) or (
            tx.tx_hash in self._results and self._results[tx.tx_hash].code == 0
        ):
            answer = replace(
                _result(tx, ("sdk", 19, "tx already exists in cache")), already_known=True
            )
        else:
            refusal = self._ante(tx, self._checked, self.height)
            if refusal is _OK:
                self.mempool.append(tx)
            answer = _result(tx, refusal)
        if fault is BroadcastFault.ANSWER_LOST:
            raise ChainUnavailable("read timeout", "node")
        return answer

    async def close(self) -> None:
        """Nothing is open."""

    # --- the node ------------------------------------------------------------------------------

    def _answer(self) -> None:
        if self.unavailable:
            raise ChainUnavailable("connection refused", "node", "Start it")

    def _recheck(self) -> None:
        """After a block the check state starts from the committed one, and the mempool again."""
        self._checked = {address: replace(wallet) for address, wallet in self._wallets.items()}
        self.mempool = [
            tx for tx in self.mempool if self._ante(tx, self._checked, self.height) is _OK
        ]

    def _ante(self, tx: DecodedTransaction, wallets: dict[str, _Wallet], height: int) -> _Refusal:
        """protocol 04 §9; a refusal changes nothing."""
        if tx.timeout_height and height > tx.timeout_height:
            return ("sdk", 30, f"block height: {height}, timeout height: {tx.timeout_height}")
        wallet = wallets[tx.signer]
        if tx.fee < MIN_GAS_PRICE * tx.gas_limit:
            return ("sdk", 13, f"insufficient fees; got: {tx.fee}BNB")
        if wallet.balance < tx.fee:
            return ("sdk", 5, f"{wallet.balance}BNB is smaller than {tx.fee}BNB")
        if wallet.sequence != tx.sequence:
            return _sequence_mismatch(wallet.sequence, tx.sequence)
        if not self._is_signed(tx, wallet):
            return ("sdk", 4, "signature verification failed; please verify account")
        wallet.sequence += 1
        wallet.balance -= tx.fee
        return _OK

    def _is_signed(self, tx: DecodedTransaction, wallet: _Wallet) -> bool:
        terms = TransactionTerms(
            chain_id=CHAIN_ID,
            account_number=wallet.number,
            sequence=tx.sequence,
            gas_limit=tx.gas_limit,
            fee=(Coin("BNB", tx.fee),),
            timeout_height=tx.timeout_height,
        )
        digest = self.dialect.eip712_digest(tx.message, terms)
        key = crypto.recover_digest(digest, tx.signature)
        return crypto.address_of_public_key(key) == tx.signer

    def _deliver(self, tx: DecodedTransaction) -> None:
        refusal = self._ante(tx, self._wallets, self.height)
        if refusal is _OK:
            refusal = self._message_refusal(tx)
            if refusal is _OK:
                self._execute(tx)
        codespace, code, log = refusal
        earlier = self._results.get(tx.tx_hash)
        if earlier is None or earlier.code != 0:
            self._results[tx.tx_hash] = TransactionResult(
                tx.tx_hash, self.height, code, codespace, log, b""
            )
        self.blocks.append(
            Committed(self.height, tx.signer, tx.sequence, tx.tx_hash, code, tx.message.object_name)
        )

    def _message_refusal(self, tx: DecodedTransaction) -> _Refusal:
        if self.refuse_messages is not None:
            return self.refuse_messages
        info = self.objects.get((tx.message.bucket_name, tx.message.object_name))
        if info is None:
            return ("storage", 1101, "No such object")
        if type(tx.message).__name__ == "MsgRejectSealObject" and not self.accept_reject:
            return ("undefined", 111222, "recovered: nil pointer dereference: panic")
        if info.object_status is not ObjectStatus.OBJECT_STATUS_CREATED:
            return ("storage", 1108, "Object already sealed")
        return _OK

    def _execute(self, tx: DecodedTransaction) -> None:
        key = (tx.message.bucket_name, tx.message.object_name)
        if type(tx.message).__name__ == "MsgRejectSealObject":
            del self.objects[key]
            return
        self.objects[key] = replace(
            self.objects[key],
            object_status=ObjectStatus.OBJECT_STATUS_SEALED,
            secondary_sp_addresses=tx.message.secondary_sp_addresses,
        )

    def decode(self, tx_bytes: bytes) -> DecodedTransaction:
        raw = wire.decode(wire.tx.TxRaw, tx_bytes)
        body = wire.decode(wire.tx.TxBody, raw.body_bytes)
        auth = wire.decode(wire.tx.AuthInfo, raw.auth_info_bytes)
        packed = body.messages[0]
        message = self.dialect.decode_message(packed.type_url, packed.value)
        amounts = [int(coin.amount) for coin in auth.fee.amount]
        return DecodedTransaction(
            tx_bytes=tx_bytes,
            tx_hash=sha256(tx_bytes).hexdigest().upper(),
            signer=crypto.to_checksum_address(self.dialect.signer_address(message)),
            sequence=auth.signer_infos[0].sequence,
            timeout_height=body.timeout_height,
            gas_limit=auth.fee.gas_limit,
            fee=sum(amounts),
            message=message,
            signature=raw.signatures[0] if raw.signatures else b"",
        )


def _sequence_mismatch(expected: int, got: int) -> _Refusal:
    return (
        "sdk",
        32,
        f"account sequence mismatch, expected {expected}, got {got}: incorrect account sequence",
    )


def _result(tx: DecodedTransaction, refusal: _Refusal) -> BroadcastResult:
    codespace, code, log = refusal
    return BroadcastResult(tx.tx_hash, code, codespace, log)
