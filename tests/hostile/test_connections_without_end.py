"""More connections than a process has descriptors: others are served, and the log says it once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.actors.gateway.settings import GatewaySettings
from tests.support.gateway_rig import GatewayRig
from tests.support.raw_client import connected, exchange, last_answer, send

OPEN_FILES = 100
CONNECTIONS = 420
REQUEST = b"GET /album/photo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def child() -> AsyncIterator[asyncio.subprocess.Process]:
    """Of ``OPEN_FILES`` descriptors; its first line is its port."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.listening_child",
        str(OPEN_FILES),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    yield child
    if child.returncode is None:
        child.kill()
        await child.wait()


async def silent_connections(port: int) -> list[asyncio.StreamWriter]:
    """From ten addresses that are not the others'."""
    opening = (
        asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{number % 10}", 0))
        for number in range(CONNECTIONS)
    )
    return [(await one)[1] for one in opening]


async def test_four_times_as_many_connections_as_descriptors_cost_one_line(
    child: asyncio.subprocess.Process,
) -> None:
    assert child.stdout is not None
    port = int(await child.stdout.readline())
    silent = await silent_connections(port)
    for _ in range(3):
        assert (await exchange(port, REQUEST)).body == b"here"
    for writer in silent:
        writer.transport.abort()
    assert (await exchange(port, REQUEST)).body == b"here"
    _, said = await child.communicate(b"")
    assert len(said.splitlines()) == 1
    assert b"connections are refused or wait" in said


async def test_one_address_has_so_many_connections_and_the_next_is_refused(tmp_path: Path) -> None:
    settings = GatewaySettings(max_connections_per_address=3)
    rig = await GatewayRig.create(tmp_path, settings=settings)
    port = rig.gateway.port(rig.sp.address)
    async with connected(port), connected(port), connected(port):
        answer = await exchange(port, b"")
        assert answer.status == 503
        assert answer.header("Retry-After") == "1"
    while (await exchange(port, REQUEST)).status != 404:
        pass  # until the three are seen to be gone
    await rig.close()


@pytest.mark.parametrize("last_words", [b"", b"x"])
async def test_connections_that_were_answered_and_ask_nothing_more_make_room(
    tmp_path: Path, last_words: bytes
) -> None:
    """With a body that comes behind its answer, or without."""
    rig = await GatewayRig.create(tmp_path, settings=GatewaySettings(max_connections=8))
    port = rig.gateway.port(rig.sp.address)
    asks = f"POST /album/photo HTTP/1.1\r\nHost: h\r\nContent-Length: {len(last_words)}\r\n\r\n"
    idle = []
    for number in range(40):
        address = f"127.0.1.{number % 10}"
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        await send(writer, asks.encode())
        assert b" 405 " in await reader.readuntil(b"\r\n\r\n")
        await send(writer, last_words)
        idle.append(writer)
    assert (await exchange(port, REQUEST)).status == 404
    for writer in idle:
        writer.transport.abort()
    await rig.close()


async def test_of_those_who_stand_still_within_a_head_who_has_most_makes_room(
    tmp_path: Path,
) -> None:
    settings = GatewaySettings(max_connections=8, head_timeout_s=600.0)
    rig = await GatewayRig.create(tmp_path, settings=settings)
    port = rig.gateway.port(rig.sp.address)
    async with connected(port) as (reader, writer):
        await send(writer, REQUEST[:30])
        greedy = await half_heads(port)
        while (await exchange(port, REQUEST)).status != 404:
            pass  # some of them have to stand still for a while first
        await send(writer, REQUEST[30:])
        assert (await last_answer(reader)).status == 404, "who has one connection keeps it"
    for one in greedy:
        one.transport.abort()
    await rig.close()


async def half_heads(port: int) -> list[asyncio.StreamWriter]:
    """All connections that there are, from two addresses."""
    greedy = []
    for number in range(40):
        address = (f"127.0.1.{number % 2}", 0)
        opening = asyncio.open_connection("127.0.0.1", port, local_addr=address)
        greedy.append((await opening)[1])
        greedy[-1].write(REQUEST[:30])
    return greedy


async def test_all_gateways_of_a_process_count_together(tmp_path: Path) -> None:
    settings = GatewaySettings(max_connections_per_address=1)
    rig = await GatewayRig.create(tmp_path, settings=settings)
    async with connected(rig.gateway.port(rig.sp.address)):
        answer = await exchange(rig.gateway.port(rig.other_sp.address), b"")
        assert answer.status == 503
    await rig.close()


async def test_a_connection_that_has_spoken_is_not_let_go_for_a_new_one(
    child: asyncio.subprocess.Process,
) -> None:
    assert child.stdout is not None
    port = int(await child.stdout.readline())
    async with connected(port) as (reader, writer):
        await send(writer, b"GET / HTTP/1.1\r\nHost: h\r\n")
        silent = await silent_connections(port)
        assert (await exchange(port, REQUEST)).body == b"here"
        await send(writer, b"Connection: close\r\n\r\n")
        assert (await last_answer(reader)).body == b"here"
    for one in silent:
        one.transport.abort()
