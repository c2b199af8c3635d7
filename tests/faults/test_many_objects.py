"""Thousands of small objects of one user, their creation included: each is sealed once."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from pathlib import Path

import pytest

from greenray.chain.rpc.client import RpcChainClient
from tests.support.dropping_mempool import DroppingMempool
from tests.support.whole_network import WholeNetwork, whole_network

MANY = [150, pytest.param(2000, marks=pytest.mark.long)]

pytestmark = pytest.mark.timeout(900)


async def put_all(network: WholeNetwork, names: list[str]) -> list[int]:
    """The objects' ids."""
    async with network.client() as client:
        results = await asyncio.gather(
            *(client.put(io.BytesIO(name.encode()), "album", name) for name in names)
        )
    return [result.object_info.id for result in results]


async def seals(network: WholeNetwork) -> Counter[int]:
    """How often each object was sealed, by all blocks of the chain."""
    chain = RpcChainClient(network.chain.endpoint)
    found: Counter[int] = Counter()
    for height in range(1, await chain.latest_height() + 1):
        news = await chain.block_news(height)
        assert news is not None
        found.update(news.sealed_ids)
    await chain.close()
    return found


@pytest.mark.parametrize("count", MANY)
async def test_each_of_many_puts_at_once_is_sealed_once(tmp_path: Path, count: int) -> None:
    async with whole_network(tmp_path) as network:
        await network.start()
        ids = await put_all(network, [f"object-{number}" for number in range(count)])
        assert await seals(network) == dict.fromkeys(ids, 1)
        assert len(set(ids)) == count


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.long)])
async def test_a_node_that_loses_every_tenth_transaction_seals_each_once(
    tmp_path: Path, count: int
) -> None:
    async with whole_network(tmp_path) as network:
        mempool = network.chain.node.mempool = DroppingMempool(network.chain.node, every=10)
        await network.start()
        ids = await put_all(network, [f"object-{number}" for number in range(count)])
        assert await seals(network) == dict.fromkeys(ids, 1)
        assert mempool.dropped >= count // 10
