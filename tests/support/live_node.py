"""Any v0.2 node over its JSON-RPC, and the keys that sign for a network of seven providers."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from greenray.chain import wire
from greenray.chain.crypto import address_of
from greenray.chain.dialect import Query
from greenray.chain.dialects import v0_2 as dialect
from greenray.protocol.objects import StorageParams

T = TypeVar("T")
COMMIT_TIMEOUT_S = 120.0
_REQUEST_TIMEOUT_S = 30.0
_POLL_INTERVAL_S = 0.02


class NodeProblem(Exception):
    """The suite cannot run against this node with these keys; the text says why."""


@dataclass(frozen=True)
class Account:
    number: int
    sequence: int


@dataclass(frozen=True)
class Keys:
    """``by_name``: private keys, as in ``keys`` of the recording."""

    chain_id: str
    by_name: Mapping[str, bytes]

    def address(self, name: str) -> str:
        return address_of(self.by_name[name])


def load_keys(path: Path, names: list[str]) -> Keys:
    """Read a keys file, which must have at least ``names``. Raises NodeProblem."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        chain_id = document.get("chain_id") or document.get("chain", {}).get("chain_id")
        by_name = {
            name: bytes.fromhex(entry["private_key"].removeprefix("0x"))
            for name, entry in document["keys"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NodeProblem(f"{path} is not a keys file: {error!r}") from error
    missing = [name for name in names if name not in by_name]
    if missing or not isinstance(chain_id, str):
        what = f"no key named {missing[0]}" if missing else "no chain_id"
        raise NodeProblem(f"{path} has {what}")
    return Keys(chain_id, by_name)


class LiveNode:
    """Raises NodeProblem when nothing answers at ``endpoint``, or no commit comes."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/") + "/"
        parts = urlsplit(self._endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NodeProblem(f"{endpoint!r} is not a URL like http://127.0.0.1:26657")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._path = parts.path
        self._connection = kind(parts.hostname, parts.port, timeout=_REQUEST_TIMEOUT_S)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The whole answer: ``result`` or ``error``."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            self._connection.request("POST", self._path, json.dumps(body).encode())
            answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        except (OSError, HTTPException, ValueError) as error:
            raise NodeProblem(f"no node answers at {self._endpoint}: {error}") from error
        return answer

    def result(self, method: str, **params: Any) -> dict[str, Any]:
        answer = self.call(method, **params)
        if "result" not in answer:
            raise NodeProblem(f"{method} was refused: {answer.get('error')}")
        result: dict[str, Any] = answer["result"]
        return result

    def query(self, path: str, request: Any) -> dict[str, Any]:
        data = request.SerializeToString().hex()
        response: dict[str, Any] = self.result(
            "abci_query", path=path, data=data, height="0", prove=False
        )["response"]
        return response

    def chain_id(self) -> str:
        network: str = self.result("status")["node_info"]["network"]
        return network

    def height(self) -> int:
        return int(self.result("status")["sync_info"]["latest_block_height"])

    def account(self, address: str) -> Account | None:
        response = self.query(
            "/cosmos.auth.v1beta1.Query/Account", wire.auth.QueryAccountRequest(address=address)
        )
        if response["value"] is None:
            return None
        answer = wire.auth.QueryAccountResponse.FromString(base64.b64decode(response["value"]))
        account = wire.auth.BaseAccount.FromString(answer.account.value)
        return Account(account.account_number, account.sequence)

    def object_id(self, bucket_name: str, object_name: str) -> int | None:
        info = self._ask(dialect.queries.head_object(bucket_name, object_name))
        return None if info is None else info.id

    def storage_params(self) -> StorageParams:
        params = self._ask(dialect.queries.storage_params())
        if params is None:
            raise NodeProblem("the node does not tell its storage parameters")
        return params

    def providers(self) -> dict[str, tuple[str, str]]:
        """Operator address -> seal and approval address."""
        page = self._ask(dialect.queries.storage_providers(b"", 100))
        found = () if page is None else page.items
        return {p.operator_address: (p.seal_address, p.approval_address) for p in found}

    def _ask(self, query: Query[T]) -> T | None:
        data = query.request.hex()
        response = self.result("abci_query", path=query.path, data=data)["response"]
        value = response["value"]
        return None if value is None else query.decode(base64.b64decode(value))

    def simulate(self, tx_bytes: bytes) -> dict[str, Any]:
        request = wire.tx.SimulateRequest(tx_bytes=tx_bytes)
        return self.query("/cosmos.tx.v1beta1.Service/Simulate", request)

    def broadcast(self, tx_bytes: bytes) -> dict[str, Any]:
        """The answer of CheckTx; what the node refuses without one has a ``code`` of -1."""
        answer = self.call("broadcast_tx_sync", tx=base64.b64encode(tx_bytes).decode())
        if "result" in answer:
            checked: dict[str, Any] = answer["result"]
            return checked
        return {"codespace": "", "code": -1, "log": str(answer.get("error"))}

    def wait(self, tx_hash: bytes) -> dict[str, Any]:
        """The transaction's ``tx_result``, once it is in a block."""
        shown = base64.b64encode(tx_hash).decode()
        deadline = time.monotonic() + COMMIT_TIMEOUT_S
        while time.monotonic() < deadline:
            answer = self.call("tx", hash=shown, prove=False)
            if "result" in answer:
                result: dict[str, Any] = answer["result"]["tx_result"]
                return result
            time.sleep(_POLL_INTERVAL_S)
        raise NodeProblem(f"{tx_hash.hex()} was in no block for {COMMIT_TIMEOUT_S:.0f} s")


def check_node(node: LiveNode, keys: Keys) -> None:
    """Whether the recording can be run there. Raises NodeProblem."""
    chain_id = node.chain_id()
    if chain_id != keys.chain_id:
        raise NodeProblem(f"the keys are for {keys.chain_id}, the node runs {chain_id}")
    params = node.storage_params()
    if (params.redundant_data_chunk_num, params.redundant_parity_chunk_num) != (4, 2):
        raise NodeProblem("the recording is of 4 + 2 pieces, the node has another redundancy")
    known = node.providers()
    for number in range(7):
        names = [f"greenray-sp-{number}-{role}" for role in ("operator", "seal", "approval")]
        operator, seal, approval = (keys.address(name) for name in names)
        if known.get(operator) != (seal, approval):
            raise NodeProblem(f"the node has no storage provider with the keys of {names[0]}")
    if node.account(keys.address("greenray-user-0")) is None:
        raise NodeProblem("the account of greenray-user-0 does not exist on the node")
