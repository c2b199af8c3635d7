"""A chain's node that means harm, and who asks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from greenray.chain.rpc.client import RpcChainClient
from greenray.protocol.errors import (
    ChainAnswerInvalid,
    ChainError,
    ChainUnavailable,
    TransactionRefused,
)
from greenray.protocol.nonce_plan import read_answer
from tests.support.raw_server import Speak, answer, raw_server
from tests.support.replay_node import ReplayNode, load_recording

MIB = 1024 * 1024
LIMIT_BYTES = 4 * MIB
ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\nerror: all is well\u202e"


@asynccontextmanager
async def client_of(speak: Speak) -> AsyncIterator[RpcChainClient]:
    async with raw_server(speak) as endpoint:
        client = RpcChainClient(endpoint, timeout_s=2.0, max_answer_bytes=LIMIT_BYTES)
        try:
            yield client
        finally:
            await client.close()


async def refused(speak: Speak, error: type[ChainError]) -> str:
    async with client_of(speak) as client:
        with pytest.raises(error) as raised:
            await client.latest_height()
    said = str(raised.value)
    assert said.isprintable()
    assert len(said) < 10_000
    return said


def saying(body: bytes) -> Speak:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body))

    return speak


def status_answer(height: str, request_id: object = 0) -> bytes:
    result = {"node_info": {"network": "x"}, "sync_info": {"latest_block_height": height}}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}).encode()


async def test_an_endless_body_is_left_at_the_bound() -> None:
    sent = 0

    async def speak(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * MIB)
            await writer.drain()
            sent += MIB

    assert "more than 4194304 bytes" in await refused(speak, ChainAnswerInvalid)
    assert sent < 64 * MIB


async def test_a_body_that_says_it_is_longer_is_not_begun() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=3_800_000_000))

    assert "3800000000 bytes" in await refused(speak, ChainAnswerInvalid)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"\x1f\x8b" + bytes(600), more="Content-Encoding: gzip\r\n"))

    assert "is encoded (gzip)" in await refused(speak, ChainAnswerInvalid)


async def test_a_redirect_is_not_followed_with_the_request() -> None:
    asked: list[str] = []

    async def other(writer: asyncio.StreamWriter) -> None:
        asked.append("another server")
        writer.write(answer(status_answer("7")))

    async with raw_server(other) as elsewhere:

        async def speak(writer: asyncio.StreamWriter) -> None:
            writer.write(answer(b"", status="308 X", more=f"Location: {elsewhere}/\r\n"))

        assert "HTTP status 308" in await refused(speak, ChainAnswerInvalid)
    assert asked == []


@pytest.mark.parametrize("request_id", [1, -1, "0", None, True, False, 0.0, [0], {}, 10**400])
async def test_an_answer_to_another_request_is_refused(request_id: object) -> None:
    said = await refused(saying(status_answer("7", request_id)), ChainAnswerInvalid)
    assert "which was not asked" in said


async def test_answers_of_an_array_are_taken_by_their_ids() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        wrong = [json.loads(status_answer("7", number)) for number in (5, "0", None, True)]
        writer.write(answer(json.dumps(wrong).encode()))

    async with client_of(speak) as client:
        heights = await asyncio.gather(
            client.latest_height(), client.latest_height(), return_exceptions=True
        )
    assert [type(height) for height in heights] == [ChainAnswerInvalid] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"{" * 100_000,
        b'{"id": 0, "result": ' + b"1" * 5000 + b"}",
        b'{"id": ' + b"1" * 5000 + b', "result": {}}',
        b'{"id": 0, "error": {"code": ' + b"1" * 5000 + b"}}",
        status_answer("1" * 5000),
        status_answer("-1"),
        status_answer("\u0661"),
        b'{"id": 0}',
        b'{"id": 0, "error": 1}',
        b'{"id": 0, "error": {"code": "x"}}',
        b'{"id": 0, "result": null}',
        b"null",
        b"0",
        b"[]",
    ],
)
async def test_what_is_no_answer_is_a_typed_error(body: bytes) -> None:
    await refused(saying(body), ChainAnswerInvalid)


async def test_a_byte_now_and_then_does_not_keep_a_request_alive() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=1000))
        for byte in bytes(1000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)

    assert "no answer within 2 s" in await refused(speak, ChainUnavailable)


# --- what it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.latest_height(),
        lambda client: client.simulate(b"tx"),
        lambda client: client.broadcast_sync(b"tx"),
        lambda client: client.transaction("AB" * 32),
        lambda client: client.account("0x" + "00" * 20),
        lambda client: client.head_bucket("b"),
    ],
)
async def test_errors_of_a_node_are_escaped_and_cut(
    ask: Callable[[RpcChainClient], Awaitable[object]],
) -> None:
    error = {"code": -32603, "message": ESCAPES, "data": ESCAPES * 2000}
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}).encode()
    async with client_of(saying(body)) as client:
        with pytest.raises(ChainError) as raised:
            await ask(client)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 10_000


async def test_the_log_of_a_refused_transaction_is_escaped_and_cut() -> None:
    response = {"code": 1, "codespace": ESCAPES, "log": ESCAPES * 2000, "value": None}
    result = {"response": response}
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode()
    async with client_of(saying(body)) as client:
        with pytest.raises(TransactionRefused) as raised:
            await client.simulate(b"tx")
    assert str(raised.value).isprintable()
    assert raised.value.codespace.isprintable()
    assert len(str(raised.value)) < 10_000


async def test_a_sequence_of_thousands_of_digits_in_a_log_is_no_number() -> None:
    log = f"account sequence mismatch, expected {'9' * 5000}, got 3"
    assert read_answer("sdk", 32, log).expected_sequence is None


# --- busy -----------------------------------------------------------------------------------------


@pytest.fixture
async def node() -> AsyncIterator[ReplayNode]:
    node = ReplayNode()
    node.record(load_recording()["rpc"])
    async with node.serve():
        yield node


async def test_a_busy_node_is_asked_again(node: ReplayNode) -> None:
    node.raw_answers += [web.Response(status=429, headers={"Retry-After": "0"}) for _ in range(2)]
    client = RpcChainClient(node.url)
    assert await client.latest_height() > 0
    assert len(node.requests) == 3
    await client.close()


async def test_a_node_that_stays_busy_is_unavailable_and_no_wrong_address() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", status="429 Too Many Requests"))

    said = await refused(speak, ChainUnavailable)
    assert "HTTP status 429" in said


async def test_a_transaction_is_not_sent_again_to_a_busy_node() -> None:
    asked = 0

    async def speak(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(answer(b"", status="429 Too Many Requests"))

    async with client_of(speak) as client:
        with pytest.raises(ChainUnavailable):
            await client.broadcast_sync(b"tx")
    assert asked == 1


async def test_a_node_asks_for_no_longer_pause_than_a_request_may_take() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", status="429 X", more="Retry-After: 86400\r\n"))

    async with asyncio.timeout(10):
        await refused(speak, ChainUnavailable)
