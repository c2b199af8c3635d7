"""Everything dies after each journal write in turn, between the answer to PUT and the seal."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from greenray.actors.ports import ReceiverPort
from greenray.actors.replication.settings import InClusterSettings
from greenray.client.storage_client import WaitFor
from greenray.protocol.job import JobState
from tests.support.faulty_secondaries import PassingReceiver
from tests.support.whole_network import SEGMENT_SIZE_BYTES, WholeNetwork, whole_network

PAYLOADS = {
    "batches": random.Random(5).randbytes(SEGMENT_SIZE_BYTES * 9 + 100),
    "small": random.Random(6).randbytes(SEGMENT_SIZE_BYTES // 2),
}
BATCHES = 3


async def _crash_after(commits: int, folder: Path, payload: bytes) -> bool:
    """Whether the journal had that many writes; the object must be sealed once in any case."""
    async with whole_network(folder) as network:
        network.in_cluster = InClusterSettings(whole_group_bytes=SEGMENT_SIZE_BYTES)
        await network.start(task_node=False)
        await network.put(payload, wait=WaitFor.UPLOADED)
        await network.kill()

        network.freeze_after(commits)
        await network.start()
        crashed = await _frozen_or_sealed(network)
        await network.kill()

        sent = _watch_batches(network)
        await network.start(task_node=False)
        acknowledged = await _acknowledged(network)
        network.start_task_node()
        status = await network.wait_until(lambda s: s["state"] == JobState.SEAL_OBJECT_DONE.name)

        assert [s["redundancy_index"] for s in status["secondaries"]] == list(range(6))
        assert await network.get() == payload
        [seal] = await network.seal_transactions()
        assert seal["tx_result"]["code"] == 0
        sent_again = {
            (sp_address, index, batch)
            for sp_address, receiver in sent.items()
            for index, batch in receiver.batches
            if batch < acknowledged.get((sp_address, index), 0)
        }
        assert sent_again == set()
        return crashed


async def _frozen_or_sealed(network: WholeNetwork) -> bool:
    frozen = asyncio.create_task(network.frozen.wait())
    sealed = asyncio.create_task(
        network.wait_until(lambda s: s["state"] == JobState.SEAL_OBJECT_DONE.name)
    )
    await asyncio.wait({frozen, sealed}, return_when=asyncio.FIRST_COMPLETED)
    return network.frozen.is_set()


def _watch_batches(network: WholeNetwork) -> dict[str, PassingReceiver]:
    sent: dict[str, PassingReceiver] = {}

    def decorate(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        sent[sp_address] = PassingReceiver(receiver)
        return sent[sp_address]

    network.decorate = decorate
    return sent


async def _acknowledged(network: WholeNetwork) -> dict[tuple[str, int], int]:
    """How many batches each secondary had acknowledged, by (operator address, index)."""
    found = {}
    store = network.live.job_store
    for sp in network.sps:
        for row in await store.list_groups(sp.address):
            found[sp.address, row.key.redundancy_index] = row.batches_acknowledged
        for index in range(6):
            if await store.get_integrity(sp.address, 1, index) is not None:
                found[sp.address, index] = BATCHES
    return found


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
async def test_the_object_is_sealed_once_whichever_journal_write_was_the_last(
    tmp_path: Path, payload: bytes
) -> None:
    commits = 1
    while await _crash_after(commits, tmp_path / str(commits), payload):
        commits += 1
    # At least: claim, replicate_started, approvals, a batch, a receipt, three seal steps, sealed.
    assert commits > 9
