"""Every process of a real network is killed after each journal write in turn, between the answer to
PUT and the seal; ``greenray up`` then seals the object, once.

One state directory serves all rounds: the start that repairs round n is the start of round n + 1.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from cluster.client import StorageClient, WaitFor
from cluster.state_dir import StateDir
from cluster.user import open_client
from protocol.job import JobState
from tests.support.cli import (
    SEGMENT_SIZE_BYTES,
    SMALL_NETWORK,
    Surroundings,
    UpNetwork,
    start_network,
)

BUCKET = "album"
COMMITS_OF_PUT = 2
"""begin_upload and finish_upload; PUT is answered after the second."""


class Drill:
    """Rounds of: seal what the last crash left, put, crash one write later than last time."""

    def __init__(self, folder: Path) -> None:
        # Few processes: most of a round is their start.
        settings = {**SMALL_NETWORK, "cpus": 1, "replication": {"receivers": 1}}
        self.surroundings = Surroundings(folder / "network", settings)
        self.payload = random.Random(7).randbytes(SEGMENT_SIZE_BYTES + 100)
        self.source = folder / "payload.bin"
        self.source.write_bytes(self.payload)
        self.target = folder / "downloaded"
        self.last_writes: list[str] = []

    async def round(self, commits: int) -> bool:
        """Whether there was a write of that number before the job was done."""
        marker = self.surroundings.folder / f"writes-{commits}"
        network = await asyncio.to_thread(
            start_network,
            self.surroundings,
            GREENRAY_FREEZE_AFTER_COMMIT=f"{commits}:{marker}",
        )
        async with open_client(StateDir(self.surroundings.state_dir).read_network()) as client:
            if self.last_writes:
                await self._sealed_once(client, network, _name(commits - 1))
            marker.touch()
            put = asyncio.create_task(
                client.put(self.source, BUCKET, _name(commits), wait=WaitFor.UPLOADED)
            )
            frozen = await _frozen_or_done(marker, commits, put)
            if not frozen:
                await put
                await self._sealed_once(client, network, _name(commits))
            put.cancel()
            await asyncio.wait([put])
        self.last_writes.append(marker.read_text().splitlines()[-1])
        await asyncio.to_thread(self.surroundings.kill_everything)
        return frozen

    async def _sealed_once(self, client: StorageClient, network: UpNetwork, name: str) -> None:
        while True:
            status = await client.status(BUCKET, name)
            if status["state"] == JobState.SEAL_OBJECT_DONE.name:
                break
            assert not status["final"], status
            await asyncio.sleep(0.05)
        [seal] = await asyncio.to_thread(network.seal_transactions, status["object_id"])
        assert seal["hash"] == status["seal_tx_hash"]
        await client.get(BUCKET, name, self.target)
        assert self.target.read_bytes() == self.payload


def _name(commits: int) -> str:
    return f"crash-{commits}"


async def _frozen_or_done(marker: Path, commits: int, put: asyncio.Task[object]) -> bool:
    """Read from the drill's file alone: a frozen journal answers nobody."""
    while True:
        writes = marker.read_text().splitlines()  # noqa: ASYNC240 - a short file
        if len(writes) >= commits:
            return True
        if any("seal_finished" in write for write in writes) and "release_job" in writes[-1]:
            return False
        if put.done():
            put.result()  # raises what stopped it
        await asyncio.sleep(0.02)


@pytest.mark.timeout(1200)
async def test_a_killed_network_seals_once_whichever_journal_write_was_the_last(
    tmp_path: Path,
) -> None:
    drill = Drill(tmp_path)
    commits = COMMITS_OF_PUT + 1
    try:
        while await drill.round(commits):
            commits += 1
    finally:
        drill.surroundings.kill_everything()
    crashes = drill.last_writes[:-1]
    for step in ("claim_jobs", "approvals", "acknowledge_batch", "finish_group", "reserve"):
        assert any(step in write for write in crashes), crashes
