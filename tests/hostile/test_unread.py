"""What nobody reads: bodies that no handler asks for, answers that no client takes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from greenray.listening.connections import Connections
from greenray.listening.limits import ListenLimits
from greenray.listening.listener import HttpListener, bound_sockets
from greenray.listening.server import BoundedServer, read_ahead
from tests.support.raw_client import connected, exchange, parsed
from tests.support.waiting import eventually

KIB = 1024
LIMITS = ListenLimits(100, 100, keepalive_timeout_s=60.0)
SIZE_BYTES = 3_000_000
BODIES = {
    "of a declared length": (f"Content-Length: {SIZE_BYTES}", b"x" * SIZE_BYTES),
    "in chunks of two bytes": (
        "Transfer-Encoding: chunked",
        b"2\r\nxx\r\n" * (SIZE_BYTES // 7) + b"0\r\n\r\n",
    ),
}
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def reads(request: web.BaseRequest) -> bool:
    assert isinstance(request.transport, asyncio.Transport)
    return request.transport.is_reading()


@asynccontextmanager
async def listening(
    answer: Answer, limits: ListenLimits = LIMITS
) -> AsyncIterator[tuple[int, Connections]]:
    connections = Connections(limits)
    server = BoundedServer(
        limits, connections, answer, lambda fault: web.Response(status=400), lambda *_: None
    )
    listener = HttpListener(server, await bound_sockets("127.0.0.1", 0))
    await listener.start()
    yield listener.port, connections
    await listener.close()


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_that_nobody_reads_yet_holds_a_small_part_of_it(kind: str) -> None:
    header, body = BODIES[kind]
    held_bytes = -1

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal held_bytes
        await eventually(lambda: not reads(request))
        held_bytes = request.content.total_bytes
        read_ahead(request, 256 * KIB)
        read_bytes = 0
        while chunk := await request.content.readany():
            read_bytes += len(chunk)
        return web.Response(text=str(read_bytes))

    async with listening(answer) as (port, _), connected(port) as (reader, writer):
        writer.write(f"PUT /x HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n".encode() + body)
        said = parsed(await reader.readuntil(b"\r\n\r\n"))
        read_bytes = int(await reader.readexactly(int(said.header("Content-Length"))))
    assert 0 < held_bytes <= 96 * KIB  # it was 2 MiB, and 6 MB of memory in chunks of two bytes
    assert read_bytes == body.count(b"x"), "all of it comes to who reads it"


async def test_answers_that_nobody_takes_do_not_keep_a_connection() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bytes(16 * KIB * KIB))

    limits = replace(LIMITS, answer_timeout_s=0.1)
    async with listening(answer, limits) as (port, connections):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
            await eventually(lambda: connections.open_connections == 1)
            await eventually(lambda: connections.open_connections == 0)  # it never was, before


async def test_an_answer_that_is_taken_slowly_comes_whole() -> None:
    size_bytes = 16 * KIB * KIB

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bytes(size_bytes))

    limits = replace(LIMITS, answer_timeout_s=2.0)
    async with listening(answer, limits) as (port, _), connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        received_bytes = 0
        while part := await reader.read(256 * KIB):
            received_bytes += len(part)
            await asyncio.sleep(0.05)  # 3 s in all
    assert received_bytes > size_bytes


async def test_those_who_take_no_answer_make_room_for_others() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=bytes(16 * KIB * KIB if request.path == "/much" else 1))

    limits = replace(LIMITS, max_connections=8)
    async with listening(answer, limits) as (port, _):
        greedy = []
        for number in range(40):
            client = socket.create_connection(
                ("127.0.0.1", port), source_address=(f"127.0.1.{number % 2}", 0)
            )
            client.sendall(b"GET /much HTTP/1.1\r\nHost: h\r\n\r\n")
            greedy.append(client)
        for _ in range(9):
            answered = await exchange(
                port, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
            )
            assert answered.status == 200
        for client in greedy:
            client.close()
