"""Under a running network its chain goes back to an older copy, or its node lags."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from greenray.chain.dialects import get_local_dialect
from greenray.chain.local.server import running_chain
from greenray.chain.rpc.settings import FollowSettings, RpcSettings
from greenray.client.storage_client import WaitFor
from greenray.cluster.jobs import find_job
from greenray.protocol.errors import ChainLags, ChainRolledBack
from greenray.protocol.job_outlook import JobOutlook
from tests.support.movable_endpoint import MovableEndpoint
from tests.support.whole_network import BLOCK_INTERVAL_S, WholeNetwork, whole_network

OLD, LOST, NEW = (bytes(range(256)) * 50 + bytes([number]) for number in range(3))

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Swapped:
    network: WholeNetwork
    endpoint: MovableEndpoint
    own: str
    """Where the network's own chain answers."""

    @asynccontextmanager
    async def older_chain(self, *, block_interval_s: float) -> AsyncIterator[None]:
        """The chain as it was when ``copy_chain`` copied it answers, for a while."""
        async with running_chain(
            self.network.folder / "copy",
            port=0,
            local_dialect=get_local_dialect(),
            block_interval_s=block_interval_s,
        ) as chain:
            self.endpoint.move_to(chain.endpoint)
            yield
            self.endpoint.move_to(self.own)

    def copy_chain(self) -> None:
        (self.network.folder / "copy").mkdir()
        with (
            closing(sqlite3.connect(self.network.folder / "chain" / "chain.sqlite")) as source,
            closing(sqlite3.connect(self.network.folder / "copy" / "chain.sqlite")) as copy,
        ):
            source.backup(copy)


@pytest.fixture
async def swapped(tmp_path: Path) -> AsyncIterator[Swapped]:
    async with MovableEndpoint.open() as endpoint, whole_network(tmp_path) as network:
        own = network.chain.endpoint
        endpoint.move_to(own)
        network.chain = replace(network.chain, endpoint=endpoint.url)
        network.rpc = RpcSettings(follow=FollowSettings(0.05, 0.1, 0.02))
        yield Swapped(network, endpoint, own)


async def test_nothing_is_answered_for_a_lost_object_and_all_goes_on_with_the_newer_chain(
    swapped: Swapped,
) -> None:
    network = swapped.network
    await network.start()
    await network.put(OLD, "old")
    swapped.copy_chain()
    await network.put(LOST, "lost")
    async with swapped.older_chain(block_interval_s=BLOCK_INTERVAL_S):
        with pytest.raises((ChainLags, ChainRolledBack)):
            await network.put(NEW, "new")
        with pytest.raises((ChainLags, ChainRolledBack)):
            await network.get("old")
    assert (await network.put(NEW, "new"))["object_id"] == 3
    assert await network.get("lost") == LOST
    assert await network.get("new") == NEW


async def parked_job(network: WholeNetwork) -> JobOutlook:
    while True:
        job = find_job(network.folder / "jobs.sqlite", "album/new")
        if job.waits_for == "its chain's node, which lags behind":
            return job
        await asyncio.sleep(0.02)


async def test_a_job_waits_for_a_node_that_lags_and_goes_on_without_a_retry(
    swapped: Swapped,
) -> None:
    network = swapped.network
    await network.start(task_node=False)
    swapped.copy_chain()
    await network.put(NEW, "new", wait=WaitFor.UPLOADED)
    async with swapped.older_chain(block_interval_s=3600.0):
        network.start_task_node()
        job = await parked_job(network)
        assert job.error is not None
        assert (job.error.reason, job.retries) == ("chain-lags", 0)
    status = await network.wait_until(lambda status: status["final"], "new")
    assert (status["state"], status["attempt"]) == ("SEAL_OBJECT_DONE", 0)
