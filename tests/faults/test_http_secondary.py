"""Remote secondaries that answer wrongly, late, or not at all (real sockets)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from greenray.actors.replication.secondaries import Directory
from greenray.actors.replication.settings import HttpSettings
from greenray.cluster.in_process import LocalSpace
from greenray.protocol.errors import ApprovalError, SecondaryFailed, SecondaryTimeout
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.objects import StorageParams
from tests.support.fake_chain import FakeChain
from tests.support.groups import ObjectGroups, put_object_on_chain
from tests.support.sps import SpKeys

MIB = 1024 * 1024
PRIMARY, SECONDARY = SpKeys.numbered(0), SpKeys.numbered(1)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def small_object() -> ObjectGroups:
    return put_object_on_chain(FakeChain(), PRIMARY, 5000)


def large_object() -> ObjectGroups:
    """24 MiB per column in twelve batches: more than sockets take on their own."""
    chain = FakeChain(params=StorageParams(max_segment_size_bytes=4 * MIB))
    return put_object_on_chain(chain, PRIMARY, 96 * MIB)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The endpoint of a server that treats each connection with ``handler``."""
    writers = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in writers:
        writer.close()
    await server.wait_closed()


async def send(
    endpoint: str, groups: ObjectGroups, idle_timeout_s: float = 30.0
) -> UnverifiedReceipt:
    directory = Directory({}, LocalSpace(), http=HttpSettings(idle_timeout_s))
    try:
        client = directory.client(SECONDARY.provider(endpoint))
        group = await client.open(groups.order(SECONDARY, 0))
        for index, batch in enumerate(groups.batches(0)):
            await group.write_batch(index, batch)
        return await group.finish()
    finally:
        await directory.close()


def answering(answer: str, *, early: bool = False) -> Handler:
    """Answers after the body, or as soon as the headers are there."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if not early:
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        writer.write(answer.replace("\n", "\r\n").encode())
        await writer.drain()

    return handle


def error(status: str, code: str, message: str) -> str:
    xml = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>7</RequestId></Error>"
    return f"HTTP/1.1 {status}\nContent-Length: {len(xml)}\n\n{xml}"


@pytest.mark.parametrize("early", [False, True])
async def test_invalid_header_answer_is_an_approval_error(early: bool) -> None:
    answer = error("400 Bad Request", "InvalidHeader", "The headers are invalid.")
    async with serving(answering(answer, early=early)) as endpoint:
        with pytest.raises(ApprovalError, match="400 InvalidHeader: The headers are invalid"):
            await send(endpoint, small_object())


async def test_early_refusal_ends_a_large_group_at_once() -> None:
    answer = error("400 Bad Request", "InvalidHeader", "The headers are invalid.")
    async with serving(answering(answer, early=True)) as endpoint:
        with pytest.raises(ApprovalError):
            await send(endpoint, large_object())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("400 Bad Request", "InvalidPayload"),
        ("500 Internal Server Error", "InternalError"),
        ("501 Not Implemented", "NotExistComponentError"),
    ],
)
async def test_other_answer_is_a_failed_secondary_and_says_its_code(status: str, code: str) -> None:
    async with serving(answering(error(status, code, "x"))) as endpoint:
        with pytest.raises(SecondaryFailed, match=f"{status[:3]} {code}: x"):
            await send(endpoint, small_object())


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\nX-Gnfd-Integrity-Hash: zz\n"
        "X-Gnfd-Integrity-Hash-Signature: 00\nContent-Length: 0\n\n",
        "HTTP/1.1 502 Bad Gateway\nContent-Length: 4\n\noops",
        "HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/\nContent-Length: 0\n\n",
        "SMTP ready\n\n",
    ],
)
async def test_answer_without_a_receipt_is_a_failed_secondary(answer: str) -> None:
    async with serving(answering(answer)) as endpoint:
        with pytest.raises(SecondaryFailed):
            await send(endpoint, small_object())


async def test_connection_that_breaks_half_way_is_a_failed_secondary() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(MIB)
        writer.transport.abort()

    async with serving(hang_up) as endpoint:
        with pytest.raises(SecondaryFailed, match="connection failed"):
            await send(endpoint, large_object())


async def test_black_hole_that_reads_nothing_times_out() -> None:
    accepted = asyncio.Event()

    async def swallow(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        accepted.set()

    async with serving(swallow) as endpoint:
        with pytest.raises(SecondaryTimeout, match="nothing moved"):
            await send(endpoint, large_object(), idle_timeout_s=0.3)
    assert accepted.is_set()


async def test_secondary_that_never_answers_times_out() -> None:
    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(MIB):
            pass

    async with serving(listen) as endpoint:
        with pytest.raises(SecondaryTimeout, match="nothing moved"):
            await send(endpoint, small_object(), idle_timeout_s=0.3)


async def test_slow_secondary_has_all_the_time_while_something_moves() -> None:
    groups = large_object()
    hash_hex, signature_hex = "00" * 32, "11" * 65

    async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(12):
            await reader.readexactly(groups.layout.size_bytes // 12)
            await asyncio.sleep(0.15)  # 1.8 s in all
        writer.write(
            f"HTTP/1.1 200 OK\r\nX-Gnfd-Integrity-Hash: {hash_hex}\r\n"
            f"X-Gnfd-Integrity-Hash-Signature: {signature_hex}\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        await writer.drain()

    async with serving(sip) as endpoint:
        receipt = await send(endpoint, groups, idle_timeout_s=1.2)
    assert receipt == UnverifiedReceipt(0, SECONDARY.address, bytes(32), b"\x11" * 65)


async def test_endpoint_without_a_scheme_is_reached_by_https() -> None:
    first_bytes: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first_bytes.set_result(await reader.readexactly(3))
        writer.close()

    async with serving(look) as endpoint:
        with pytest.raises(SecondaryFailed):
            await send(endpoint.removeprefix("http://"), small_object())
        assert await first_bytes == b"\x16\x03\x01"  # a TLS handshake


async def test_message_of_a_strange_answer_is_shortened() -> None:
    long = error("500 Internal Server Error", "InternalError", "&lt;" + "x" * 5000)
    async with serving(answering(long)) as endpoint:
        with pytest.raises(SecondaryFailed) as failure:
            await send(endpoint, small_object())
    assert "<xxx" in failure.value.what
    assert len(failure.value.what) < 300
