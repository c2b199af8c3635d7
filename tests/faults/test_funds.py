"""A seal address, or a user, without coins."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from greenray.actors.ports import SealerPort, SealOrder, SealOutcome, SealTicket
from greenray.chain.crypto import address_of
from greenray.client.storage_client import WaitFor
from greenray.cluster.jobs import find_job
from greenray.protocol.errors import InsufficientFunds, NoSuchObject, SealAccountWithoutFunds
from greenray.protocol.job import JobContext
from greenray.protocol.job_events import (
    JobEvent,
    ReplicateFinished,
    ReplicateStarted,
    SecondaryFinished,
    SignFailed,
    SignStarted,
    UploadFinished,
)
from greenray.storage.ports import JobUpdate
from tests.support.chain_hand import set_balance
from tests.support.sps import SpKeys
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network

PAYLOAD = bytes(range(256)) * 100

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        yield network


def seal_address(network: WholeNetwork) -> str:
    return address_of(network.sps[0].seal)


async def test_a_seal_waits_for_coins_without_a_retry_and_goes_on_by_itself(
    network: WholeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    await network.put(PAYLOAD, "first")
    caplog.set_level(logging.WARNING)
    before = set_balance(network.chain, seal_address(network), 0)
    # Created while the account could pay, as its primary knew a moment ago.
    for name in ("a", "b", "c"):
        await network.put(PAYLOAD, name, wait=WaitFor.UPLOADED)
        await network.wait_until(lambda status: status["error"] is not None, name)
    looks = 0
    while looks < 5:
        [waiting] = [find_job(network.folder / "jobs.sqlite", "album/a")]
        if waiting.error is not None:
            assert waiting.error.reason == "seal-account-without-funds"
            assert waiting.retries == 0
            # Not so while its account is looked at once more.
            looks += waiting.waits_for == "coins at the seal address of its storage provider"
        await network.wait_until(lambda status: True, "a")
    alarms = [r for r in caplog.records if "nothing is sealed" in r.message]
    assert len(alarms) == 1
    assert seal_address(network) in alarms[0].message
    set_balance(network.chain, seal_address(network), before)
    for name in ("a", "b", "c"):
        status = await network.wait_until(lambda status: status["final"], name)
        assert (status["state"], status["attempt"]) == ("SEAL_OBJECT_DONE", 0)


class Counted(SealerPort):
    """Notes when a seal was asked for, of one SP."""

    def __init__(self, sealer: SealerPort, sp_address: str) -> None:
        self._sealer = sealer
        self._sp_address = sp_address
        self.asked_at: list[float] = []
        self.five_looks = asyncio.Event()

    def begin(self) -> list[float]:
        """Of unix times, from now on."""
        self.asked_at = []
        self.five_looks.clear()
        return self.asked_at

    async def submit_seal(self, order: SealOrder) -> SealTicket:
        if order.sp_address == self._sp_address:
            self.asked_at.append(time.time())
        if len(self.asked_at) == 5:
            self.five_looks.set()
        return await self._sealer.submit_seal(order)

    async def watch_seal(self, order: SealOrder, timeout_s: float) -> SealOutcome:
        return await self._sealer.watch_seal(order, timeout_s)

    async def reject_seal(self, order: SealOrder) -> None:
        await self._sealer.reject_seal(order)


async def park_copies(network: WholeNetwork, job: JobContext, count: int) -> None:
    """More jobs of that SP, as they are when their seals cannot be paid."""
    assert job.error is not None
    store = network.live.job_store
    events: list[JobEvent] = [ReplicateStarted()]
    events += [SecondaryFinished(receipt) for receipt in job.secondaries]
    events += [ReplicateFinished(), SignStarted(), SignFailed(job.error, time.time())]
    for number in range(count):
        info = replace(job.object_info, id=1000 + number, object_name=f"copy-{number}")
        copy = await store.begin_upload(
            job.sp_address, info, job.params, job.batch_segments, "", 60.0, 3600.0
        )
        stored = UploadFinished()
        await store.apply(
            JobUpdate(copy.sp_address, copy.job_id, copy.epoch, copy.state, stored, tuple(events))
        )
        await store.release_job(copy.sp_address, copy.job_id, copy.epoch)


async def test_five_hundred_jobs_that_wait_for_coins_ask_once_in_each_interval(
    tmp_path: Path,
) -> None:
    counted: list[Counted] = []

    def decorate(sealer: SealerPort) -> SealerPort:
        counted.append(Counted(sealer, SpKeys.numbered(0).address))
        return counted[-1]

    async with whole_network(tmp_path) as network:
        network.decorate_sealer = decorate
        await network.start()
        await network.put(PAYLOAD, "first")
        set_balance(network.chain, seal_address(network), 0)
        await network.put(PAYLOAD, "a", wait=WaitFor.UPLOADED)
        await network.wait_until(lambda status: status["error"] is not None, "a")
        await stop_task_node(network)
        job = await network.live.job_store.find_job("album", "a")
        assert job is not None
        await park_copies(network, job, 500)
        looks = counted[-1].begin()
        network.live.build("task_node")
        network.start_task_node()
        network.primary = network.sps[1].address
        async with network.client() as client:
            for number in range(3):
                put = await client.put(io.BytesIO(PAYLOAD), "healthy", f"{number}")
                assert put.status["sealed"]
        await counted[-1].five_looks.wait()
        shortest_s = min(later - at for at, later in pairwise(looks))
        assert shortest_s > network.retry_base_s / 2, "more than one look in an interval"


async def stop_task_node(network: WholeNetwork) -> None:
    assert network.live.running is not None
    network.live.running.cancel()
    await network.live.task_node.close()
    await network.live.job_store.release_all()


async def test_an_object_that_could_not_be_sealed_is_not_created(network: WholeNetwork) -> None:
    before = set_balance(network.chain, seal_address(network), 1000)
    with pytest.raises(SealAccountWithoutFunds, match=seal_address(network)):
        await network.put(PAYLOAD, "photo")
    async with network.client() as client:
        with pytest.raises(NoSuchObject):
            await client.status("album", "photo")
    set_balance(network.chain, seal_address(network), before)
    assert (await network.put(PAYLOAD, "photo"))["sealed"]


async def test_a_user_without_coins_is_told_which_account_needs_them(
    network: WholeNetwork,
) -> None:
    await network.put(PAYLOAD, "first")
    set_balance(network.chain, address_of(USER_KEY), 10)
    with pytest.raises(InsufficientFunds, match=address_of(USER_KEY)) as caught:
        await network.put(PAYLOAD, "second")
    assert not isinstance(caught.value, SealAccountWithoutFunds)
