"""Every process of a real network is killed after each journal write in turn, between the answer to
PUT and the seal; ``greenray up`` then seals the object, once.

One state directory serves all rounds: the start that repairs one round is the start of the next.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greenray.client.network_file import read_network
from greenray.client.storage_client import StorageClient, WaitFor
from greenray.client.user import open_client
from greenray.protocol.job import JobState
from tests.support.cli import (
    SEGMENT_SIZE_BYTES,
    SMALL_NETWORK,
    Surroundings,
    UpNetwork,
    start_network,
)

BUCKET = "album"
WRITES_OF_PUT = ["begin_upload 1", "finish_upload 1"]
"""PUT is answered after these."""
LAST_WRITE = "release_job 1"
SECONDARIES = 3
SMALL_CODE = {
    "max_segment_size": SEGMENT_SIZE_BYTES,
    "redundant_data_chunk_num": 2,
    "redundant_parity_chunk_num": 1,
}


class Drill:
    """Rounds of: seal what the last crash left, put, crash after a write that is new."""

    def __init__(self, folder: Path) -> None:
        # Few processes and few secondaries: most of a round is the start, and every group has the
        # same writes. Six secondaries are enumerated in test_every_journal_write.
        chain = {**SMALL_NETWORK["chain"], "genesis_params": SMALL_CODE}
        replication = {"receivers": 1, "ahead_after_bytes": 0}
        settings = {**SMALL_NETWORK, "chain": chain, "cpus": 1, "replication": replication}
        self.surroundings = Surroundings(folder / "network", settings)
        self.payload = random.Random(7).randbytes(3 * SEGMENT_SIZE_BYTES + 100)
        self.source = folder / "payload.bin"
        self.source.write_bytes(self.payload)
        self.target = folder / "downloaded"
        self.file = folder / "crashed-after"
        self.crashed_after = list(WRITES_OF_PUT)
        self.rounds = 0

    async def round(self) -> bool:
        """Whether there was a write after which nothing had been killed before."""
        self.rounds += 1
        self.file.unlink(missing_ok=True)
        network = await asyncio.to_thread(
            start_network, self.surroundings, GREENRAY_FREEZE_AFTER_COMMIT=str(self.file)
        )
        name = f"crash-{self.rounds}"
        async with open_client(read_network(self.surroundings.state_dir)) as client:
            if self.rounds > 1:
                await self._sealed_once(client, network, f"crash-{self.rounds - 1}")
            self._arm()
            put = asyncio.create_task(client.put(self.source, BUCKET, name, wait=WaitFor.UPLOADED))
            sealed = asyncio.create_task(_put_and_sealed(put, client, name))
            while not (frozen := self._has_frozen()):
                # A frozen journal answers nobody, so the seal is only believed after the last
                # write was ruled out as well.
                if sealed.done() and (sealed.exception() or LAST_WRITE in self.crashed_after):
                    break
                await asyncio.sleep(0.02)
            if not frozen:
                await sealed
                await self._sealed_once(client, network, name)
            for task in (put, sealed):
                task.cancel()
            await asyncio.wait([put, sealed])
        self.crashed_after = self.file.read_text().splitlines()
        await asyncio.to_thread(self.surroundings.kill_everything)
        return frozen

    def _arm(self) -> None:
        unarmed = self.file.with_suffix(".new")
        unarmed.write_text("".join(f"{write}\n" for write in self.crashed_after))
        unarmed.rename(self.file)

    def _has_frozen(self) -> bool:
        return len(self.file.read_text().splitlines()) > len(self.crashed_after)

    async def _sealed_once(self, client: StorageClient, network: UpNetwork, name: str) -> None:
        status = await _sealed(client, name)
        [seal] = await asyncio.to_thread(network.seal_transactions, status["object_id"])
        assert seal["hash"] == status["seal_tx_hash"]
        await client.get(BUCKET, name, self.target)
        assert self.target.read_bytes() == self.payload


async def _put_and_sealed(put: asyncio.Task[Any], client: StorageClient, name: str) -> None:
    await put
    await _sealed(client, name)


async def _sealed(client: StorageClient, name: str) -> Mapping[str, Any]:
    while True:
        status = await client.status(BUCKET, name)
        if status["state"] == JobState.SEAL_OBJECT_DONE.name:
            return status
        assert not status["final"], status
        await asyncio.sleep(0.05)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_a_killed_network_seals_once_whichever_journal_write_was_the_last(
    tmp_path: Path,
) -> None:
    drill = Drill(tmp_path)
    try:
        while await drill.round():
            pass
    finally:
        drill.surroundings.kill_everything()
    steps = ["claim_jobs", "apply replicate_started", "apply approvals_collected"]
    steps += ["apply replicate_finished", "apply sign_started", "reserve_transaction nonce"]
    steps += ["apply sign_finished", "apply seal_watch_started", "mark_transaction committed"]
    steps += ["apply seal_finished", "release_job"]
    expected = [f"{step} 1" for step in steps]
    for step in ("open_group", "acknowledge_batch", "finish_group", "apply secondary_finished"):
        expected += [f"{step} {number}" for number in range(1, SECONDARIES + 1)]
    assert {*WRITES_OF_PUT, *expected} <= set(drill.crashed_after)
