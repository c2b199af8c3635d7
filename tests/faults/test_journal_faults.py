"""The journal fails while the network runs: it is named, and nobody else is blamed for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.client.storage_client import WaitFor
from tests.support.broken_table import BrokenTable
from tests.support.whole_network import WholeNetwork, whole_network

PAYLOAD = bytes(range(256)) * 100


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        yield network


async def test_no_secondary_is_blamed_for_the_journal_and_the_job_goes_on_when_it_is_back(
    network: WholeNetwork,
) -> None:
    groups = BrokenTable(network.folder / "jobs.sqlite", "groups")
    groups.take_away()
    await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
    failed = await network.wait_until(lambda status: status["attempt"] >= 1 and status["error"])
    assert failed["state"] == "REPLICATE_OBJECT_ERROR"
    assert failed["error"]["reason"] == "journal-error"
    assert "no such table: groups" in failed["error"]["message"]
    assert failed["replaced"] == []
    assert not failed["final"]

    groups.put_back()
    sealed = await network.wait_until(lambda status: status["final"])
    assert (sealed["state"], sealed["replaced"]) == ("SEAL_OBJECT_DONE", [])
    assert await network.get() == PAYLOAD
