"""More at a time than a network takes: who is too many comes again, everything is sealed, and
nothing of it stays behind. ``make floods`` does the same with thousands, on Ray."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import psutil
import pytest

import greenray
from greenray.bench.uploads import BenchClient
from greenray.client.network_file import NetworkFile, read_network
from tests.support.cli import SEGMENT_SIZE_BYTES
from tests.support.floods import FloodClient, counted_refusals

PAYLOAD = random.Random(41).randbytes(SEGMENT_SIZE_BYTES + 7)
CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(PAYLOAD)
    return path


def test_a_flood_is_taken_in_turns_and_leaves_nothing_behind(tmp_path: Path, source: Path) -> None:
    state_dir = tmp_path / "network"
    with greenray.local_network(
        ray=False, chain=CHAIN, gateway={"max_uploads": 4}, state_dir=state_dir
    ) as network:
        asyncio.run(flooded(read_network(state_dir), source))
        assert network.get("bench/flood-48") == PAYLOAD
    assert not list((state_dir / "pieces").glob("*/unfinished/*"))


async def flooded(network: NetworkFile, source: Path) -> None:
    async with BenchClient.opened(network) as client:
        flood = FloodClient(network, client)

        async def put(objects: int, at_once: int) -> int:
            infos = await flood.create(source, objects)
            with counted_refusals() as later:
                await flood.put_all(PAYLOAD, infos, at_once)
                await flood.sealed(infos)
            return later.count

        assert await put(8, at_once=4) == 0
        descriptors, threads = psutil.Process().num_fds(), threading.active_count()
        assert await put(40, at_once=40) > 0, "nobody was told to come later"
        # The connections of the flood are closed by both sides, one after the other.
        while True:
            if psutil.Process().num_fds() <= descriptors + 8:
                break
            await asyncio.sleep(0.05)
        # Those of thread pools that the first objects had not filled.
        assert threading.active_count() <= threads + 16
