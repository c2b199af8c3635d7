"""A job that nobody can finish is rejected on chain, as soon as the chain can be told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from greenray.actors.ports import SealerPort, SealOrder, SealOutcome, SealTicket
from greenray.client.storage_client import WaitFor
from greenray.cluster.jobs import find_job
from greenray.protocol.errors import ChainUnavailable, KeyMissing, NoSuchObject, WrongObjectStatus
from tests.support.whole_network import WholeNetwork, whole_network

pytestmark = pytest.mark.timeout(120)


class WithoutKey(SealerPort):
    """Seals nothing, ever; what it rejects does not reach the chain the first two times."""

    def __init__(self, sealer: SealerPort) -> None:
        self._sealer = sealer
        self.rejections = 0

    async def submit_seal(self, order: SealOrder) -> SealTicket:
        raise KeyMissing("there is no seal key", order.sp_address)

    async def watch_seal(self, order: SealOrder, timeout_s: float) -> SealOutcome:
        return await self._sealer.watch_seal(order, timeout_s)

    async def reject_seal(self, order: SealOrder) -> None:
        self.rejections += 1
        if self.rejections <= 2:
            raise ChainUnavailable("no answer")
        await self._sealer.reject_seal(order)


async def has_left_the_chain(network: WholeNetwork) -> None:
    async with network.client() as client:
        while True:
            try:
                await client.get("album", "photo.jpg", network.folder / "nothing")
            except NoSuchObject:
                return
            except WrongObjectStatus:
                await asyncio.sleep(0.02)


async def test_a_job_is_given_up_once_the_chain_was_told(tmp_path: Path) -> None:
    async with whole_network(tmp_path) as network:
        sealers: list[WithoutKey] = []

        def decorate(sealer: SealerPort) -> SealerPort:
            sealers.append(WithoutKey(sealer))
            return sealers[-1]

        network.decorate_sealer = decorate
        await network.start()
        await network.put(b"payload", wait=WaitFor.UPLOADED)
        status = await network.wait_until(lambda status: status["final"])
        assert status["state"] == "SIGN_OBJECT_ERROR"
        assert status["error"]["reason"] == "key-missing"
        assert [sealer.rejections for sealer in sealers] == [3]
        await has_left_the_chain(network)
        job = find_job(network.folder / "jobs.sqlite", "album/photo.jpg")
        assert (job.final, job.waits_for) == (True, "")
