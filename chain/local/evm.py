"""The EVM subset that wallets ask, with its quirks (protocol 05 §7, §9)."""

from __future__ import annotations

import json
from typing import Any

from greenray.chain.addresses import InvalidAddress, parse_address
from greenray.chain.local.ledger.accounts import get_balance
from greenray.chain.local.node import Node
from greenray.chain.local.rpc import GoPanic

_NO_PARAMETER = "interface conversion: interface {} is nil, not string"
_ZERO_HASH = "0x" + "00" * 32


class EvmMethods:
    """Raises KeyError for a method that the real node does not have."""

    def __init__(self, node: Node) -> None:
        self._app = node.app
        self._methods = {
            "eth_chainId": self._chain_id,
            "eth_networkId": self._chain_id,
            "net_version": self._net_version,
            "eth_blockNumber": self._block_number,
            "eth_getBalance": self._balance,
            "eth_getBlockByNumber": self._block,
        }

    async def answer(self, method: str, params: Any) -> Any:
        """The result of a method; ``params`` as they came."""
        return self._methods[method](params)

    def answer_bytes(self, request: bytes) -> bytes:
        """``eth_query``: the raw bytes behind an answer. Raises ValueError for no request."""
        document = json.loads(request)
        if not isinstance(document, dict) or not isinstance(document.get("method"), str):
            raise ValueError("json: cannot unmarshal the request")
        result = self._methods[document["method"]](document.get("params"))
        if isinstance(result, str) and result.startswith("0x"):
            return bytes.fromhex(result[2:])
        return result.encode() if isinstance(result, str) else json.dumps(result).encode()

    def _chain_id(self, params: Any) -> str:
        return whole_bytes_hex(self._app.rules.genesis.numeric_chain_id)

    def _net_version(self, params: Any) -> str:
        return str(self._app.rules.genesis.numeric_chain_id)

    def _block_number(self, params: Any) -> str:
        return whole_bytes_hex(self._app.head.height)

    def _balance(self, params: Any) -> str:
        text = params[0] if isinstance(params, list) and params else None
        if not isinstance(text, str):
            raise GoPanic(_NO_PARAMETER)
        try:
            address = parse_address(text)
        except InvalidAddress as error:
            raise GoPanic(_NO_PARAMETER) from error
        denom = self._app.rules.genesis.min_gas_denom
        return whole_bytes_hex(get_balance(self._app.database, address, denom))

    def _block(self, params: Any) -> dict[str, Any]:
        """Always the latest block, and only its number is real."""
        return {
            "difficulty": "0x0",
            "extraData": "0x",
            "gasLimit": "0x0",
            "gasUsed": "0x0",
            "hash": _ZERO_HASH,
            "logsBloom": "00" * 256,
            "miner": "0x" + "00" * 20,
            "mixHash": _ZERO_HASH,
            "nonce": "00" * 8,
            "number": hex(self._app.head.height),
            "parentHash": _ZERO_HASH,
            "receiptsRoot": _ZERO_HASH,
            "sha3Uncles": _ZERO_HASH,
            "size": "0x0",
            "stateRoot": _ZERO_HASH,
            "timestamp": "0x0",
            "totalDifficulty": "0x0",
            "transactions": [],
            "transactionsRoot": _ZERO_HASH,
            "uncles": [],
        }


def whole_bytes_hex(number: int) -> str:
    """5 -> ``0x05``, 0 -> ``0x00``: the real node prints whole bytes."""
    return "0x" + number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex()
