"""A person has a stuck job retried at once, or given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.client.storage_client import WaitFor
from greenray.cluster.jobs import find_job
from greenray.protocol.errors import IllegalTransition, InvalidInput, NoSuchJob, StaleJob
from greenray.protocol.job_outlook import JobOutlook
from tests.support.broken_table import BrokenTable
from tests.support.whole_network import WholeNetwork, whole_network

PAYLOAD = bytes(range(256)) * 100
NAME = "album/photo.jpg"


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    """No job is tried again within a quarter of an hour."""
    async with whole_network(tmp_path) as network:
        network.retry_base_s = network.retry_cap_s = 1800.0
        await network.start()
        yield network


def job_of(network: WholeNetwork) -> JobOutlook:
    return find_job(network.folder / "jobs.sqlite", NAME)


async def stuck(network: WholeNetwork) -> JobOutlook:
    """A job whose step has failed, while what it failed of is gone."""
    groups = BrokenTable(network.folder / "jobs.sqlite", "groups")
    groups.take_away()
    await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
    await network.wait_until(lambda status: status["error"] is not None)
    groups.put_back()
    while (job := job_of(network)).waits_for != "its next retry (journal-error)":
        assert job.stuck, job  # its TaskNode gives it back a moment later
    assert job.next_retry_in_s is not None
    assert job.next_retry_in_s > 600
    return job


async def test_a_stuck_job_is_retried_before_it_is_due(network: WholeNetwork) -> None:
    job = await stuck(network)
    claimed = await network.live.task_node.retry_now(job.sp_address, job.job_id)
    assert claimed.job_id == job.job_id
    with pytest.raises(StaleJob):
        await network.live.task_node.retry_now(job.sp_address, job.job_id)
    await network.wait_until(lambda status: status["final"])
    sealed = job_of(network)
    assert (sealed.state.name, sealed.retries, sealed.waits_for) == ("SEAL_OBJECT_DONE", 1, "")
    with pytest.raises(IllegalTransition, match="has ended"):
        await network.live.task_node.retry_now(job.sp_address, job.job_id)


async def test_a_job_that_is_given_up_is_final_and_nobody_has_it(network: WholeNetwork) -> None:
    job = await stuck(network)
    await network.live.task_node.give_up(job.sp_address, job.job_id)
    given_up = job_of(network)
    assert (given_up.final, given_up.state, given_up.error) == (True, job.state, job.error)
    row = await network.live.job_store.get_job(job.sp_address, job.object_id)
    assert row is not None
    assert row.owner == ""
    for ask in (network.live.task_node.give_up, network.live.task_node.retry_now):
        with pytest.raises(IllegalTransition, match="has ended"):
            await ask(job.sp_address, job.job_id)
        with pytest.raises(NoSuchJob):
            await ask(job.sp_address, job.job_id + 1)


async def test_a_job_that_waits_for_its_turn_is_not_given_up_but_goes_on(tmp_path: Path) -> None:
    async with whole_network(tmp_path) as network:
        await network.start(task_node=False)
        await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
        job = job_of(network)
        with pytest.raises(IllegalTransition, match="given_up"):
            await network.live.task_node.give_up(job.sp_address, job.job_id)
        await network.live.task_node.retry_now(job.sp_address, job.job_id)
        await network.wait_until(lambda status: status["final"])
        assert job_of(network).state.name == "SEAL_OBJECT_DONE"


async def test_an_upload_that_failed_is_left_to_its_client_or_given_up(
    network: WholeNetwork,
) -> None:
    records = BrokenTable(network.folder / "jobs.sqlite", "integrity_records")
    records.take_away()
    with pytest.raises(Exception, match="the journal failed"):
        await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
    records.put_back()
    await network.live.job_store.release_all()
    job = job_of(network)
    assert job.waits_for == "its client, who may put it again"
    with pytest.raises(InvalidInput, match="Put the object again"):
        await network.live.task_node.retry_now(job.sp_address, job.job_id)
    await network.live.task_node.give_up(job.sp_address, job.job_id)
    assert job_of(network).final
