"""The chain through the JSON-RPC of one node: ``greenray.chain.ports.ChainClient``.

The embedded chain and a v0.2 node answer alike; nothing here knows which one it is.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from greenray.chain import wire
from greenray.chain.crypto import to_checksum_address
from greenray.chain.dialect import Page, Query
from greenray.chain.dialects import Dialect, get_dialect
from greenray.chain.ports import (
    Account,
    BroadcastResult,
    ChainPage,
    GasEstimate,
    TransactionResult,
)
from greenray.chain.proto_json import StreamAccountStatus
from greenray.chain.rpc.block_events import BlockEvent, BlockHead, block_head, events_of
from greenray.chain.rpc.chain_follower import ChainFollower
from greenray.chain.rpc.json_rpc import MAX_BATCH, JsonRpc, QueryRefused, RpcRefused
from greenray.chain.rpc.settings import (
    DEFAULT_MAX_ANSWER_BYTES,
    DEFAULT_TIMEOUT_S,
    FollowSettings,
)
from greenray.chain.transactions.signing import transaction_hash
from greenray.protocol.collection import BlockNews, ChainTip, ObjectSighting
from greenray.protocol.errors import (
    GreenrayError,
    InvalidInput,
    NoSuchAccount,
    NoSuchBucket,
    NoSuchObject,
    TransactionRefused,
)
from greenray.protocol.index_changes import BlockRecord, IndexChange, Stamp
from greenray.protocol.known_chain import KnownChain
from greenray.protocol.listing import StreamRecord
from greenray.protocol.objects import (
    ActionType,
    BucketInfo,
    ObjectInfo,
    StorageParams,
    StorageProvider,
)

T = TypeVar("T")

PAGE_LIMIT = 100
_SDK = "sdk"
_NOT_FOUND = 22
_NO_SUCH_OBJECT = "No such object"
_NO_SUCH_BUCKET = "No such bucket"
# What the node says, and the sdk code that Go clients give it (protocol 04 §7.5).
_BROADCAST_REFUSALS = (
    ("tx already exists in cache", 19),
    ("mempool is full", 20),
    ("Tx too large", 21),
)
_GAS_PRICE = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)([a-zA-Z][a-zA-Z0-9/:._-]*)")
_MAX_GAS = 2**63 - 1
_BROADCAST = "broadcast_tx_sync"
_MAX_BATCH_TX_BYTES = 500_000
"""A node takes bodies of a million bytes; base64 and JSON add a third and a little."""


class RpcChainClient:
    """One node. Used from one event loop; ``timeout_s`` is for one request, and
    ``max_answer_bytes`` for one answer."""

    def __init__(
        self,
        endpoint: str,
        dialect: Dialect | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
        follow: FollowSettings | None = None,
        history: KnownChain | None = None,
    ) -> None:
        """``follow``: hold the node to what it, and ``history``, has told before; None: every
        answer stands for itself."""
        self._dialect = self.dialect = dialect or get_dialect()
        self._rpc = JsonRpc(endpoint, timeout_s, max_answer_bytes)
        self._follower = (
            ChainFollower(self._rpc, history or KnownChain(), follow) if follow else None
        )

    # --- the chain itself ------------------------------------------------------------------------

    async def chain_id(self) -> str:
        status = await self._request("status", {})
        node_info = self._rpc.member(status, "node_info", dict, "status")
        network: str = self._rpc.member(node_info, "network", str, "status")
        return network

    async def first_block_hash(self) -> str:
        """Tells apart chains with one chain id, as after a reset; empty when the node has it no
        more."""
        try:
            result = await self._rpc.request("block", {"height": "1"})
        except RpcRefused:
            return ""
        block_id = self._rpc.member(result, "block_id", dict, "block")
        found: str = self._rpc.member(block_id, "hash", str, "block")
        return found

    async def known_chain(self) -> KnownChain:
        """What is known of the chain, after the node was asked whether it still is so; empty when
        nothing is followed. (Not of the port.)

        Raises: ChainLags, ChainRolledBack, AnotherChain, ChainError.
        """
        if self._follower is None:
            return KnownChain()
        await self._follower.confirm(now=True)
        return self._follower.history

    async def accept_rollback(self) -> int | None:
        """See ``ChainFollower.accept_rollback``. (Not of the port.)"""
        return None if self._follower is None else await self._follower.accept_rollback()

    async def latest_height(self) -> int:
        if self._follower is not None:
            return await self._follower.latest_height()
        status = await self._request("status", {})
        sync_info = self._rpc.member(status, "sync_info", dict, "status")
        return self._rpc.integer(sync_info, "latest_block_height", "status")

    async def latest_block(self) -> ChainTip:
        """See ``ChainHistory.latest_block``."""
        status = await self._request("status", {})
        sync_info = self._rpc.member(status, "sync_info", dict, "status")
        return ChainTip(
            self._rpc.integer(sync_info, "latest_block_height", "status"),
            self._rpc.member(sync_info, "latest_block_hash", str, "status"),
        )

    async def block_hash(self, height: int) -> str:
        """See ``ChainHistory.block_hash``."""
        params = {"minHeight": str(height), "maxHeight": str(height)}
        try:
            result = await self._rpc.request("blockchain", params)
        except RpcRefused:
            return ""
        metas = self._rpc.member(result, "block_metas", list, "blockchain")
        for meta in metas:
            header = self._rpc.member(meta, "header", dict, "blockchain")
            if self._rpc.integer(header, "height", "blockchain") == height:
                block_id = self._rpc.member(meta, "block_id", dict, "blockchain")
                found: str = self._rpc.member(block_id, "hash", str, "blockchain")
                return found
        return ""

    async def block_news(self, height: int) -> BlockNews | None:
        """See ``ChainHistory.block_news``."""
        events = await self._events(height)
        if events is None:
            return None
        try:
            return self._dialect.block_news(height, [(one.name, one.attributes) for one in events])
        except InvalidInput as error:
            raise self._rpc.invalid(f"block_results: {error}") from error

    async def block_record(self, height: int) -> BlockRecord | None:
        """See ``FollowedChain.block_record``. The block itself is asked for if it changed anything:
        for its time and the hashes of its transactions."""
        events = await self._events(height)
        if events is None:
            return None
        try:
            news = self._dialect.block_news(height, [(one.name, one.attributes) for one in events])
            changes: list[tuple[Stamp, IndexChange]] = []
            head = None
            for event in events:
                change = self._dialect.index_change(event.name, event.attributes)
                if change is not None:
                    head = head or await self._block_head(height)
                    changes.append((head.stamp(event), change))
        except InvalidInput as error:
            raise self._rpc.invalid(f"block {height}: {error}") from error
        return BlockRecord(news, tuple(changes))

    async def _events(self, height: int) -> list[BlockEvent] | None:
        """What succeeded in a block, in order; None when the node does not have its results."""
        try:
            result = await self._rpc.request("block_results", {"height": str(height)})
        except RpcRefused:
            return None
        try:
            return events_of(result)
        except InvalidInput as error:
            raise self._rpc.invalid(f"block_results: {error}") from error

    async def _block_head(self, height: int) -> BlockHead:
        return block_head(height, await self._request("block", {"height": str(height)}))

    async def bucket_page(self, page_key: bytes) -> ChainPage[BucketInfo]:
        """See ``FollowedChain.bucket_page``."""
        return await self._page(self._dialect.queries.list_buckets(page_key, PAGE_LIMIT))

    async def object_page(self, bucket_name: str, page_key: bytes) -> ChainPage[ObjectInfo]:
        """See ``FollowedChain.object_page``."""
        query = self._dialect.queries.list_objects(bucket_name, page_key, PAGE_LIMIT)
        return await self._page(query)

    async def _page(self, query: Query[Page[T]]) -> ChainPage[T]:
        try:
            page, height = await self._query_at(query)
        except QueryRefused as error:
            raise self._rpc.invalid(str(error)) from error
        return ChainPage(page.items, page.next_key, height)

    # --- storage ---------------------------------------------------------------------------------

    async def storage_params(self) -> StorageParams:
        return await self._ask(self._dialect.queries.storage_params())

    async def storage_providers(self) -> tuple[StorageProvider, ...]:
        found: list[StorageProvider] = []
        seen: set[bytes] = set()
        page_key = b""
        while page_key not in seen:
            seen.add(page_key)
            page = await self._ask(self._dialect.queries.storage_providers(page_key, PAGE_LIMIT))
            found += page.items
            page_key = page.next_key
            if not page_key:
                return tuple(found)
        raise self._rpc.invalid("the pages of the storage providers go round in a circle")

    async def head_bucket(self, bucket_name: str) -> BucketInfo:
        """Raises NoSuchBucket."""
        return await self._ask(
            self._dialect.queries.head_bucket(bucket_name), f"bucket {bucket_name}"
        )

    async def head_object(self, bucket_name: str, object_name: str) -> ObjectInfo:
        """Raises NoSuchObject, also when the bucket is missing."""
        query = self._dialect.queries.head_object(bucket_name, object_name)
        return await self._ask(query, f"{bucket_name}/{object_name}")

    async def head_object_by_id(self, object_id: int) -> ObjectInfo:
        """Raises NoSuchObject."""
        query = self._dialect.queries.head_object_by_id(object_id)
        return await self._ask(query, f"object {object_id}")

    async def sight_object(self, object_id: int) -> ObjectSighting:
        """See ``ChainHistory.sight_object``."""
        try:
            info, height = await self._query_at(self._dialect.queries.head_object_by_id(object_id))
        except QueryRefused as error:
            if _NO_SUCH_OBJECT not in error.log:
                raise self._rpc.invalid(str(error)) from error
            return ObjectSighting(object_id, error.height, None)
        return ObjectSighting(object_id, height, info)

    async def primary_of(self, bucket_name: str, height: int) -> str:
        """See ``ChainHistory.primary_of``."""
        try:
            query = self._dialect.queries.head_bucket(bucket_name)
            info, answered_height = await self._query_at(query)
        except QueryRefused as error:
            if _NO_SUCH_BUCKET not in error.log:
                raise self._rpc.invalid(str(error)) from error
            return ""
        return info.primary_sp_address if answered_height >= height else ""

    async def verify_permission(
        self, operator: str, bucket_name: str, object_name: str, action: ActionType
    ) -> bool:
        """True for EFFECT_ALLOW; ``operator`` empty: anybody.

        Raises:
            NoSuchBucket, NoSuchObject: as named.
            InvalidInput: the operator is not an address.
        """
        if operator:
            to_checksum_address(operator)
        query = self._dialect.queries.verify_permission(operator, bucket_name, object_name, action)
        where = f"{bucket_name}/{object_name}" if object_name else f"bucket {bucket_name}"
        return await self._ask(query, where)

    # --- accounts --------------------------------------------------------------------------------

    async def account(self, address: str) -> Account:
        """The committed sequence; queued transactions are not counted (protocol 04 §12).

        Raises:
            NoSuchAccount: nothing was ever sent to the address.
            InvalidInput: it is not an address.
        """
        request = wire.auth.QueryAccountRequest(address=to_checksum_address(address))
        query = Query(
            "/cosmos.auth.v1beta1.Query/Account", request.SerializeToString(), _decode_account
        )
        try:
            return await self._query(query)
        except QueryRefused as error:
            if error.codespace == _SDK and error.code == _NOT_FOUND:
                raise NoSuchAccount(
                    "the account does not exist",
                    address,
                    "Send some BNB to it first, on the embedded chain with 'greenray keys fund'",
                ) from error
            raise self._rpc.invalid(str(error)) from error

    async def balance(self, address: str) -> int:
        """In the smallest unit of the coin that fees are paid in (10**-18 BNB).

        Raises:
            InvalidInput: it is not an address.
        """
        request = wire.bank.QueryBalanceRequest(
            address=to_checksum_address(address), denom=self._dialect.fee_denom
        )
        query = Query(
            "/cosmos.bank.v1beta1.Query/Balance", request.SerializeToString(), _decode_balance
        )
        try:
            return await self._query(query)
        except QueryRefused as error:
            raise self._rpc.invalid(str(error)) from error

    async def is_stream_active(self, payment_address: str) -> bool:
        """Whether the payment account's stream record is ACTIVE, or there is none.

        Raises:
            InvalidInput: it is not an address.
        """
        record = await self.stream_record(payment_address)
        active = StreamAccountStatus.STREAM_ACCOUNT_STATUS_ACTIVE
        return record is None or record.status == active

    async def stream_record(self, payment_address: str) -> StreamRecord | None:
        """See ``StreamRecords.stream_record``."""
        account = to_checksum_address(payment_address)
        request = wire.payment.QueryGetStreamRecordRequest(account=account)
        query = Query(
            "/greenfield.payment.Query/StreamRecord", request.SerializeToString(), _decode_record
        )
        try:
            return await self._query(query)
        except QueryRefused as error:
            if error.codespace == _SDK and error.code == _NOT_FOUND:
                return None
            raise self._rpc.invalid(str(error)) from error

    # --- transactions ----------------------------------------------------------------------------

    async def simulate(self, tx_bytes: bytes) -> GasEstimate:
        """What the transaction will cost: ``gas_used`` times the node's minimum gas price.

        Raises:
            TransactionRefused: with the node's text; its code is not telling (protocol 04 §12).
        """
        request = wire.tx.SimulateRequest(tx_bytes=tx_bytes)
        path = "/cosmos.tx.v1beta1.Service/Simulate"
        query = Query(path, request.SerializeToString(), self._decode_simulation)
        try:
            return await self._query(query)
        except QueryRefused as error:
            raise TransactionRefused(
                f"{error.codespace}/{error.code}: {error.log}",
                f"simulation at {self._rpc.endpoint}",
                "",
                error.codespace,
                error.code,
            ) from error

    async def broadcast_sync(self, tx_bytes: bytes) -> BroadcastResult:
        """``broadcast_all`` of one transaction."""
        (answer,) = await self.broadcast_all([tx_bytes])
        return answer

    async def broadcast_all(self, transactions: Sequence[bytes]) -> tuple[BroadcastResult, ...]:
        """CheckTx's answers. Refusals of the node itself have codespace sdk and the code that Go
        clients give them; a transaction that it has already is sdk/19 and ``already_known``.

        One call sends the bytes once: who gets a refusal knows that nothing was accepted before."""
        if self._follower is not None:
            await self._follower.confirm()
        answers: list[BroadcastResult] = []
        for part in _parts(transactions):
            params = [{"tx": base64.b64encode(tx_bytes).decode()} for tx_bytes in part]
            results = await self._rpc.request_once(_BROADCAST, params)
            answers += map(self._broadcast_result, part, results)
        return tuple(answers)

    def _broadcast_result(self, tx_bytes: bytes, result: Any) -> BroadcastResult:
        tx_hash, method = transaction_hash(tx_bytes), _BROADCAST
        if isinstance(result, RpcRefused):
            for text, code in _BROADCAST_REFUSALS:
                if text in result.text:
                    return BroadcastResult(
                        tx_hash, code, _SDK, result.text, already_known=code == 19
                    )
            raise self._rpc.invalid(str(result)) from result
        if self._rpc.member(result, "hash", str, method).upper() != tx_hash:
            raise self._rpc.invalid(f"{method}: the answer is about another transaction")
        return BroadcastResult(
            tx_hash,
            self._rpc.member(result, "code", int, method),
            self._rpc.member(result, "codespace", str, method),
            self._rpc.member(result, "log", str, method),
        )

    async def transaction(self, tx_hash: str) -> TransactionResult | None:
        """The transaction if it is in a block, else None. Raises InvalidInput for a bad hash."""
        try:
            digest = bytes.fromhex(tx_hash)
        except ValueError as error:
            raise InvalidInput(f"{tx_hash[:80]!r} is not a transaction hash") from error
        if self._follower is not None:
            await self._follower.confirm()
        params = {"hash": base64.b64encode(digest).decode(), "prove": False}
        try:
            result = await self._rpc.request("tx", params)
        except RpcRefused as error:
            if "not found" in error.text:
                return None
            raise self._rpc.invalid(str(error)) from error
        return self._transaction_result(result)

    async def close(self) -> None:
        await self._rpc.close()

    # --- parts -----------------------------------------------------------------------------------

    async def _request(self, method: str, params: dict[str, Any]) -> Any:
        try:
            return await self._rpc.request(method, params)
        except RpcRefused as error:
            raise self._rpc.invalid(str(error)) from error

    async def _query(self, query: Query[T]) -> T:
        return (await self._query_at(query))[0]

    async def _query_at(self, query: Query[T]) -> tuple[T, int]:
        """The answer, and the height of the state that it is from."""
        ask = self._rpc.abci_query if self._follower is None else self._follower.ask
        answer, height = await ask(query.path, query.request)
        try:
            return query.decode(answer), height
        except InvalidInput as error:
            raise self._rpc.invalid(f"{query.path}: {error}") from error

    async def _ask(self, query: Query[T], where: str = "") -> T:
        """A storage query. What is missing is known by the text: the code depends on versions."""
        try:
            return await self._query(query)
        except QueryRefused as error:
            missing: tuple[tuple[str, type[GreenrayError]], ...] = (
                (_NO_SUCH_BUCKET, NoSuchBucket),
                (_NO_SUCH_OBJECT, NoSuchObject),
            )
            for text, error_type in missing:
                if text in error.log:
                    raise error_type(text, where) from error
            raise self._rpc.invalid(str(error)) from error

    def _decode_simulation(self, data: bytes) -> GasEstimate:
        gas_info = wire.decode(wire.tx.SimulateResponse, data).gas_info
        price, denom = _gas_price(gas_info.min_gas_price, self._dialect.fee_denom)
        if not 0 < gas_info.gas_used <= _MAX_GAS:
            raise InvalidInput(f"{gas_info.gas_used} is not an amount of gas")
        return GasEstimate(gas_info.gas_used, math.ceil(price * gas_info.gas_used), denom)

    def _transaction_result(self, result: Any) -> TransactionResult:
        rpc, what = self._rpc, "tx"
        executed = rpc.member(result, "tx_result", dict, what)
        return TransactionResult(
            tx_hash=rpc.member(result, "hash", str, what).upper(),
            height=rpc.integer(result, "height", what),
            code=rpc.member(executed, "code", int, what),
            codespace=rpc.member(executed, "codespace", str, what),
            log=rpc.member(executed, "log", str, what),
            data=rpc.base64_of(executed.get("data"), what),
        )


def _parts(transactions: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Runs of transactions whose requests a node takes as one body."""
    part: list[bytes] = []
    size_bytes = 0
    for tx_bytes in transactions:
        if part and (len(part) == MAX_BATCH or size_bytes + len(tx_bytes) > _MAX_BATCH_TX_BYTES):
            yield part
            part, size_bytes = [], 0
        part.append(tx_bytes)
        size_bytes += len(tx_bytes)
    if part:
        yield part


def _decode_account(data: bytes) -> Account:
    packed = wire.decode(wire.auth.QueryAccountResponse, data).account
    if packed.type_url != wire.BASE_ACCOUNT_TYPE_URL:
        raise InvalidInput(f"an account of type {packed.type_url[:100]!r}")
    account = wire.decode(wire.auth.BaseAccount, packed.value)
    return Account(account.address, account.account_number, account.sequence)


def _decode_record(data: bytes) -> StreamRecord:
    record = wire.decode(wire.payment.QueryGetStreamRecordResponse, data).stream_record
    return StreamRecord(
        record.account,
        record.crud_timestamp,
        record.netflow_rate,
        record.static_balance,
        record.buffer_balance,
        record.lock_balance,
        record.status,
        record.settle_timestamp,
        tuple((flow.to_address, flow.rate) for flow in record.out_flows),
    )


def _decode_balance(data: bytes) -> int:
    text = wire.decode(wire.bank.QueryBalanceResponse, data).balance.amount
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"{text[:80]!r} is not an amount")
    return int(text)


def _gas_price(text: str, default_denom: str) -> tuple[Fraction, str]:
    """``5000000000BNB`` or ``5000000000.000BNB``; empty for a node that asks for nothing."""
    if not text:
        return Fraction(0), default_denom
    match = _GAS_PRICE.fullmatch(text.split(",")[0])
    if match is None:
        raise InvalidInput(f"{text[:100]!r} is not a gas price")
    return Fraction(match[1]), match[2]
