"""Sends recorded HTTP requests to the embedded chain and compares the answers.

What depends on heights, times, hashes, keys of the node and on what else the recorded node had
seen is masked by the name of its field; everything else is compared.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from greenray.chain import proto_json, wire
from greenray.chain.local.node import Inclusion
from tests.support.chain_replay import ReplayChain, mask_events, mask_log

LEFT_OUT: dict[str, str] = {
    "consensus_state": "votes of a consensus that the embedded chain does not have",
    "ListObjects no pagination": "the recording holds a part of the body",
    "GetNodeInfo": "the build information of the Go program",
    "store key": "raw keys of the Go program's stores",
}
"""Label of an interface sample -> why it is not run."""

_MASKED_FIELDS = frozenset(
    {
        "aunts",
        "app_hash",
        "block_height",
        "bls_key",
        "earliest_app_hash",
        "earliest_block_hash",
        "earliest_block_height",
        "earliest_block_time",
        "height",
        "last_block_app_hash",
        "last_block_height",
        "last_commit_hash",
        "last_height",
        "latest_app_hash",
        "latest_block_hash",
        "latest_block_height",
        "latest_block_time",
        "leaf_hash",
        "moniker",
        "next_validators_hash",
        "proposer_address",
        "randao_mix",
        "relayer_address",
        "root_hash",
        "rpc_address",
        "signature",
        "timestamp",
        "time",
        "validator_address",
        "validators_hash",
    }
)
_NOT_OURS = frozenset({"bls_key", "relayer_address"})
"""Fields of the recorded validator's own keys."""
_WITH_A_HASH = frozenset({"block_id", "last_block_id", "parts", "part_set_header"})
_OF_THE_VALIDATOR = frozenset({"validators", "validator_info"})
_COUNT_THE_SECOND_RUN = frozenset(
    {
        "tx_search message.action='/greenfield.storage.MsgSealObject'",
        "tx_search message.action CONTAINS 'Seal'",
        "tx_search message.action EXISTS",
        "tx_search greenfield.storage.EventSealObject.object_id CONTAINS '1'",
        "tx_search greenfield.storage.EventSealObject.object_id EXISTS",
        "tx_search greenfield.storage.EventSealObject.object_name CONTAINS 'tes",
        "tx_search tx.height>5 AND tx.height<200",
        "tx_search tx.height>=1",
        "tx_search desc",
    }
)
"""Their ``total_count`` holds transactions of which only the last is recorded."""
_RATES = frozenset({"buffer_balance", "lock_balance", "netflow_rate", "out_flows"})
BLOCK_BEFORE = frozenset({"broadcast_tx_sync same tx after commit", "broadcast_tx_commit"})
"""Labels of samples before which the recorded node had made a block."""
BY_SHAPE: dict[str, str] = {
    "genesis": "the recording leaves its body out",
    "tx_search per_page 1000": "the recording has a summary of the body",
    "tx_search without paging": "the recording has a summary of the body",
    "block_results": "its end: the real chain starts challenges there, which are out of scope",
    "empty body": "the real node lists more methods",
    "PUT": "the same list",
    "OPTIONS": "the same list",
    "GET /": "the same list",
}
"""Label of a sample that is compared in part by its shape only -> why."""
_NUMBERS = (
    re.compile(r"(tcp://127\.0\.0\.1:)\d+"),
    re.compile(r"(blockchain height )\d+"),
    re.compile(r"(within \[1, )\d+"),
    re.compile(r"(expected )\d+(, got )"),
)
_LIST_LINK = re.compile(r'<a href="//[^/]+/(\w+)\?[^"]*">')


@dataclass(frozen=True)
class Outcome:
    masked: bool
    differences: list[str]


async def compare_sample(
    session: aiohttp.ClientSession, endpoint: str, sample: dict[str, Any]
) -> Outcome:
    """One request as it was recorded, against what was answered."""
    async with session.request(
        sample["http_method"], endpoint + sample["path"], data=_request_body(sample)
    ) as response:
        text = (await response.read()).decode()
        content_type = response.headers.get("Content-Type", "")
        got_head = [response.status, content_type.split(";")[0] if text else ""]
    recorded_text = sample["response_body"] or ""
    recorded_type = (sample.get("content_type") or "").split(";")[0]
    recorded_head = [sample["status"], recorded_type]
    label = sample["label"]
    if got_head != recorded_head:
        return Outcome(False, [f"{label} · recorded {recorded_head}, got {got_head}: {text[:300]}"])
    if "summary" in sample:
        return _compare_summary(sample, json.loads(text)["result"])
    if text == recorded_text:
        return Outcome(False, [])
    recorded, got = _masked(sample, recorded_text), _masked(sample, text)
    if recorded != got:
        shown = _first_difference(recorded, got)
        return Outcome(True, [f"{label} · {shown}"])
    return Outcome(True, [])


def _compare_summary(sample: dict[str, Any], result: dict[str, Any]) -> Outcome:
    """Of two long answers the recording tells how many transactions they hold, and the first
    heights; their ``total_count`` holds those of the second run."""
    heights = [tx["height"] for tx in result["txs"]]
    got = {"returned": len(heights), "order": f"first two heights {heights[:2]}"}
    recorded = {key: sample["summary"][key] for key in got}
    differences = [] if got == recorded else [f"{sample['label']} · {recorded}, got {got}"]
    return Outcome(True, differences)


def make_blocks_for_commits(chain: ReplayChain) -> None:
    """The replayed chain has no clock: who waits for a block gets one."""
    wait_for_inclusion = chain.node.wait_for_inclusion

    async def wait(tx_bytes: bytes) -> Inclusion | None:
        asyncio.get_running_loop().call_soon(chain.node.make_block)
        return await wait_for_inclusion(tx_bytes)

    chain.node.wait_for_inclusion = wait  # type: ignore[method-assign]  # of this chain only


def _request_body(sample: dict[str, Any]) -> bytes | None:
    body: str | None = sample.get("request_body")
    if body is None:
        return None
    if sample["label"] == "body over 1000000 bytes":
        return body.encode().replace("…".encode(), b"y" * 1_000_000 + b'"}}')
    return body.encode()


def _masked(sample: dict[str, Any], text: str) -> Any:
    if sample["label"] == "genesis":
        return "another form"
    if text.startswith("<html>"):
        # The recorded node has more methods than a storage provider and its clients need.
        return sorted(set(_LIST_LINK.findall(text)) & _WANTED_METHODS)
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    if sample["kind"] == "abci" or sample["path"].startswith("/abci_query"):
        return _masked_abci(sample, parsed)
    if sample["label"] == "block_results":
        parsed["result"]["end_block_events"] = "*"
    if sample["label"].startswith("eth_") and isinstance(parsed.get("result"), (str, dict)):
        parsed = _masked_evm(sample, parsed)
    return _mask(parsed, sample["label"])


_WANTED_METHODS = frozenset(
    {
        "abci_info",
        "abci_query",
        "block",
        "block_results",
        "broadcast_tx_async",
        "broadcast_tx_commit",
        "broadcast_tx_sync",
        "eth_query",
        "health",
        "status",
        "tx",
        "tx_search",
    }
)


def _masked_evm(sample: dict[str, Any], parsed: dict[str, Any]) -> dict[str, Any]:
    if "blockNumber" in sample["label"] or "getBalance" in sample["label"]:
        return parsed | {"result": bool(re.fullmatch(r"0x([0-9a-f]{2})+", parsed["result"]))}
    if "getBlockByNumber" in sample["label"]:
        return parsed | {"result": parsed["result"] | {"number": "*"}}
    return parsed


def _mask(value: Any, label: str, name: str = "") -> Any:
    if name in _MASKED_FIELDS:
        return "*"
    if name in ("tx_result", "deliver_tx"):
        return _mask_result(value, label)
    if isinstance(value, dict):
        return _mask_object(value, label, name)
    if isinstance(value, list):
        return [_mask(item, label, name) for item in value]
    if isinstance(value, str):
        for pattern in _NUMBERS:
            value = pattern.sub(lambda m: "".join(g for g in m.groups() if g), value)
    return value


def _mask_object(value: dict[str, Any], label: str, name: str) -> dict[str, Any]:
    masked = {key: _mask(item, label, key) for key, item in value.items() if key not in _NOT_OURS}
    if name in _WITH_A_HASH:
        masked = {key: "*" if key == "hash" else item for key, item in masked.items()}
    if name in _OF_THE_VALIDATOR:
        masked["address"] = "*"
    if name == "node_info":
        masked["id"] = "*"
    if name == "pub_key":
        masked["value"] = "*"
    if "total_count" in masked and label in _COUNT_THE_SECOND_RUN:
        masked["total_count"] = "*"
    if name == "last_commit":
        masked["signatures"] = len(masked["signatures"])
    if name == "commit":
        masked["signatures"] = len(masked["signatures"])
    return masked


def _mask_result(result: dict[str, Any], label: str) -> dict[str, Any]:
    masked = result | {"log": mask_log(result["log"]), "events": mask_events(result["events"])}
    if label == "tx_search desc":
        # What its account pays follows from the objects of the second run.
        masked["events"] = _without_rates(masked["events"])
        masked["log"] = [_without_rates(events) for events in masked["log"]]
    return masked


def _without_rates(events: list[Any]) -> list[Any]:
    return [
        (kind, [(key, "*" if key in _RATES else value) for key, value in attributes])
        for kind, attributes in events
    ]


# --- abci_query --------------------------------------------------------------------------------

_RESPONSES = {
    "HeadBucket": wire.storage.QueryHeadBucketResponse,
    "HeadBucketById": wire.storage.QueryHeadBucketResponse,
    "HeadObject": wire.storage.QueryHeadObjectResponse,
    "HeadObjectById": wire.storage.QueryHeadObjectResponse,
    "StreamRecord": wire.payment.QueryGetStreamRecordResponse,
    "ListBuckets": wire.storage.QueryListBucketsResponse,
    "ListObjects": wire.storage.QueryListObjectsResponse,
    "Balance": wire.bank.QueryBalanceResponse,
    "Account": wire.auth.QueryAccountResponse,
    "GetLatestBlock": wire.tendermint_service.GetLatestBlockResponse,
    "GetTx": wire.tx.GetTxResponse,
}
_STATE_FIELDS = frozenset({"create_at", "price_time", "crud_timestamp", "settle_timestamp"})


def _masked_abci(sample: dict[str, Any], parsed: dict[str, Any]) -> dict[str, Any]:
    response = parsed.get("result", {}).get("response")
    if response is None:
        return parsed
    masked = response | {"height": "0" if response["height"] == "0" else "*"}
    method = _query_method(sample)
    if response["value"] and method in _RESPONSES:
        message = _RESPONSES[method].FromString(base64.b64decode(response["value"]))
        masked["value"] = _mask_state(proto_json.to_json(message), method)
    return parsed | {"result": {"response": masked}}


def _query_method(sample: dict[str, Any]) -> str:
    if sample.get("request_body"):
        path = json.loads(sample["request_body"])["params"]["path"]
    else:
        path = parse_qs(urlsplit(sample["path"]).query)["path"][0].strip('"')
    return str(path).rpartition("/")[2]


def _mask_state(content: Any, method: str) -> Any:
    match method:
        case "Account":
            value = base64.b64decode(content["account"]["value"])
            return proto_json.to_json(wire.auth.BaseAccount.FromString(value))
        case "Balance":
            # Streams are paid by the second.
            return {"balance": content["balance"] | {"amount": "*"}}
        case "GetTx":
            return {"tx": content["tx"], "tx_response": _mask_tx_response(content["tx_response"])}
        case "GetLatestBlock":
            return _mask(content, method)
        case _:
            return _without_times(content)


def _mask_tx_response(response: dict[str, Any]) -> dict[str, Any]:
    logs = [log | {"events": mask_events(log["events"])} for log in response["logs"]]
    return response | {
        "height": "*",
        "timestamp": "*",
        "raw_log": mask_log(response["raw_log"]),
        "logs": logs,
        "events": mask_events(response["events"]),
    }


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "*" if k in _STATE_FIELDS else _without_times(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    return value


def _first_difference(recorded: Any, got: Any, path: str = "") -> str:
    if isinstance(recorded, dict) and isinstance(got, dict):
        for key in sorted({*recorded, *got}):
            if recorded.get(key) != got.get(key):
                return _first_difference(recorded.get(key), got.get(key), f"{path}.{key}")
    if isinstance(recorded, list) and isinstance(got, list) and len(recorded) == len(got):
        for index, (one, other) in enumerate(zip(recorded, got, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{path}[{index}]")
    return f"{path}\n  recorded {str(recorded)[:500]}\n  got      {str(got)[:500]}"
