"""On a whole network: what users do is listed; the index survives crashes, is built when it is
missing, and can be built anew."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.actors.names import CHAIN
from greenray.client.storage_client import StorageClient, WaitFor
from greenray.protocol.listing import NO_HASH, ObjectMeta
from greenray.protocol.objects import ObjectStatus
from tests.support.whole_network import SEGMENT_SIZE_BYTES, WholeNetwork, whole_network

PAYLOAD = random.Random(5).randbytes(SEGMENT_SIZE_BYTES + 100)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        network.client_outage_s = 30.0  # the first index waits for the library of the chain
        yield network


async def listed(network: WholeNetwork, prefix: str = "") -> list[ObjectMeta]:
    async with network.client() as client:
        return [one async for page in client.list_objects("album", prefix) for one in page.objects]


async def names(network: WholeNetwork) -> list[str]:
    return [one.info.object_name for one in await listed(network)]


async def bucket_names(client: StorageClient) -> list[str]:
    return [one.info.bucket_name async for page in client.list_buckets() for one in page]


async def test_what_a_user_does_is_listed_at_once(network: WholeNetwork) -> None:
    await network.start()
    async with network.client() as client:
        assert await bucket_names(client) == []
    await network.put(PAYLOAD, "a/one")
    await network.put(PAYLOAD, "b", wait=WaitFor.UPLOADED)
    await network.wait_until(lambda status: status["sealed"], "b")
    one, b = await listed(network)
    assert (one.info.object_name, b.info.object_name) == ("a/one", "b")
    assert one.info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
    assert len(one.info.secondary_sp_addresses) == 6
    async with network.client() as client:
        assert one.info == await network.live.finder.find(CHAIN).head_object("album", "a/one")
        sealing = {f"0x{tx['hash'].lower()}" for tx in await network.seal_transactions()}
        assert {one.seal_tx_hash, b.seal_tx_hash} <= sealing
        assert NO_HASH not in (one.create_tx_hash, one.update_tx_hash)
        assert await bucket_names(client) == ["album"]
        grouped = [page async for page in client.list_objects("album", delimiter="/")]
        assert [page.common_prefixes for page in grouped] == [("a/",)]
        await client.delete("album", "a/one")
        assert await names(network) == ["b"]
        await client.delete("album", "b")
        await client.delete_bucket("album")
        assert await bucket_names(client) == []


async def test_the_index_goes_on_after_a_crash_with_the_blocks_that_came_meanwhile(
    network: WholeNetwork,
) -> None:
    await network.start()
    await network.put(PAYLOAD, "a")
    await network.put(PAYLOAD, "b")
    (a, _) = await listed(network)
    async with network.client() as client:
        await network.kill()
        await client.delete("album", "b")
    await network.start()
    assert await listed(network) == [a]
    state = await network.live.job_store.load_index()
    assert state is not None
    assert state.build == 1


async def test_an_index_that_is_missing_is_built_and_one_that_is_there_can_be(
    network: WholeNetwork,
) -> None:
    await network.start()
    await network.put(PAYLOAD, "a")
    await network.put(PAYLOAD, "b")
    before = await listed(network)
    await network.live.collector.rebuild_index()
    assert await listed(network) == before
    store = network.live.job_store
    await store.forget_index()
    await network.live.collector.rebuild_index()
    again = await listed(network)
    assert [one.info for one in again] == [one.info for one in before]
    assert {one.create_tx_hash for one in again} == {NO_HASH}
    await network.put(PAYLOAD, "c")
    assert await names(network) == ["a", "b", "c"]
