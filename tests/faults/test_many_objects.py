"""Thousands of small objects, their creation included: each is sealed once, also when two clients
of one user, or two users, put at the same time."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from tests.support.dropping_mempool import DroppingMempool
from tests.support.sps import test_key as key_of
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network

MANY = [150, pytest.param(2000, marks=pytest.mark.long)]

pytestmark = pytest.mark.timeout(900)


@asynccontextmanager
async def patient_network(folder: Path) -> AsyncIterator[WholeNetwork]:
    """On a slow machine so many at once take long in one process; nobody of them is silent."""
    async with whole_network(folder) as network:
        network.approval_timeout_s = network.client_wait_s = 300.0
        yield network


async def put_all(
    network: WholeNetwork, names: list[str], bucket_name: str = "album", key: bytes = USER_KEY
) -> list[int]:
    """The objects' ids."""
    async with network.client(key) as client:
        results = await asyncio.gather(
            *(client.put(io.BytesIO(name.encode()), bucket_name, name) for name in names)
        )
    return [result.object_info.id for result in results]


async def give_coins(network: WholeNetwork, key: bytes) -> None:
    chain = RpcChainClient(network.chain.endpoint)
    sender = TransactionSender(chain, get_dialect(), USER_KEY, poll_interval_s=0.02)
    await sender.send_coins(address_of(key), 10**19)
    await sender.close()
    await chain.close()


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
    async with patient_network(tmp_path) as network:
        await network.start()
        ids = await put_all(network, [f"object-{number}" for number in range(count)])
        assert await seals(network) == dict.fromkeys(ids, 1)
        assert len(set(ids)) == count


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.long)])
async def test_a_node_that_loses_every_tenth_transaction_seals_each_once(
    tmp_path: Path, count: int
) -> None:
    async with patient_network(tmp_path) as network:
        mempool = network.chain.node.mempool = DroppingMempool(network.chain.node, every=10)
        await network.start()
        ids = await put_all(network, [f"object-{number}" for number in range(count)])
        assert await seals(network) == dict.fromkeys(ids, 1)
        assert mempool.dropped >= count // 10


async def test_two_clients_of_one_user_at_once_seal_each_object_once(tmp_path: Path) -> None:
    async with patient_network(tmp_path) as network:
        await network.start()
        (first,) = await put_all(network, ["the bucket is there"])
        ids = await asyncio.gather(
            *(put_all(network, [f"{who}-{number}" for number in range(25)]) for who in "ab")
        )
        assert await seals(network) == dict.fromkeys([first, *ids[0], *ids[1]], 1)


async def test_two_users_at_once_seal_each_object_once(tmp_path: Path) -> None:
    async with patient_network(tmp_path) as network:
        await network.start()
        other = key_of("user-1")
        await give_coins(network, other)
        names = [f"object-{number}" for number in range(25)]
        ids = await asyncio.gather(
            put_all(network, names), put_all(network, names, "others", other)
        )
        assert await seals(network) == dict.fromkeys([*ids[0], *ids[1]], 1)
