"""Heads of requests that are long, slow or never end: what they cost is bounded, and others are
served."""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from greenray.actors.gateway.settings import GatewaySettings
from tests.support.gateway_rig import GatewayRig, code_of
from tests.support.raw_client import RawAnswer, connected, exchange, last_answer, parsed, send

KIB = 1024
HEADER = b"X-Nothing: " + b"x" * 60_000 + b"\r\n"
BEGINNING = b"GET /album/photo HTTP/1.1\r\nHost: h\r\n"
MakeRig = Callable[..., Awaitable[GatewayRig]]


@pytest.fixture
async def make_rig(tmp_path: Path) -> AsyncIterator[MakeRig]:
    rigs: list[GatewayRig] = []

    async def make(**settings: float) -> GatewayRig:
        rigs.append(await GatewayRig.create(tmp_path, settings=GatewaySettings(**settings)))  # type: ignore[arg-type]
        return rigs[-1]

    yield make
    for rig in rigs:
        await rig.close()


def port_of(rig: GatewayRig) -> int:
    return rig.gateway.port(rig.sp.address)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


async def test_sixty_heads_of_seven_megabytes_cost_a_part_of_one(make_rig: MakeRig) -> None:
    rig = await make_rig()
    before_bytes = peak_bytes()
    attack = BEGINNING + HEADER * 120
    answers = await asyncio.gather(*(exchange(port_of(rig), attack) for _ in range(60)))
    assert peak_bytes() - before_bytes < 128 * KIB * KIB  # it was 860 MB
    refusal = (431, "RequestHeaderSectionTooLarge")
    # Who goes on sending may find the connection closed before it has read why.
    assert {(answer.status, answer.code) for answer in answers if answer.status} <= {refusal}
    little_too_long = BEGINNING + b"X-Nothing: " + b"x" * GatewaySettings().max_head_bytes
    answer = await exchange(port_of(rig), little_too_long)
    assert (answer.status, answer.code) == refusal
    assert (await rig.send("GET", "/album/photo")).status == 404


async def test_a_head_that_does_not_end_in_time_is_answered_and_closed(make_rig: MakeRig) -> None:
    rig = await make_rig(head_timeout_s=0.2)
    answer = await exchange(port_of(rig), BEGINNING + HEADER[:40_000])
    assert (answer.status, answer.code) == (408, "RequestTimeout")
    assert answer.header("Connection") == "close"


async def test_a_byte_now_and_then_gives_a_head_no_more_time(make_rig: MakeRig) -> None:
    rig = await make_rig(head_timeout_s=0.3)

    async with connected(port_of(rig)) as (reader, writer):

        async def trickle() -> None:
            await send(writer, BEGINNING + b"X-Slow: ")
            while True:
                await send(writer, b"x")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert (await last_answer(reader)).status == 408
        trickling.cancel()


async def test_the_second_head_of_a_connection_has_the_same_time(make_rig: MakeRig) -> None:
    rig = await make_rig(head_timeout_s=0.2)
    async with connected(port_of(rig)) as (reader, writer):
        await send(writer, BEGINNING + b"\r\n" + BEGINNING)
        first = parsed(await reader.readuntil(b"\r\n\r\n"))
        assert first.status == 404
        await reader.readexactly(int(first.header("Content-Length")))
        assert (await last_answer(reader)).status == 408


async def test_heads_under_way_have_a_budget_and_the_oldest_makes_room(make_rig: MakeRig) -> None:
    rig = await make_rig(heads_budget_bytes=256 * KIB, head_timeout_s=60.0)

    async def hold() -> RawAnswer:
        return await exchange(port_of(rig), BEGINNING + HEADER[:50_000])

    oldest = asyncio.create_task(hold())
    later = []
    while not oldest.done():
        later.append(asyncio.create_task(hold()))
        await asyncio.wait({oldest}, timeout=0.05)
    answer = await oldest
    assert (answer.status, answer.code) == (503, "SlowDown")
    assert answer.header("Retry-After") == "1"
    assert (await rig.send("GET", "/album/photo")).status == 404
    for task in later:
        task.cancel()


async def test_a_trailer_is_bounded_like_a_head(make_rig: MakeRig) -> None:
    rig = await make_rig()
    rig.create_object(b"x")
    head = "".join(
        f"{name}: {value}\r\n" for name, value in rig.signed("PUT", "/album/photo").items()
    )
    beginning = f"PUT /album/photo HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    before_bytes = peak_bytes()
    attack = beginning.encode() + b"0\r\n" + HEADER * 120
    answer = await exchange(port_of(rig), attack)
    assert answer.status in (0, 500)
    assert rig.nothing_is_stored()
    assert peak_bytes() - before_bytes < 64 * KIB * KIB


# --- work before limits ------------------------------------------------------------------------


async def test_a_url_of_15000_pairs_is_refused_by_its_length(make_rig: MakeRig) -> None:
    rig = await make_rig()
    query = "&".join(f"k{number}=%41+v" for number in range(15_000))
    attack = f"GET /album/photo?{query} HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n"
    answer = await exchange(port_of(rig), attack.encode())
    assert (answer.status, answer.code) == (414, "URITooLong")


async def test_a_query_of_a_few_bytes_in_101_pairs_is_refused(make_rig: MakeRig) -> None:
    rig = await make_rig()
    signed = rig.signed("GET", "/album/photo")
    answer = await rig.send("GET", "/album/photo", "&".join(["a"] * 101), signed)
    assert (answer.status, code_of(answer)) == (400, "InvalidQuery")


async def test_ranges_of_five_megabytes_are_refused_by_their_length(make_rig: MakeRig) -> None:
    rig = await make_rig()
    attack = BEGINNING + (b"Range: " + b"bytes=0-1,\t" * 4_000 + b"\r\n") * 123 + b"\r\n"
    answer = await exchange(port_of(rig), attack)
    assert answer.status in (0, 431)
    assert (await rig.send("GET", "/album/photo")).status == 404


async def test_the_longest_request_of_the_protocol_is_taken(make_rig: MakeRig) -> None:
    rig = await make_rig()
    name = "中" * 341  # 1023 bytes, 3069 in a request line
    await rig.stored_object(b"payload", name)
    unsigned = "7b" * 20_000
    answer = await rig.get(f"/album/{name}", X_Gnfd_Unsigned_Msg=unsigned)
    assert answer.body == b"payload"


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"G\x00"]
)
async def test_what_is_no_request_is_answered_and_not_logged(
    make_rig: MakeRig, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    rig = await make_rig()
    answer = await exchange(port_of(rig), junk)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert caplog.records == []


async def test_a_request_before_a_broken_one_is_answered(make_rig: MakeRig) -> None:
    rig = await make_rig()
    async with connected(port_of(rig)) as (reader, writer):
        await send(writer, BEGINNING + b"\r\n" + BEGINNING + HEADER * 2 + b"\r\n")
        assert parsed(await reader.readuntil(b"\r\n\r\n")).status == 404


@pytest.mark.parametrize(
    "asks",
    [
        b"CONNECT \r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
        BEGINNING + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["no target", "a tunnel", "another protocol"],
)
@pytest.mark.parametrize("follows", [BEGINNING + HEADER, BEGINNING + b"Connection: close\r\n\r\n"])
async def test_who_asks_for_another_protocol_is_answered_in_this_one_and_bounded(
    make_rig: MakeRig, asks: bytes, follows: bytes
) -> None:
    rig = await make_rig(head_timeout_s=0.2)
    async with connected(port_of(rig)) as (reader, writer):
        await send(writer, asks + follows)
        async with asyncio.timeout(30.0):  # without a target the connection stayed for ever
            received = await reader.read()
    assert re.match(rb"HTTP/1\.[01] 4", received)
    if follows.endswith(b"close\r\n\r\n") and asks != b"CONNECT \r\n\r\n":
        assert received.count(b"HTTP/1.1 4") == 2
