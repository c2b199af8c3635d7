"""A client that follows a chain, on embedded chains that are put back to an older copy of their
directory, on nodes that lag, and with another chain behind the same URL."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.rpc.settings import FollowSettings
from greenray.protocol.errors import (
    AnotherChain,
    ChainLags,
    ChainRolledBack,
    ChainUnavailable,
    NoSuchObject,
)
from greenray.protocol.known_chain import KnownChain
from tests.support.local_chain import small_genesis
from tests.support.movable_endpoint import MovableEndpoint

ALWAYS_ASK = FollowSettings(confirm_every_s=1e-9, lag_patience_s=0.0, lag_poll_s=0.001)
NEVER_AGAIN = FollowSettings(confirm_every_s=3600.0, lag_patience_s=0.0, lag_poll_s=0.001)


@asynccontextmanager
async def chain_at(home: Path) -> AsyncIterator[RunningChain]:
    """It makes blocks when it is told to."""
    async with running_chain(
        home,
        port=0,
        local_dialect=get_local_dialect(),
        genesis=small_genesis(),
        block_interval_s=3600.0,
    ) as chain:
        yield chain


@asynccontextmanager
async def chain_behind(
    endpoint: MovableEndpoint, home: Path, blocks: int
) -> AsyncIterator[RunningChain]:
    """What is asked at the endpoint from now on; it has made so many blocks more."""
    async with chain_at(home) as chain:
        endpoint.move_to(chain.endpoint)
        await make_blocks(chain, blocks)
        yield chain


async def make_blocks(chain: RunningChain, count: int) -> None:
    for _ in range(count):
        chain.node.make_block()
    await asyncio.sleep(0)


async def make_chain_and_copy(home: Path, copy: Path, blocks: int) -> None:
    async with chain_at(home) as chain:
        await make_blocks(chain, blocks)
    shutil.copytree(home, copy)


@pytest.fixture
async def endpoint() -> AsyncIterator[MovableEndpoint]:
    async with MovableEndpoint.open() as endpoint:
        yield endpoint


@pytest.fixture
async def follower(
    endpoint: MovableEndpoint,
) -> AsyncIterator[Callable[..., RpcChainClient]]:
    made: list[RpcChainClient] = []

    def follow(
        settings: FollowSettings = ALWAYS_ASK, history: KnownChain | None = None
    ) -> RpcChainClient:
        client = RpcChainClient(endpoint.url, get_dialect(), follow=settings, history=history)
        made.append(client)
        return client

    yield follow
    for client in made:
        await client.close()


Follower = Callable[..., RpcChainClient]


async def test_a_chain_that_goes_on_is_followed(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    client = follower()
    async with chain_at(tmp_path / "chain") as chain:
        endpoint.move_to(chain.endpoint)
        for _ in range(3):
            await make_blocks(chain, 2)
            assert await client.latest_height() == chain.node.app.head.height
            await client.storage_params()
        history = await client.known_chain()
    assert history.chain_id == "greenfield_9000-7"
    assert (history.blocks[0].height, history.height) == (1, 7)


async def test_a_chain_put_back_lags_until_it_has_other_blocks_and_then_went_back(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    client = follower()
    await make_chain_and_copy(tmp_path / "chain", tmp_path / "copy", 2)
    async with chain_behind(endpoint, tmp_path / "chain", 3):
        await client.latest_height()
    async with chain_at(tmp_path / "copy") as chain:
        endpoint.move_to(chain.endpoint)
        with pytest.raises(ChainLags, match=r"at height 3, .* was at 6 before"):
            await client.storage_params()
        await make_blocks(chain, 4)
        for ask in (client.storage_params, client.latest_height, client.known_chain):
            with pytest.raises(ChainRolledBack, match="another block 6"):
                await ask()
        with pytest.raises(ChainRolledBack):
            await client.broadcast_all([b"transaction"])
        with pytest.raises(ChainRolledBack):
            await client.transaction("00" * 32)


async def test_a_later_process_knows_what_was_seen_before(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    await make_chain_and_copy(tmp_path / "chain", tmp_path / "copy", 1)
    async with chain_behind(endpoint, tmp_path / "chain", 5):
        history = await follower().known_chain()
    async with chain_behind(endpoint, tmp_path / "copy", 20):
        with pytest.raises(ChainRolledBack):
            await follower(history=history).head_bucket("bucket")


async def test_who_may_go_on_follows_the_chain_that_went_back(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    client = follower()
    async with chain_behind(endpoint, tmp_path / "chain", 2):
        await client.latest_height()
    shutil.copytree(tmp_path / "chain", tmp_path / "copy")
    async with chain_behind(endpoint, tmp_path / "chain", 3):
        assert await client.accept_rollback() is None
        await client.latest_height()
    async with chain_behind(endpoint, tmp_path / "copy", 8):
        assert await client.accept_rollback() == 3
        assert await client.latest_height() == 11
        assert (await client.known_chain()).height == 11


async def test_a_chain_that_was_begun_anew_is_another_one_and_is_never_accepted(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    client = follower()
    async with chain_behind(endpoint, tmp_path / "chain", 3):
        await client.latest_height()
    async with chain_behind(endpoint, tmp_path / "other", 9):
        with pytest.raises(AnotherChain):
            await client.head_object("bucket", "object")
        with pytest.raises(AnotherChain):
            await client.accept_rollback()


async def test_answers_from_a_node_that_lags_are_not_believed_and_it_may_catch_up(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    """Without asking for blocks: each answer says how old it is."""
    client = follower(NEVER_AGAIN)
    await make_chain_and_copy(tmp_path / "chain", tmp_path / "lagging", 2)
    async with chain_at(tmp_path / "chain") as chain, chain_at(tmp_path / "lagging") as lagging:
        endpoint.move_to(chain.endpoint)
        await make_blocks(chain, 2)
        with pytest.raises(NoSuchObject):
            await client.head_object("bucket", "object")
        endpoint.move_to(lagging.endpoint)
        with pytest.raises(ChainLags):
            await client.head_object("bucket", "object")
        endpoint.move_to(chain.endpoint)
        with pytest.raises(NoSuchObject):
            await client.head_object("bucket", "object")


async def test_a_node_that_catches_up_in_time_is_waited_for(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    client = follower(FollowSettings(confirm_every_s=1e-9, lag_patience_s=30.0, lag_poll_s=0.01))
    await make_chain_and_copy(tmp_path / "chain", tmp_path / "lagging", 2)
    async with chain_at(tmp_path / "chain") as chain, chain_at(tmp_path / "lagging") as lagging:
        endpoint.move_to(chain.endpoint)
        await make_blocks(chain, 2)
        await client.storage_params()
        endpoint.move_to(lagging.endpoint)
        asked = asyncio.create_task(client.storage_params())
        await endpoint.asked(2)
        assert not asked.done()
        endpoint.move_to(chain.endpoint)
        await asked


async def test_all_who_ask_a_node_that_is_away_wait_for_one_answer(
    tmp_path: Path, endpoint: MovableEndpoint, follower: Follower
) -> None:
    client = follower()
    endpoint.move_to("http://127.0.0.1:1")  # nobody is there
    asked = [client.head_bucket(f"bucket-{number}") for number in range(50)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ChainUnavailable}
    assert endpoint.requests == 1
