"""A gateway that means harm, and the user's client: memory, disk, time and terminal stay theirs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from greenray.client.bundle_reading import open_bundle
from greenray.client.creation import PutOptions
from greenray.client.storage_client import ClientSettings, StorageClient
from greenray.coding.codec import get_codec
from greenray.peer.session import AnswerLimits
from greenray.protocol.errors import (
    BadAnswer,
    ComponentUnavailable,
    GreenrayError,
    InvalidInput,
    NoSuchObject,
    NotABundle,
    PayloadSizeMismatch,
)
from tests.support.fake_chain import FakeChain
from tests.support.groups import put_object_on_chain
from tests.support.raw_server import Speak, answer, raw_server
from tests.support.sps import SpKeys, test_key

MIB = 1024 * 1024
SIZE_BYTES = 5000
HASTE = AnswerLimits(head_timeout_s=2.0, stall_timeout_s=0.5, least_bytes_per_s=4096)
KEY = test_key("user")


@asynccontextmanager
async def client_of(speak: Speak) -> AsyncIterator[tuple[StorageClient, str]]:
    """A client of a sealed object of ``SIZE_BYTES`` at a gateway that speaks so, and its name."""
    chain, sp = FakeChain(), SpKeys.numbered(0)
    groups = put_object_on_chain(chain, sp, SIZE_BYTES)
    info = groups.info
    chain.seal_object(info.bucket_name, info.object_name, (sp.address,) * 6)
    async with raw_server(speak) as endpoint:
        client = StorageClient(
            chain,
            endpoint,
            KEY,
            sp_address=sp.address,
            codec=get_codec("numpy"),
            settings=ClientSettings(answer_limits=HASTE, outage_s=0.05),
        )
        try:
            yield client, info.name
        finally:
            await client.close()


async def get(client: StorageClient, name: str, target: Path) -> None:
    bucket, object_name = name.split("/", 1)
    await client.get(bucket, object_name, target)


async def refused(speak: Speak, error: type[GreenrayError], tmp_path: Path) -> str:
    """What the client says of a download; nothing of it is left."""
    async with client_of(speak) as (client, name):
        with pytest.raises(error) as raised:
            await get(client, name, tmp_path / "target")
    assert os.listdir(tmp_path) == []
    return str(raised.value)


# --- how much ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
async def test_an_object_with_an_endless_body_is_left_at_its_size(
    tmp_path: Path, status: str
) -> None:
    sent = 0

    async def speak(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        while True:
            writer.write(bytes(MIB))
            await writer.drain()
            sent += MIB

    said = await refused(speak, PayloadSizeMismatch, tmp_path)
    assert "more than 5000 bytes" in said
    assert sent < 64 * MIB  # what sockets hold


async def test_an_object_that_says_it_is_longer_is_not_begun(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=3_100_000_000))

    said = await refused(speak, PayloadSizeMismatch, tmp_path)
    assert "3100000000 bytes" in said


@pytest.mark.parametrize("asked", ["get", "status", "timeline"])
async def test_an_error_or_document_without_end_costs_a_part_of_it(
    tmp_path: Path, asked: str
) -> None:
    sent = 0
    status = "500 Oh" if asked == "get" else "200 OK"

    async def speak(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        while True:
            writer.write(b"x" * MIB)
            await writer.drain()
            sent += MIB

    async with client_of(speak) as (client, name):
        bucket, object_name = name.split("/", 1)
        asking: Mapping[str, Callable[[], Awaitable[object]]] = {
            "get": lambda: get(client, name, tmp_path / "target"),
            "status": lambda: client.status(bucket, object_name),
            "timeline": lambda: client.timeline(bucket, object_name),
        }
        with pytest.raises(BadAnswer) as raised:
            await asking[asked]()
    assert len(str(raised.value)) < 1000
    assert sent < 96 * MIB


@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
async def test_a_range_is_no_longer_and_no_shorter_than_asked_for(status: str) -> None:
    body = b"x" * 11

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, status=status))

    async with client_of(speak) as (client, name):
        bucket, object_name = name.split("/", 1)
        sealed = await client.open(bucket, object_name)
        assert await sealed.read(100, 11) == body
        with pytest.raises(PayloadSizeMismatch, match="longer than"):
            await sealed.read(100, 10)
        with pytest.raises(PayloadSizeMismatch, match="11 bytes arrived of 12 from 100 on"):
            await sealed.read(100, 12)


async def test_a_bundle_whose_index_is_said_to_be_huge_is_not_asked_for(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        end = (2**40).to_bytes(8, "big") + bytes(8)
        writer.write(answer(end.rjust(SIZE_BYTES, b"x")))

    async with client_of(speak) as (client, name):
        bucket, object_name = name.split("/", 1)
        with pytest.raises(NotABundle, match="no room for an index of 1099511627776 bytes"):
            await open_bundle(client, bucket, object_name)


async def test_a_compressed_object_is_not_unpacked(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"\x1f\x8b" + bytes(100), more="Content-Encoding: gzip\r\n"))

    assert "is encoded (gzip)" in await refused(speak, BadAnswer, tmp_path)


async def test_a_head_without_end_is_left(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: " + b"a" * 60_000 + b"\r\n")
            await writer.drain()

    async with client_of(speak) as (client, name):
        with pytest.raises((BadAnswer, ComponentUnavailable)):
            await get(client, name, tmp_path / "target")


# --- how slowly --------------------------------------------------------------------------------


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_a_byte_now_and_then_does_not_keep_a_download_alive(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", length=SIZE_BYTES))
        await trickle(writer, bytes(SIZE_BYTES))

    said = await refused(speak, ComponentUnavailable, tmp_path)
    assert "more slowly than 4096 bytes a second" in said


async def test_what_came_fast_buys_no_time_for_later(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(bytes(SIZE_BYTES - 500), length=SIZE_BYTES))
        await trickle(writer, bytes(500))

    assert "more slowly" in await refused(speak, ComponentUnavailable, tmp_path)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_neither_does_a_head_that_never_ends(tmp_path: Path, head: bytes) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        while True:
            await trickle(writer, head)
            head_goes_on = b"a" if b"200" in head else b""
            writer.write(head_goes_on)

    assert "in time" in await refused(speak, ComponentUnavailable, tmp_path)


# --- where to ----------------------------------------------------------------------------------


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    asked: list[str] = []

    async def other(writer: asyncio.StreamWriter) -> None:
        asked.append("another server")
        writer.write(answer(bytes(SIZE_BYTES)))

    async with raw_server(other) as elsewhere:

        async def speak(writer: asyncio.StreamWriter) -> None:
            more = f"Location: {elsewhere}/\r\n"
            writer.write(answer(b"", status="307 Temporary Redirect", more=more))

        assert "HTTP 307" in await refused(speak, BadAnswer, tmp_path)
    assert asked == []


# --- what it says ------------------------------------------------------------------------------

ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\r\nerror: all is well\u202e\x9b31m"


def is_harmless(text: str) -> bool:
    return text.isprintable() and len(text) < 20_000


@pytest.mark.parametrize("where", ["body", "xml", "header", "reason phrase"])
async def test_what_a_gateway_says_is_escaped_and_cut(tmp_path: Path, where: str) -> None:
    text = (ESCAPES * 2000)[:50_000]
    bodies = {
        "body": answer(text.encode(), status="500 X"),
        "xml": answer(f"<Code>{text}</Code><Message>{text}</Message>".encode(), status="500 X"),
        "header": answer(
            b"",
            status="500 X",
            more="X-Greenray-Error: "
            + json.dumps({"reason": "no-such-object", "message": text[:8000]})
            + "\r\n",
        ),
        "reason phrase": answer(b"", status="500 \x1b[2J"),
    }

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(bodies[where])

    expected = NoSuchObject if where == "header" else BadAnswer
    assert is_harmless(await refused(speak, expected, tmp_path))


async def test_an_error_of_unclosed_tags_costs_no_time(tmp_path: Path) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"<Code>" * 500_000, status="500 X"))

    async with asyncio.timeout(5):
        await refused(speak, BadAnswer, tmp_path)


GOOD: Mapping[str, Any] = {
    "bucket": "album",
    "object": "photo",
    "object_id": 1,
    "payload_size_bytes": SIZE_BYTES,
    "state": "SEAL_OBJECT_DONE",
    "state_number": 14,
    "final": True,
    "sealed": True,
    "attempt": 0,
    "history": [],
    "secondaries": [],
    "replaced": [],
    "seal_tx_hash": None,
    "seal_height": None,
    "error": None,
}


async def status_of(document: bytes) -> Mapping[str, Any]:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(document))

    async with client_of(speak) as (client, name):
        bucket, object_name = name.split("/", 1)
        return await client.status(bucket, object_name)


async def test_texts_of_a_status_are_escaped() -> None:
    error = {"reason": ESCAPES, "message": ESCAPES * 1000, "retryable": False}
    status = await status_of(json.dumps({**GOOD, "error": error, ESCAPES: [ESCAPES]}).encode())
    assert is_harmless(status["error"]["reason"])
    assert is_harmless(status["error"]["message"])
    assert all(is_harmless(name) for name in status)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 200_000,
        b'{"object_id": ' + b"1" * 5000 + b"}",
        json.dumps({**GOOD, "state_number": 99}).encode(),
        json.dumps({**GOOD, "state": "\x1b[2J"}).encode(),
        json.dumps({**GOOD, "object_id": "1"}).encode(),
        json.dumps({**GOOD, "final": 1}).encode(),
        json.dumps({**GOOD, "error": {"reason": "x"}}).encode(),
        json.dumps({**GOOD, "error": []}).encode(),
        json.dumps({**GOOD, "history": [{"state": "SEAL_OBJECT_DONE", "at": "now"}]}).encode(),
        json.dumps({**GOOD, "history": {}}).encode(),
        json.dumps({**GOOD, "replaced": [None]}).encode(),
        json.dumps(
            {
                **GOOD,
                "secondaries": [
                    {"redundancy_index": 0, "operator_address": "x", "integrity_hash": "zz"}
                ],
            }
        ).encode(),
        json.dumps({name: GOOD[name] for name in list(GOOD)[1:]}).encode(),
        json.dumps(GOOD).encode().replace(b'"attempt": 0', b'"attempt": NaN'),
    ],
)
async def test_a_status_of_another_form_is_a_bad_answer(document: bytes) -> None:
    with pytest.raises(BadAnswer) as raised:
        await status_of(document)
    assert is_harmless(str(raised.value))


@pytest.mark.parametrize("approval", [b"zz".hex(), (b"[" * 16_000).hex(), "0", b"{}".hex()])
async def test_an_approval_of_another_form_is_a_bad_answer(tmp_path: Path, approval: str) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", more=f"X-Gnfd-Signed-Msg: {approval}\r\n"))

    (tmp_path / "payload").write_bytes(b"payload")
    async with client_of(speak) as (client, name):
        with pytest.raises(BadAnswer, match="approval cannot be read"):
            await client.put(tmp_path / "payload", name.split("/")[0], "another")


# --- content types -----------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["a\r\nX-B: c", "a\nb", "a\0b", "a\x1b[2J"])
async def test_a_content_type_that_no_head_can_carry_is_refused_before_anything_is_paid(
    tmp_path: Path, content_type: str
) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody is asked")

    (tmp_path / "payload").write_bytes(b"payload")
    async with client_of(speak) as (client, name):
        chain_calls = client._chain.calls  # type: ignore[attr-defined]
        with pytest.raises(InvalidInput, match="control character"):
            await client.put(
                tmp_path / "payload",
                name.split("/")[0],
                "another",
                options=PutOptions(content_type=content_type),
            )
        assert chain_calls == []
