"""A short run of ``make fuzz``, always the same: random HTTP, whole, cut, slow and broken off."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.fuzz.conversations import Place, drawn
from tests.hostile.fuzz.run import fuzz
from tests.support.raw_client import exchange
from tests.support.sps import test_key
from tests.support.whole_network import whole_network


async def test_the_network_does_not_mind_random_http(tmp_path: Path) -> None:
    assert await fuzz(tmp_path, first=0, rounds=3, size=100) == 300


async def test_a_chain_tells_a_body_that_ends_too_soon(tmp_path: Path) -> None:
    async with whole_network(tmp_path, sps=1) as network:
        port = int(network.chain.endpoint.rpartition(":")[2])
        request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx"
        assert (await exchange(port, request, end=True)).status == 400


def test_a_seed_says_the_same_again() -> None:
    place = Place("h:1", ["/album/photo"], test_key("user"), b"payload" * 100)
    assert [drawn(seed, place) for seed in range(50)] == [drawn(seed, place) for seed in range(50)]
