"""RpcChainClient against a real HTTP server that replays a recorded v0.2.0 node."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from greenray.chain import wire
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.signing import transaction_hash
from greenray.protocol.errors import (
    ChainAnswerInvalid,
    ChainUnavailable,
    InvalidInput,
    NoSuchAccount,
    NoSuchBucket,
    NoSuchObject,
    TransactionRefused,
)
from greenray.protocol.objects import ActionType, BucketInfo, ObjectStatus, Visibility
from tests.support.replay_node import ReplayNode, load_recording

USER_0 = "0x0dFa04d434D4c6EbaD8A51D305b55c6Fdd1d2a1f"
UNKNOWN = "0x7777777777777777777777777777777777777777"


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    return load_recording()


@pytest.fixture
async def node(recording: dict[str, Any]) -> AsyncIterator[ReplayNode]:
    replay = ReplayNode()
    replay.record(recording["rpc"])
    async with replay.serve():
        yield replay


@pytest.fixture
async def client(node: ReplayNode) -> AsyncIterator[RpcChainClient]:
    chain = RpcChainClient(node.url, timeout_s=20.0)
    yield chain
    await chain.close()


# --- what a v0.2.0 node answered -----------------------------------------------------------------


async def test_client_reads_chain_id_and_height(client: RpcChainClient) -> None:
    assert await client.chain_id() == "greenfield_9000-121"
    assert await client.latest_height() > 1


async def test_client_reads_the_storage_params(client: RpcChainClient) -> None:
    params = await client.storage_params()
    assert (params.k, params.m) == (4, 2)
    assert params.max_segment_size_bytes == 16 * 1024 * 1024
    assert params.max_payload_size_bytes == 2 * 1024**3


async def test_client_heads_a_bucket(client: RpcChainClient) -> None:
    bucket = await client.head_bucket("pub-bucket")
    assert bucket.owner == USER_0
    assert bucket.id == 1
    assert bucket.visibility is Visibility.VISIBILITY_TYPE_PUBLIC_READ
    assert bucket.primary_sp_address == "0x632e379ABF8B75d213f03f148E25792c13ccEaE3"


async def test_client_heads_an_object_by_name_and_by_id(client: RpcChainClient) -> None:
    by_name = await client.head_object("pub-bucket", "test-object")
    assert by_name.name == "pub-bucket/test-object"
    assert by_name.object_status is ObjectStatus.OBJECT_STATUS_SEALED
    assert [len(c) for c in by_name.checksums] == [32] * 7
    assert len(by_name.secondary_sp_addresses) == 6
    assert await client.head_object_by_id(by_name.id) == by_name


async def test_client_names_what_is_missing(
    client: RpcChainClient, recording: dict[str, Any]
) -> None:
    request = _request_of(recording, "HeadBucket missing", wire.storage.QueryHeadBucketRequest)
    with pytest.raises(NoSuchBucket, match=request.bucket_name):
        await client.head_bucket(request.bucket_name)
    for label in ("HeadObject missing object", "HeadObject missing bucket"):
        request = _request_of(recording, label, wire.storage.QueryHeadObjectRequest)
        with pytest.raises(NoSuchObject, match=request.object_name):
            await client.head_object(request.bucket_name, request.object_name)
    with pytest.raises(NoSuchAccount, match=UNKNOWN):
        await client.account(UNKNOWN)


async def test_client_reads_an_account(client: RpcChainClient) -> None:
    account = await client.account(USER_0)
    assert account.address == USER_0
    assert account.account_number == 38
    assert account.sequence > 60


async def test_client_refuses_what_is_no_address_before_it_asks(
    client: RpcChainClient, node: ReplayNode
) -> None:
    with pytest.raises(InvalidInput):
        await client.account("0x12")
    assert node.requests == []


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("VerifyPermission owner create", True),
        ("VerifyPermission anonymous get", True),
        ("VerifyPermission anonymous create", False),
    ],
)
async def test_client_reads_permissions(
    client: RpcChainClient, recording: dict[str, Any], label: str, allowed: bool
) -> None:
    request = _request_of(recording, label, wire.storage.QueryVerifyPermissionRequest)
    action = ActionType(request.action_type)
    names = (request.bucket_name, request.object_name)
    assert await client.verify_permission(request.operator, *names, action) is allowed


@pytest.mark.parametrize(
    ("label", "error"),
    [
        ("VerifyPermission missing bucket", NoSuchBucket),
        ("VerifyPermission missing object", NoSuchObject),
        ("VerifyPermission bad operator", InvalidInput),
        ("VerifyPermission no bucket", ChainAnswerInvalid),
    ],
)
async def test_client_says_why_there_is_no_permission(
    client: RpcChainClient, recording: dict[str, Any], label: str, error: type[Exception]
) -> None:
    request = _request_of(recording, label, wire.storage.QueryVerifyPermissionRequest)
    names = (request.bucket_name, request.object_name)
    with pytest.raises(error):
        await client.verify_permission(request.operator, *names, ActionType(request.action_type))


async def test_client_takes_a_missing_stream_record_for_active(
    client: RpcChainClient, recording: dict[str, Any], node: ReplayNode
) -> None:
    cls = wire.payment.QueryGetStreamRecordRequest
    for label in ("StreamRecord", "StreamRecord missing"):
        assert await client.is_stream_active(_request_of(recording, label, cls).account)
    frozen = wire.payment.QueryGetStreamRecordResponse(
        stream_record=wire.payment.StreamRecord(account=UNKNOWN, status=1)
    )
    node.answer_query(
        "/greenfield.payment.Query/StreamRecord",
        cls(account=UNKNOWN).SerializeToString(),
        value=_base64(frozen.SerializeToString()),
    )
    assert not await client.is_stream_active(UNKNOWN)
    paid = await client.stream_record(_request_of(recording, "StreamRecord", cls).account)
    missing = _request_of(recording, "StreamRecord missing", cls).account
    assert await client.stream_record(missing) is None
    assert paid is not None
    assert int(paid.netflow_rate) <= 0
    assert paid.crud_timestamp > 0


async def test_client_reads_a_transaction_in_a_block(
    client: RpcChainClient, recording: dict[str, Any]
) -> None:
    result = await client.transaction(recording["accepted"][0]["tx_hash"])
    assert result is not None
    assert (result.code, result.codespace, result.height) == (0, "", 17)
    response = wire.abci.TxMsgData.FromString(result.data).msg_responses[0]
    assert wire.storage.MsgCreateBucketResponse.FromString(response.value).bucket_id == "1"
    assert '"pub-bucket\\"' in result.log


async def test_client_finds_no_transaction_that_is_in_no_block(
    client: RpcChainClient, node: ReplayNode
) -> None:
    params = {"hash": _base64(bytes(32)), "prove": False}
    node.refuse("tx", params, f"tx ({'0' * 64}) not found")
    assert await client.transaction("0" * 64) is None
    with pytest.raises(InvalidInput):
        await client.transaction("not a hash")


# --- storage providers, page by page ---------------------------------------------------------


def _provider_pages(node: ReplayNode, recording: dict[str, Any], next_keys: list[bytes]) -> Any:
    """Serve the recorded providers one per page; page i ends with ``next_keys[i]``."""
    whole = _response_of(recording, "StorageProviders", wire.sp.QueryStorageProvidersResponse)
    page_key = b""
    for provider, next_key in zip(whole.sps, next_keys, strict=False):
        request = wire.sp.QueryStorageProvidersRequest(
            pagination=wire.query.PageRequest(key=page_key, limit=100)
        )
        page = wire.sp.QueryStorageProvidersResponse(
            sps=[provider], pagination=wire.query.PageResponse(next_key=next_key)
        )
        node.answer_query(
            "/greenfield.sp.Query/StorageProviders",
            request.SerializeToString(),
            value=_base64(page.SerializeToString()),
        )
        page_key = next_key
    return whole


async def test_client_collects_all_pages_of_storage_providers(
    client: RpcChainClient, node: ReplayNode, recording: dict[str, Any]
) -> None:
    whole = _provider_pages(node, recording, [b"1", b"2", b"3", b"4", b"5", b"6", b""])
    providers = await client.storage_providers()
    assert [p.operator_address for p in providers] == [sp.operator_address for sp in whole.sps]
    assert len(providers) == 7
    assert all(p.in_service and p.endpoint and p.moniker for p in providers[:6])


async def test_client_refuses_pages_that_go_round_in_a_circle(
    client: RpcChainClient, node: ReplayNode, recording: dict[str, Any]
) -> None:
    _provider_pages(node, recording, [b"1", b"2", b"1"])
    with pytest.raises(ChainAnswerInvalid, match="circle"):
        await client.storage_providers()


# --- simulation and broadcast ----------------------------------------------------------------

SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"


def _answer_simulation(node: ReplayNode, tx_bytes: bytes, **response: Any) -> None:
    request = wire.tx.SimulateRequest(tx_bytes=tx_bytes).SerializeToString()
    node.answer_query(SIMULATE, request, **response)


async def test_simulation_gives_gas_and_fee_as_recorded(
    client: RpcChainClient, node: ReplayNode, recording: dict[str, Any]
) -> None:
    for sample in recording["accepted"]:
        tx_bytes = base64.b64decode(sample["simulate"]["tx"])
        gas_info = wire.abci.GasInfo(**sample["simulate"]["result"]["decoded"])
        answer = wire.tx.SimulateResponse(gas_info=gas_info)
        _answer_simulation(node, tx_bytes, value=_base64(answer.SerializeToString()))
        estimate = await client.simulate(tx_bytes)
        assert estimate.gas_limit == gas_info.gas_used
        assert estimate.fee_amount == gas_info.gas_used * 5_000_000_000
        assert estimate.fee_denom == "BNB"


@pytest.mark.parametrize(
    ("price", "gas", "fee"),
    [
        ("5000000000BNB", 1200, 6_000_000_000_000),
        ("5000000000.000000000000000000BNB", 1200, 6_000_000_000_000),
        ("0.5BNB", 3, 2),
        ("", 1200, 0),
    ],
)
async def test_simulation_reads_every_form_of_the_gas_price(
    client: RpcChainClient, node: ReplayNode, price: str, gas: int, fee: int
) -> None:
    answer = wire.tx.SimulateResponse(gas_info=wire.abci.GasInfo(gas_used=gas, min_gas_price=price))
    _answer_simulation(node, b"tx", value=_base64(answer.SerializeToString()))
    assert (await client.simulate(b"tx")).fee_amount == fee


@pytest.mark.parametrize(("price", "gas"), [("BNB", 1), ("-5BNB", 1), ("5 BNB", 1), ("5BNB", 0)])
async def test_simulation_refuses_a_price_or_gas_that_makes_no_sense(
    client: RpcChainClient, node: ReplayNode, price: str, gas: int
) -> None:
    answer = wire.tx.SimulateResponse(gas_info=wire.abci.GasInfo(gas_used=gas, min_gas_price=price))
    _answer_simulation(node, b"tx", value=_base64(answer.SerializeToString()))
    with pytest.raises(ChainAnswerInvalid):
        await client.simulate(b"tx")


async def test_a_refused_simulation_carries_the_nodes_text(
    client: RpcChainClient, node: ReplayNode, recording: dict[str, Any]
) -> None:
    refused = [e for e in recording["errors"] if e["expected"]["simulate"] == ["sdk", 6]]
    for sample in refused[:20]:
        tx_bytes, said = base64.b64decode(sample["simulate_tx"]), sample["simulate"]
        _answer_simulation(node, tx_bytes, code=6, codespace="sdk", log=said["log"])
        with pytest.raises(TransactionRefused) as raised:
            await client.simulate(tx_bytes)
        assert (raised.value.codespace, raised.value.code) == ("sdk", 6)
        assert said["log"] in raised.value.what


async def test_broadcast_gives_the_recorded_answer_of_checktx(
    client: RpcChainClient, node: ReplayNode, recording: dict[str, Any]
) -> None:
    samples = [s for s in recording["accepted"] + recording["errors"] if isinstance(s["tx"], str)]
    assert len(samples) > 150
    for sample in samples:
        said = sample["broadcast_sync"].get("result")
        if said is None:
            continue
        node.answer("broadcast_tx_sync", {"tx": sample["tx"]}, said)
        result = await client.broadcast_sync(base64.b64decode(sample["tx"]))
        assert (result.codespace, result.code) == (said["codespace"], said["code"])
        assert (result.log, result.tx_hash) == (said["log"], said["hash"])
        assert not result.already_known


@pytest.mark.parametrize(
    ("text", "code", "already_known"),
    [
        ("tx already exists in cache", 19, True),
        ("mempool is full: number of txs 3 (max: 3), total txs bytes 1219 (max: 9)", 20, False),
        ("Tx too large. Max size is 1048576, but got 1048577", 21, False),
    ],
)
async def test_refusals_of_the_node_become_sdk_codes(
    client: RpcChainClient, node: ReplayNode, text: str, code: int, already_known: bool
) -> None:
    node.refuse("broadcast_tx_sync", {"tx": _base64(b"tx")}, text)
    result = await client.broadcast_sync(b"tx")
    assert (result.codespace, result.code, result.log) == ("sdk", code, text)
    assert result.already_known is already_known
    assert result.tx_hash == transaction_hash(b"tx")


async def test_an_answer_about_another_transaction_is_invalid(
    client: RpcChainClient, node: ReplayNode
) -> None:
    said = {"code": 0, "data": "", "log": "[]", "codespace": "", "hash": "AB" * 32}
    node.answer("broadcast_tx_sync", {"tx": _base64(b"tx")}, said)
    with pytest.raises(ChainAnswerInvalid, match="another transaction"):
        await client.broadcast_sync(b"tx")


# --- arrays ----------------------------------------------------------------------------------


async def test_what_is_asked_at_once_travels_as_one_array(
    client: RpcChainClient, node: ReplayNode
) -> None:
    height, chain_id, bucket, missing = await asyncio.gather(
        client.latest_height(),
        client.chain_id(),
        client.head_bucket("pub-bucket"),
        client.account(UNKNOWN),
        return_exceptions=True,
    )
    assert isinstance(height, int)
    assert height > 1
    assert chain_id == "greenfield_9000-121"
    assert isinstance(bucket, BucketInfo)
    assert bucket.id == 1
    assert isinstance(missing, Exception)
    (body,) = node.requests
    assert len(body) == 4


async def test_transactions_are_sent_in_order_and_answered_each(
    client: RpcChainClient, node: ReplayNode
) -> None:
    transactions = [b"a", b"b", b"c"]
    for tx_bytes, code in ((b"a", 0), (b"c", 32)):
        said = {"code": code, "log": "", "codespace": "", "hash": transaction_hash(tx_bytes)}
        node.answer("broadcast_tx_sync", {"tx": _base64(tx_bytes)}, said)
    node.refuse("broadcast_tx_sync", {"tx": _base64(b"b")}, "mempool is full: number of txs 3")
    answers = await client.broadcast_all(transactions)
    assert [answer.code for answer in answers] == [0, 20, 32]
    assert answers[1].tx_hash == transaction_hash(b"b")
    (body,) = node.requests
    assert [one["params"]["tx"] for one in body] == [_base64(tx) for tx in transactions]


async def test_transactions_that_are_too_many_bytes_for_one_request_take_several(
    client: RpcChainClient, node: ReplayNode
) -> None:
    transactions = [bytes([i]) * 200_000 for i in range(5)]
    for tx_bytes in transactions:
        said = {"code": 0, "log": "", "codespace": "", "hash": transaction_hash(tx_bytes)}
        node.answer("broadcast_tx_sync", {"tx": _base64(tx_bytes)}, said)
    assert len(await client.broadcast_all(transactions)) == 5
    sent = [one for body in node.requests for one in (body if isinstance(body, list) else [body])]
    assert [one["params"]["tx"] for one in sent] == [_base64(tx) for tx in transactions]
    assert all(len(json.dumps(body)) < 1_000_000 for body in node.requests)


async def test_arrays_that_are_not_answered_as_arrays_are_an_error(
    client: RpcChainClient, node: ReplayNode
) -> None:
    text = (
        '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"no arrays"}}'
    )
    node.raw_answers.append(web.Response(text=text, content_type="application/json"))
    answers = await asyncio.gather(
        client.latest_height(), client.chain_id(), return_exceptions=True
    )
    assert all(isinstance(one, ChainAnswerInvalid) and "no arrays" in str(one) for one in answers)


# --- nodes that fail -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>not here</html>",
        '{"jsonrpc":"2.0","id":1,',
        "[]",
        "5",
        '{"jsonrpc":"2.0","id":1}',
        '{"jsonrpc":"2.0","id":1,"error":"broken"}',
        '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}',
        '{"jsonrpc":"2.0","id":1,"result":null}',
        '{"jsonrpc":"2.0","id":1,"result":{"sync_info":{}}}',
        '{"jsonrpc":"2.0","id":1,"result":{"sync_info":{"latest_block_height":7}}}',
        '{"jsonrpc":"2.0","id":1,"result":{"sync_info":{"latest_block_height":"-7"}}}',
    ],
)
async def test_client_refuses_an_answer_that_makes_no_sense(
    client: RpcChainClient, node: ReplayNode, body: str
) -> None:
    node.raw_answers.append(web.Response(text=body, content_type="application/json"))
    with pytest.raises(ChainAnswerInvalid, match=node.url):
        await client.latest_height()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 200_000])
async def test_client_survives_bytes_that_are_no_json(
    client: RpcChainClient, node: ReplayNode, body: bytes
) -> None:
    node.raw_answers.append(web.Response(body=body, content_type="application/json"))
    with pytest.raises(ChainAnswerInvalid):
        await client.latest_height()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("not base64!", "base64"),
        (base64.b64encode(b"\xff\xff").decode(), "protobuf"),
        (None, "no object_info"),
        # An object with an enum number, and one with an id, that the dialect does not know.
        (base64.b64encode(b"\x0a\x02\x30\x63").decode(), "not a Visibility"),
        (base64.b64encode(b"\x0a\x03\x22\x01x").decode(), "not a decimal id"),
    ],
)
async def test_client_refuses_a_query_answer_that_is_no_object(
    client: RpcChainClient, node: ReplayNode, value: str | None, problem: str
) -> None:
    request = wire.storage.QueryHeadObjectRequest(bucket_name="b", object_name="o")
    path = "/greenfield.storage.Query/HeadObject"
    node.answer_query(path, request.SerializeToString(), value=value)
    with pytest.raises(ChainAnswerInvalid, match=problem):
        await client.head_object("b", "o")


@pytest.mark.parametrize(("status", "error"), [(503, ChainUnavailable), (404, ChainAnswerInvalid)])
async def test_client_tells_a_broken_node_from_a_wrong_address(
    client: RpcChainClient, node: ReplayNode, status: int, error: type[Exception]
) -> None:
    node.raw_answers.append(web.Response(status=status))
    with pytest.raises(error):
        await client.latest_height()


async def test_client_repeats_a_request_whose_connection_was_lost(
    client: RpcChainClient, node: ReplayNode
) -> None:
    node.connections_to_drop = 2
    assert await client.latest_height() > 0
    assert len(node.requests) == 3


async def test_client_sends_a_transaction_once_per_call(
    client: RpcChainClient, node: ReplayNode
) -> None:
    said = {"code": 0, "log": "[]", "codespace": "", "hash": transaction_hash(b"tx")}
    node.answer("broadcast_tx_sync", {"tx": _base64(b"tx")}, said)
    node.connections_to_drop = 1
    with pytest.raises(ChainUnavailable):
        await client.broadcast_sync(b"tx")
    assert len(node.requests) == 1
    assert (await client.broadcast_sync(b"tx")).code == 0


async def test_client_gives_up_after_three_lost_connections(
    client: RpcChainClient, node: ReplayNode
) -> None:
    node.connections_to_drop = 10
    with pytest.raises(ChainUnavailable, match=node.url):
        await client.latest_height()
    assert len(node.requests) == 3


async def test_client_says_that_nobody_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client = RpcChainClient(f"http://127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(ChainUnavailable, match="Check that the node runs"):
            await client.latest_height()
        await client.close()


async def test_client_does_not_wait_longer_than_its_timeout(node: ReplayNode) -> None:
    node.hold = asyncio.Event()
    client = RpcChainClient(node.url, timeout_s=0.2)
    with pytest.raises(ChainUnavailable, match=r"no answer within 0\.2 s"):
        await client.latest_height()
    assert len(node.requests) == 1
    await client.close()


async def test_client_can_be_used_again_after_close(client: RpcChainClient) -> None:
    height = await client.latest_height()
    await client.close()
    assert await client.latest_height() == height


# --- helpers -----------------------------------------------------------------------------------


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sample(recording: dict[str, Any], label: str) -> dict[str, Any]:
    return next(s for s in recording["rpc"] if s["kind"] == "abci" and s["label"] == label)


def _request_of(recording: dict[str, Any], label: str, cls: Any) -> Any:
    body = json.loads(_sample(recording, label)["request_body"])
    return cls.FromString(bytes.fromhex(body["params"]["data"]))


def _response_of(recording: dict[str, Any], label: str, cls: Any) -> Any:
    body = json.loads(_sample(recording, label)["response_body"])
    return cls.FromString(base64.b64decode(body["result"]["response"]["value"]))


async def test_requests_that_are_cancelled_do_not_hold_up_later_ones(
    client: RpcChainClient,
) -> None:
    for _ in range(20):
        doomed = [asyncio.create_task(client.latest_height()) for _ in range(10)]
        await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
    async with asyncio.timeout(20):
        assert await client.latest_height() > 0
