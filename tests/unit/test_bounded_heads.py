"""Heads are counted until the HTTP library's parser has found their end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import StreamReader

from greenray.listening.heads import (
    BoundedParser,
    HeadPutOff,
    HeadsBudget,
    HeadTooLong,
    HeadTooSlow,
)
from greenray.listening.limits import ListenLimits

LIMITS = ListenLimits(10, 10, keepalive_timeout_s=60.0, head_timeout_s=0.01, max_head_bytes=4096)
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
PUT = b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n"


class Reading:
    """A parser of the HTTP library behind the bounds, without a connection."""

    def __init__(self, budget: HeadsBudget | None = None) -> None:
        self.budget = budget or HeadsBudget(1 << 20)
        self.is_idle = True
        self.poked = asyncio.Event()
        loop = asyncio.get_running_loop()
        library = HttpRequestParser(_NoProtocol(), loop, 1 << 16)  # type: ignore[arg-type]
        self.parser = BoundedParser(
            library, LIMITS, self.budget, lambda: self.is_idle, self.poked.set
        )

    def targets(self, *chunks: bytes) -> Sequence[str]:
        """Of the requests that were found."""
        return [head.path for chunk in chunks for head, _ in self.parser.feed_data(chunk)[0]]


class _NoProtocol:
    def pause_reading(self) -> None:
        """The test reads no bodies."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """The same."""


@pytest.fixture
async def reading() -> Reading:
    return Reading()


async def test_whole_heads_hold_nothing(reading: Reading) -> None:
    assert reading.targets(GET, GET * 3) == ["/a"] * 4
    assert reading.budget.held_bytes == 0


async def test_a_head_in_pieces_is_held_until_its_end(reading: Reading) -> None:
    assert reading.targets(GET[:10], GET[10:-1]) == []
    assert reading.budget.held_bytes == len(GET) - 1
    assert reading.targets(GET[-1:]) == ["/a"]
    assert reading.budget.held_bytes == 0


async def test_what_stands_behind_a_head_is_the_next_one(reading: Reading) -> None:
    assert reading.targets(GET + GET[:10]) == ["/a"]
    assert reading.budget.held_bytes == 10


@pytest.mark.parametrize("size", [1, 100, 4096, 1 << 18])
async def test_a_head_that_is_too_long_is_refused_however_it_comes(
    reading: Reading, size: int
) -> None:
    endless = GET[:-2] + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 500) for n in range(20))
    with pytest.raises(HeadTooLong):
        reading.targets(*(endless[at : at + size] for at in range(0, len(endless), size)))
    assert reading.budget.held_bytes == 0
    assert reading.targets(GET) == []  # nothing is read any more


async def test_a_body_is_no_head_however_long(reading: Reading) -> None:
    assert reading.targets(PUT + b"x" * 9_000, b"x" * 1_000, GET) == ["/a", "/a"]
    assert reading.budget.held_bytes == 0


async def test_trailers_are_counted_and_chunks_are_not(reading: Reading) -> None:
    head = b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert reading.targets(head, *[b"1\r\nx\r\n"] * 3_000) == ["/a"]
    with pytest.raises(HeadTooLong):
        reading.targets(b"0\r\n", *(b"X-%d: %s\r\n" % (n, b"x" * 500) for n in range(20)))


async def test_what_came_before_a_broken_head_is_given_first(reading: Reading) -> None:
    first = GET[:-2] + b"X: "
    first += b"x" * (LIMITS.max_head_bytes - len(first) - 4) + b"\r\n\r\n"
    assert reading.targets(first + b"\x00\r\n\r\n" * 200) == ["/a"]
    await reading.poked.wait()
    with pytest.raises(Exception, match="400"):
        reading.parser.feed_data(b"")


async def test_a_late_head_is_refused_unless_its_connection_is_busy(reading: Reading) -> None:
    reading.is_idle = False
    reading.targets(GET[:10])
    await asyncio.sleep(LIMITS.head_timeout_s * 3)
    assert not reading.poked.is_set()
    reading.is_idle = True
    await reading.poked.wait()
    with pytest.raises(HeadTooSlow):
        reading.parser.feed_data(b"")


async def test_beyond_the_budget_the_oldest_is_put_off() -> None:
    budget = HeadsBudget(25)
    oldest, other, newest = (Reading(budget) for _ in range(3))
    for one in (oldest, other, newest):
        one.targets(GET[:10])
    await oldest.poked.wait()
    assert budget.held_bytes == 20
    with pytest.raises(HeadPutOff):
        oldest.parser.feed_data(b"")
    assert other.targets(GET[10:]) == newest.targets(GET[10:]) == ["/a"]


async def test_a_body_that_is_cut_off_is_broken(reading: Reading) -> None:
    [(_, body)] = reading.parser.feed_data(PUT + b"x")[0]
    reading.parser.cut_off()
    assert isinstance(body, StreamReader)
    assert isinstance(body.exception(), ConnectionResetError)
