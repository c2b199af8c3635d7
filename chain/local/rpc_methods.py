"""The CometBFT methods of the node (protocol 05 §6)."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.chain.local import blocks
from greenray.chain.local.evm import EvmMethods
from greenray.chain.local.ledger.genesis import genesis_to_json
from greenray.chain.local.ledger.state import StoredBlock, StoredTransaction
from greenray.chain.local.mempool import MAX_BLOCK_BYTES, MempoolRefusal
from greenray.chain.local.node import Inclusion, Node
from greenray.chain.local.node_info import node_info
from greenray.chain.local.query_language import Condition, QuerySyntaxError, parse_query
from greenray.chain.local.rpc import Argument, GoPanic, JsonText, Method, internal_error
from greenray.chain.local.tx_result import TxResult
from greenray.chain.local.tx_search import SearchFault, SearchPanic, find
from greenray.protocol import go_json

_DEFAULT_PER_PAGE, _MAX_PER_PAGE = 30, 100
_VOTING_POWER = "10000000"
_BLOCKS_PER_ANSWER = 20
_MAX_QUERY_LENGTH_BYTES = 512

_RESULTS_REMEMBERED = 2
"""Blocks: everybody who follows the chain asks for the newest, whose results may be megabytes."""


class CometMethods:
    """``methods`` is the table of what the node answers. ``listen_address`` is host:port."""

    def __init__(self, node: Node, listen_address: str) -> None:
        self._node = node
        self._app = node.app
        self._database = node.app.database
        self._listen_address = node.queries.listen_address = listen_address
        self._evm = EvmMethods(node)
        self._block_results_text = lru_cache(_RESULTS_REMEMBERED)(self._block_results_at)
        height = Argument("height", "int64")
        tx = Argument("tx", "bytes")
        search = (
            Argument("query", "string"),
            Argument("prove", "bool"),
            Argument("page", "int"),
            Argument("per_page", "int"),
            Argument("order_by", "string"),
        )
        self.methods: dict[str, Method] = {
            "health": Method(self.health),
            "status": Method(self.status),
            "net_info": Method(self.net_info),
            "genesis": Method(self.genesis),
            "abci_info": Method(self.abci_info),
            "abci_query": Method(
                self.abci_query,
                (
                    Argument("path", "string"),
                    Argument("data", "hex"),
                    height,
                    Argument("prove", "bool"),
                ),
            ),
            "block": Method(self.block, (height,)),
            "block_by_hash": Method(self.block_by_hash, (Argument("hash", "bytes"),)),
            "block_results": Method(self.block_results, (height,)),
            "block_search": Method(self.block_search, (search[0], *search[2:])),
            "blockchain": Method(
                self.blockchain, (Argument("minHeight", "int64"), Argument("maxHeight", "int64"))
            ),
            "broadcast_tx_async": Method(self.broadcast_tx_async, (tx,)),
            "broadcast_tx_commit": Method(self.broadcast_tx_commit, (tx,)),
            "broadcast_tx_sync": Method(self.broadcast_tx_sync, (tx,)),
            "check_tx": Method(self.check_tx, (tx,)),
            "commit": Method(self.commit, (height,)),
            "consensus_params": Method(self.consensus_params, (height,)),
            "eth_query": Method(self.eth_query, (Argument("request", "bytes"),)),
            "header": Method(self.header, (height,)),
            "num_unconfirmed_txs": Method(self.num_unconfirmed_txs),
            "tx": Method(self.tx, (Argument("hash", "bytes"), Argument("prove", "bool"))),
            "tx_search": Method(self.tx_search, search),
            "unconfirmed_txs": Method(self.unconfirmed_txs, (Argument("limit", "int"),)),
            "validators": Method(
                self.validators, (height, Argument("page", "int"), Argument("per_page", "int"))
            ),
        }

    # --- the node ----------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        return {}

    def status(self) -> dict[str, Any]:
        head, validator = self._app.head, self._app.validator
        first = self._stored_block(self._database.first_height())
        first_header = _block(first).header
        return {
            "node_info": node_info(self._app, self._listen_address),
            "sync_info": {
                "latest_block_hash": blocks.hex_text(head.hash),
                "latest_app_hash": blocks.hex_text(head.block.header.app_hash),
                "latest_block_height": str(head.height),
                "latest_block_time": blocks.time_text(head.time_ns),
                "earliest_block_hash": blocks.hex_text(first.hash),
                "earliest_app_hash": blocks.hex_text(first_header.app_hash),
                "earliest_block_height": str(first.height),
                "earliest_block_time": blocks.time_text(blocks.time_ns_of(first_header)),
                "catching_up": False,
            },
            "validator_info": {
                "address": blocks.hex_text(validator.address),
                "pub_key": self._public_key(),
                "voting_power": _VOTING_POWER,
            },
        }

    def net_info(self) -> dict[str, Any]:
        return {"listening": True, "listeners": ["Listener(@)"], "n_peers": "0", "peers": []}

    def genesis(self) -> dict[str, Any]:
        """In this project's own form."""
        return {"genesis": genesis_to_json(self._app.rules.genesis)}

    def consensus_params(self, height: int | None) -> dict[str, Any]:
        at = self._existing_height(height, self._app.head.height + 1)
        params = _consensus_params() | {"version": {"app": "0"}}
        return {"block_height": str(at), "consensus_params": params}

    def validators(
        self, height: int | None, page: int | None, per_page: int | None
    ) -> dict[str, Any]:
        at = self._existing_height(height, self._app.head.height + 1)
        _page(page, _per_page(per_page), 1)
        validator = {
            "address": blocks.hex_text(self._app.validator.address),
            "pub_key": self._public_key(),
            "voting_power": _VOTING_POWER,
            "proposer_priority": "0",
        }
        return {"block_height": str(at), "validators": [validator], "count": "1", "total": "1"}

    def _public_key(self) -> dict[str, str]:
        value = blocks.base64_text(self._app.validator.public_key)
        return {"type": "tendermint/PubKeyEd25519", "value": value}

    # --- the application ---------------------------------------------------------------------

    def abci_info(self) -> dict[str, Any]:
        head = self._app.head
        return {
            "response": {
                "data": "greenfield",
                "version": self._app.rules.local_dialect.version,
                "last_block_height": str(head.height),
                "last_block_app_hash": blocks.base64_text(head.app_hash),
            }
        }

    def abci_query(
        self, path: str | None, data: bytes | None, height: int | None, prove: bool | None
    ) -> dict[str, Any]:
        answer = self._node.queries.answer(path or "", data or b"", height or 0, prove=bool(prove))
        return {
            "response": {
                "code": answer.code,
                "log": answer.log,
                "info": "",
                "index": "0",
                "key": _optional_base64(answer.key),
                "value": _optional_base64(answer.value),
                "proofOps": None,
                "height": str(answer.height),
                "codespace": answer.codespace,
            }
        }

    def eth_query(self, request: bytes | None) -> dict[str, Any]:
        try:
            answer = self._evm.answer_bytes(request or b"")
        except (KeyError, ValueError) as error:
            raise internal_error(f"unknown request: {error}") from error
        return {"response": {"response": blocks.base64_text(answer)}}

    # --- blocks ------------------------------------------------------------------------------

    def block(self, height: int | None) -> dict[str, Any]:
        return _block_result(self._stored_block(self._existing_height(height)))

    def block_by_hash(self, block_hash: bytes | None) -> dict[str, Any]:
        stored = self._database.block_by_hash(block_hash or b"")
        if stored is None:
            return {
                "block_id": blocks.block_id_json(wire.tendermint_types.BlockID()),
                "block": None,
            }
        return _block_result(stored)

    def header(self, height: int | None) -> dict[str, Any]:
        block = _block(self._stored_block(self._existing_height(height)))
        return {"header": blocks.header_json(block.header)}

    def commit(self, height: int | None) -> dict[str, Any]:
        at = self._existing_height(height)
        stored = self._stored_block(at)
        block = _block(stored)
        following = self._database.block(at + 1)
        if following is not None:
            commit = blocks.commit_json(_block(following).last_commit)
        else:
            commit = {
                "height": str(at),
                "round": 0,
                "block_id": blocks.block_id_json(blocks.block_id(block, stored.hash)),
                "signatures": [
                    {
                        "block_id_flag": 2,
                        "validator_address": blocks.hex_text(self._app.validator.address),
                        "timestamp": blocks.time_text(blocks.time_ns_of(block.header)),
                        "signature": blocks.base64_text(self._app.validator.signature(at)),
                    }
                ],
            }
        return {
            "signed_header": {"header": blocks.header_json(block.header), "commit": commit},
            "canonical": following is not None,
        }

    def block_results(self, height: int | None) -> JsonText:
        return JsonText(self._block_results_text(self._existing_height(height)))

    def _block_results_at(self, at: int) -> str:
        events = json.loads(self._stored_block(at).results)
        stored = self._database.transactions_of(at)
        results = [TxResult.unpacked(one.result).to_json() for one in stored]
        document = {
            "height": str(at),
            "txs_results": results or None,
            "begin_block_events": events["begin_block_events"] or None,
            "end_block_events": events["end_block_events"] or None,
            "validator_updates": None,
            "consensus_param_updates": _consensus_params() | {"version": {}},
        }
        return go_json.dump(document, sort_keys=False)

    def block_search(
        self, query: str | None, page: int | None, per_page: int | None, order_by: str | None
    ) -> dict[str, Any]:
        """By ``block.height`` only: no other block event is indexed."""
        heights = self._search_heights(query or "", order_by)
        size = _per_page(per_page)
        first = (_page(page, size, len(heights)) - 1) * size
        found = [self._stored_block(h) for h in heights[first : first + size]]
        return {
            "blocks": [_block_result(one) for one in found],
            "total_count": str(len(heights)),
        }

    def _search_heights(self, query: str, order_by: str | None) -> list[int]:
        heights = range(self._database.first_height(), self._app.head.height + 1)
        for condition in _parsed(query):
            if condition.tag != "block.height" or not isinstance(condition.operand, int):
                return []
            heights = _narrow(heights, condition.operator, condition.operand)
        return list(reversed(heights)) if _descending(order_by) else list(heights)

    def blockchain(self, lowest: int | None, highest: int | None) -> dict[str, Any]:
        last = self._app.head.height
        top = min(highest or last, last)
        bottom = max(lowest or 1, 1, top - _BLOCKS_PER_ANSWER + 1)
        if bottom > top:
            raise internal_error(f"min height {bottom} can't be greater than max height {top}")
        stored = [self._stored_block(height) for height in range(top, bottom - 1, -1)]
        return {"last_height": str(last), "block_metas": [_block_meta(one) for one in stored]}

    def _existing_height(self, height: int | None, highest: int | None = None) -> int:
        last = self._app.head.height if highest is None else highest
        if height is None:
            return last
        if height <= 0:
            raise internal_error(f"height must be greater than 0, but got {height}")
        if height > last:
            raise internal_error(
                f"height {height} must be less than or equal to the current"
                f" blockchain height {last}"
            )
        return height

    def _stored_block(self, height: int) -> StoredBlock:
        stored = self._database.block(height)
        if stored is None:
            raise internal_error(f"height {height} is not available")
        return stored

    # --- transactions ------------------------------------------------------------------------

    def broadcast_tx_sync(self, tx: bytes | None) -> dict[str, Any]:
        tx_bytes = tx or b""
        try:
            result = self._node.mempool.submit(tx_bytes)
        except MempoolRefusal as refusal:
            raise internal_error(str(refusal)) from refusal
        return _broadcast_result(tx_bytes, result)

    def broadcast_tx_async(self, tx: bytes | None) -> dict[str, Any]:
        """CheckTx runs, but its answer is not told."""
        self.broadcast_tx_sync(tx)
        return _broadcast_result(tx or b"", TxResult())

    async def broadcast_tx_commit(self, tx: bytes | None) -> dict[str, Any]:
        tx_bytes = tx or b""
        try:
            checked = self._node.mempool.submit(tx_bytes)
        except MempoolRefusal as refusal:
            raise internal_error(f"error on broadcastTxCommit: {refusal}") from refusal
        included = Inclusion(TxResult(), 0)
        if checked.code == 0:
            waited = await self._node.wait_for_inclusion(tx_bytes)
            if waited is None:
                raise internal_error("timed out waiting for tx to be included in a block")
            included = waited
        return {
            "check_tx": _check_tx_json(checked),
            "deliver_tx": included.result.to_json(),
            "hash": blocks.hex_text(hashlib.sha256(tx_bytes).digest()),
            "height": str(included.height),
        }

    def check_tx(self, tx: bytes | None) -> dict[str, Any]:
        return _check_tx_json(self._app.check_tx(tx or b""))

    def num_unconfirmed_txs(self) -> dict[str, Any]:
        mempool = self._node.mempool
        count = str(len(mempool))
        return {
            "n_txs": count,
            "total": count,
            "total_bytes": str(mempool.total_bytes),
            "txs": None,
        }

    def unconfirmed_txs(self, limit: int | None) -> dict[str, Any]:
        mempool = self._node.mempool
        shown = mempool.transactions()[: _per_page(limit)]
        return {
            "n_txs": str(len(shown)),
            "total": str(len(mempool)),
            "total_bytes": str(mempool.total_bytes),
            "txs": [blocks.base64_text(one) for one in shown],
        }

    def tx(self, tx_hash: bytes | None, prove: bool | None) -> dict[str, Any]:
        if not tx_hash:
            raise internal_error("transaction hash cannot be empty")
        stored = self._database.transaction(tx_hash)
        if stored is None:
            raise internal_error(f"tx ({blocks.hex_text(tx_hash)}) not found")
        return self._transaction(stored, bool(prove))

    def tx_search(
        self,
        query: str | None,
        prove: bool | None,
        page: int | None,
        per_page: int | None,
        order_by: str | None,
    ) -> dict[str, Any]:
        try:
            positions = find(self._database, _parsed(query or ""))
        except SearchFault as error:
            raise internal_error(str(error)) from error
        except SearchPanic as error:
            raise GoPanic(str(error)) from error
        if _descending(order_by):
            positions.reverse()
        size = _per_page(per_page)
        first = (_page(page, size, len(positions)) - 1) * size
        found = [self._database.transaction_at(*at) for at in positions[first : first + size]]
        return {
            "txs": [self._transaction(one, bool(prove)) for one in found],
            "total_count": str(len(positions)),
        }

    def _transaction(self, stored: StoredTransaction, prove: bool) -> dict[str, Any]:
        result = {
            "hash": blocks.hex_text(stored.hash),
            "height": str(stored.height),
            "index": stored.position,
            "tx_result": TxResult.unpacked(stored.result).to_json(),
            "tx": blocks.base64_text(stored.tx_bytes),
        }
        if prove:
            result["proof"] = self._proof(stored)
        return result

    def _proof(self, stored: StoredTransaction) -> dict[str, Any]:
        transactions = [one.tx_bytes for one in self._database.transactions_of(stored.height)]
        leaves = [blocks.sha256(tx_bytes) for tx_bytes in transactions]
        return {
            "root_hash": blocks.hex_text(blocks.merkle_root(leaves)),
            "data": blocks.base64_text(stored.tx_bytes),
            "proof": {
                "total": str(len(leaves)),
                "index": str(stored.position),
                "leaf_hash": blocks.base64_text(blocks.sha256(b"\x00" + leaves[stored.position])),
                "aunts": [
                    blocks.base64_text(one) for one in blocks.merkle_aunts(leaves, stored.position)
                ],
            },
        }


def _block(stored: StoredBlock) -> Any:
    return wire.tendermint_types.Block.FromString(stored.block)


def _block_result(stored: StoredBlock) -> dict[str, Any]:
    block = _block(stored)
    identity = blocks.block_id(block, stored.hash)
    return {"block_id": blocks.block_id_json(identity), "block": blocks.block_json(block)}


def _block_meta(stored: StoredBlock) -> dict[str, Any]:
    block = _block(stored)
    return {
        "block_id": blocks.block_id_json(blocks.block_id(block, stored.hash)),
        "block_size": str(len(stored.block)),
        "header": blocks.header_json(block.header),
        "num_txs": str(len(block.data.txs)),
    }


def _broadcast_result(tx_bytes: bytes, result: TxResult) -> dict[str, Any]:
    return {
        "code": result.code,
        "data": blocks.hex_text(result.data or b""),
        "log": result.log,
        "codespace": result.codespace,
        "hash": blocks.hex_text(hashlib.sha256(tx_bytes).digest()),
    }


def _check_tx_json(result: TxResult) -> dict[str, Any]:
    """CheckTx does not report its events."""
    return result.to_json() | {
        "events": [],
        "sender": "",
        "priority": str(result.priority),
        "mempoolError": "",
    }


def _consensus_params() -> dict[str, Any]:
    return {
        "block": {"max_bytes": str(MAX_BLOCK_BYTES), "max_gas": "-1"},
        "evidence": {
            "max_age_num_blocks": "100000",
            "max_age_duration": "172800000000000",
            "max_bytes": "1048576",
        },
        "validator": {"pub_key_types": ["ed25519"]},
    }


def _parsed(query: str) -> list[Condition]:
    if len(query.encode(errors="replace")) > _MAX_QUERY_LENGTH_BYTES:
        raise internal_error("maximum query length exceeded")
    try:
        return parse_query(query)
    except QuerySyntaxError as error:
        raise internal_error(str(error)) from error


def _narrow(heights: range, operator: str, operand: int) -> range:
    low, high = heights.start, heights.stop
    match operator:
        case "=":
            low, high = max(low, operand), min(high, operand + 1)
        case "<":
            high = min(high, operand)
        case "<=":
            high = min(high, operand + 1)
        case ">":
            low = max(low, operand + 1)
        case _:
            low = max(low, operand)
    return range(low, max(low, high))


def _descending(order_by: str | None) -> bool:
    if order_by not in (None, "", "asc", "desc"):
        raise internal_error("expected order_by to be either `asc` or `desc` or empty")
    return order_by == "desc"


def _per_page(per_page: int | None) -> int:
    if per_page is None or per_page < 1:
        return _DEFAULT_PER_PAGE
    return min(per_page, _MAX_PER_PAGE)


def _page(page: int | None, per_page: int, total: int) -> int:
    pages = max(1, -(-total // per_page))
    if page is None:
        return 1
    if not 1 <= page <= pages:
        raise internal_error(f"page should be within [1, {pages}] range, given {page}")
    return page


def _optional_base64(data: bytes | None) -> str | None:
    return None if data is None else blocks.base64_text(data)
