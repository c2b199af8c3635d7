"""Objects are deleted, cancelled, discontinued and put anew on a whole network: what nobody needs
is removed from every store, and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.ports import Collected, ReceiverPort
from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.client.deletion import Deleter
from greenray.client.storage_client import WaitFor
from greenray.cluster.space import measure_space
from greenray.protocol.collection import Cause
from greenray.protocol.errors import (
    AccessDenied,
    InvalidInput,
    NoSuchBucket,
    NoSuchObject,
    WrongObjectStatus,
)
from greenray.protocol.job import JobState
from greenray.storage.file_location import FileLocation
from tests.support.faulty_secondaries import LyingReceiver
from tests.support.sps import test_key
from tests.support.whole_network import SEGMENT_SIZE_BYTES, WholeNetwork, whole_network

PAYLOAD = random.Random(3).randbytes(3 * SEGMENT_SIZE_BYTES + 100)
OTHER = random.Random(4).randbytes(2 * SEGMENT_SIZE_BYTES)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        yield network


async def begin(network: WholeNetwork) -> None:
    """Its Collector knows the chain as it is before anything is put."""
    await network.start()
    await network.live.collector.collect(dry_run=False)


async def put_two(network: WholeNetwork) -> int:
    """``photo.jpg``, to be deleted, and ``kept.jpg``, whose id is returned."""
    await network.put(PAYLOAD)
    kept: int = (await network.put(OTHER, "kept.jpg"))["object_id"]
    return kept


async def collected(network: WholeNetwork) -> list[Collected]:
    """By passes that go on until nothing waits."""
    found: list[Collected] = []
    while True:
        report = await network.live.collector.collect(dry_run=False)
        found += report.collected
        if not report.waiting:
            return found
        await asyncio.sleep(0.01)


async def delete(network: WholeNetwork, name: str = "photo.jpg") -> int:
    """Returns the object's id."""
    async with network.client() as client:
        deletion = await client.delete("album", name)
        assert deletion.object_id is not None
        return deletion.object_id


def stored(network: WholeNetwork, object_id: int) -> int:
    """Columns at all SPs."""
    stores = (network.piece_store(sp.address) for sp in network.sps)
    return sum(len(list(store.list_stored(object_id))) for store in stores)


async def test_a_deleted_object_leaves_every_store_and_its_neighbour_stays(
    network: WholeNetwork,
) -> None:
    await begin(network)
    kept = await put_two(network)
    deleted = await delete(network)
    assert stored(network, deleted) == 7
    (gone,) = await collected(network)
    assert (gone.object_id, gone.cause, gone.columns) == (deleted, Cause.DELETED, 7)
    assert (stored(network, deleted), stored(network, kept)) == (0, 7)
    with pytest.raises(NoSuchObject):
        await network.get()
    assert await network.get("kept.jpg") == OTHER


async def test_the_status_of_a_deleted_object_says_so_before_and_after_it_is_collected(
    network: WholeNetwork,
) -> None:
    await begin(network)
    await network.put(PAYLOAD)
    await delete(network)
    async with network.client() as client:
        before = await client.status("album", "photo.jpg")
        await collected(network)
        after = await client.status("album", "photo.jpg")
    assert before["error"]["reason"] == after["error"]["reason"] == "object-gone"
    assert "deleted" in after["error"]["message"]
    assert after["final"]


async def test_an_object_put_anew_under_an_old_name_has_an_id_and_pieces_of_its_own(
    network: WholeNetwork,
) -> None:
    await begin(network)
    await network.put(PAYLOAD)
    deleted = await delete(network)
    status = await network.put(OTHER)
    assert status["object_id"] != deleted
    assert await network.get() == OTHER
    assert {one.object_id for one in await collected(network)} == {deleted}
    assert (stored(network, deleted), stored(network, status["object_id"])) == (0, 7)
    assert await network.get() == OTHER
    async with network.client() as client:
        assert (await client.status("album", "photo.jpg"))["error"] is None


async def test_a_finished_group_of_a_secondary_that_was_replaced_is_collected(
    tmp_path: Path,
) -> None:
    async with whole_network(tmp_path, sps=8) as network:
        liar = network.sps[3].address

        def lie(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
            return LyingReceiver(receiver, "signature") if sp_address == liar else receiver

        network.decorate = lie
        await begin(network)
        for name in (f"photo-{i}.jpg" for i in count()):
            status = await network.put(PAYLOAD, name)
            if status["replaced"]:  # else the liar came too late to be asked for a group
                break
        assert stored(network, status["object_id"]) == 8
        (group,) = await collected(network)
        assert (group.cause, group.sp_address) == (Cause.REPLACED, liar)
        assert stored(network, status["object_id"]) == 7
        assert await network.get(name) == PAYLOAD


async def test_the_job_of_an_object_that_was_cancelled_ends_and_its_segments_go(
    network: WholeNetwork,
) -> None:
    await network.start(task_node=False)
    await network.live.collector.collect(dry_run=False)
    status = await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
    assert stored(network, status["object_id"]) == 1
    async with network.client() as client:
        assert (await client.delete("album", "photo.jpg")).cancelled
    (gone,) = await collected(network)
    assert (gone.cause, gone.columns) == (Cause.CANCELLED, 1)
    assert stored(network, status["object_id"]) == 0
    job = await network.live.job_store.get_job(network.primary, status["object_id"])
    assert job is not None
    assert (job.state, job.final) == (JobState.REPLICATE_OBJECT_ERROR, True)
    assert job.error is not None
    assert job.error.reason == "object-gone"
    network.start_task_node()
    assert await network.live.job_store.claim_jobs("anybody", 30.0, 10) == ()


async def test_a_job_that_is_being_driven_ends_when_its_object_is_cancelled(
    tmp_path: Path,
) -> None:
    async with whole_network(tmp_path, sps=7) as network:
        network.decorate = lambda sp_address, receiver: LyingReceiver(receiver, "signature")
        network.retry_base_s, network.retry_cap_s = 1800.0, 1800.0
        network.collector = CollectorSettings(delay_s=0.001, poll_s=0.02)
        await network.start()
        running = asyncio.create_task(network.live.collector.run())
        await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
        await network.wait_until(lambda status: status["error"] is not None)
        await delete(network)
        status = await network.wait_until(lambda status: status["final"])
        assert status["error"]["reason"] == "object-gone"
        await network.live.collector.close()
        await running


async def test_what_was_deleted_during_an_outage_is_collected_after_it(
    network: WholeNetwork,
) -> None:
    await begin(network)
    kept = await put_two(network)
    await network.live.collector.collect(dry_run=False)
    await network.kill()
    chain = RpcChainClient(network.chain.endpoint)
    user = TransactionSender(chain, get_dialect(), test_key("user-0"), poll_interval_s=0.02)
    deleted = (await chain.head_object("album", "photo.jpg")).id
    await user.delete_object("album", "photo.jpg")
    await chain.close()
    await network.start()
    await collected(network)
    assert (stored(network, deleted), stored(network, kept)) == (0, 7)
    assert await network.get("kept.jpg") == OTHER


async def test_what_an_sp_discontinues_is_collected_once_the_chain_has_deleted_it(
    tmp_path: Path,
) -> None:
    async with whole_network(tmp_path, discontinue_confirm_period=1) as network:
        await begin(network)
        object_id = (await network.put(PAYLOAD))["object_id"]
        chain = RpcChainClient(network.chain.endpoint)
        async with network.client() as client:
            with pytest.raises(AccessDenied, match="gc key"):
                await client.discontinue("album", None)
        deleter = Deleter(chain, get_dialect(), test_key("sp-0-gc"))
        with pytest.raises(InvalidInput, match="too long"):
            await deleter.discontinue("album", None, "x" * 129)
        one = await deleter.discontinue("album", "photo.jpg", "cleanup")
        assert one.object_id == object_id
        await deleter.discontinue("album", None, "cleanup")
        assert stored(network, object_id) == 7
        while await _has_bucket(chain):
            await network.live.collector.collect(dry_run=False)
        await collected(network)
        assert stored(network, object_id) == 0
        await chain.close()


async def test_what_the_chain_refuses_of_discontinued_things_is_told_in_words(
    network: WholeNetwork,
) -> None:
    await network.start()
    await network.put(PAYLOAD)
    chain = RpcChainClient(network.chain.endpoint)
    with pytest.raises(AccessDenied, match=r"album/photo\.jpg: the key is not the gc key"):
        await Deleter(chain, get_dialect(), test_key("sp-1-gc")).discontinue(
            "album", "photo.jpg", ""
        )
    deleter = Deleter(chain, get_dialect(), test_key("sp-0-gc"))
    await deleter.discontinue("album", "photo.jpg", "")
    with pytest.raises(WrongObjectStatus, match=r"album/photo\.jpg: it is discontinued already"):
        await deleter.discontinue("album", "photo.jpg", "")
    with pytest.raises(WrongObjectStatus, match="discontinued it; it will be deleted"):
        await network.get()
    await deleter.discontinue("album", None, "")
    with pytest.raises(WrongObjectStatus, match="album: it is discontinued already"):
        await deleter.discontinue("album", None, "")
    with pytest.raises(WrongObjectStatus, match=r"album/late\.jpg: its bucket is discontinued"):
        await network.put(OTHER, "late.jpg")
    await chain.close()


async def _has_bucket(chain: RpcChainClient) -> bool:
    try:
        await chain.head_bucket("album")
    except NoSuchBucket:
        return False
    return True


async def test_du_tells_where_the_bytes_are_and_what_will_come_back(
    network: WholeNetwork,
) -> None:
    network.collector = CollectorSettings(delay_s=3600.0)
    await begin(network)
    await put_two(network)
    await delete(network)
    await network.live.collector.collect(dry_run=False)
    pieces = FileLocation(network.folder / "pieces", durable=False)
    usage = measure_space(network.folder / "jobs.sqlite", pieces)
    on_disk = sum(f.stat().st_size for f in (network.folder / "pieces").rglob("*") if f.is_file())
    assert usage.total.size_bytes == on_disk
    assert usage.total.objects == 2
    assert usage.by_bucket == {"album": usage.total}
    assert set(usage.by_provider) == {sp.address for sp in network.sps}
    # Segments, and six columns of a quarter of them each.
    assert usage.total.collectable_bytes == len(PAYLOAD) + 6 * -(-len(PAYLOAD) // 4)
    with pytest.raises(NoSuchBucket):
        measure_space(network.folder / "jobs.sqlite", pieces, "no-such-bucket")
