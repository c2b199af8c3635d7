"""What blocks say of objects and which state an answer is from: of a recorded node, and of the
embedded chain with an object that is created, cancelled, sealed and deleted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.chain import wire
from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.collection import BlockNews, Cause, ChainTip, Removal
from greenray.protocol.errors import ChainAnswerInvalid
from tests.support.local_chain import (
    BUCKET,
    address,
    create_bucket,
    create_object,
    key,
    seal_object,
    small_genesis,
)
from tests.support.replay_node import ReplayNode, load_recording


@pytest.fixture
async def node() -> AsyncIterator[ReplayNode]:
    replay = ReplayNode()
    replay.record(load_recording()["rpc"])
    async with replay.serve():
        yield replay


@pytest.fixture
async def recorded(node: ReplayNode) -> AsyncIterator[RpcChainClient]:
    client = RpcChainClient(node.url)
    yield client
    await client.close()


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[RunningChain]:
    async with running_chain(
        tmp_path,
        port=0,
        local_dialect=get_local_dialect(),
        genesis=small_genesis(),
        block_interval_s=0.02,
    ) as running:
        yield running


@pytest.fixture
async def client(chain: RunningChain) -> AsyncIterator[RpcChainClient]:
    client = RpcChainClient(chain.endpoint)
    yield client
    await client.close()


async def test_a_recorded_node_tells_its_newest_block_and_an_old_ones_hash(
    recorded: RpcChainClient, node: ReplayNode
) -> None:
    tip = await recorded.latest_block()
    assert tip.height > 280
    assert len(tip.block_hash) == 64
    for sample in load_recording()["rpc"]:
        if sample.get("label") == "blockchain":
            metas = json.loads(sample["response_body"])["result"]["block_metas"]
            node.answer("blockchain", {"minHeight": "3", "maxHeight": "3"}, {"block_metas": metas})
    assert (await recorded.block_hash(3)).startswith("DF83AA955FACD07A")
    assert await recorded.block_hash(10**6) == ""


async def test_a_recorded_block_without_transactions_has_no_news(recorded: RpcChainClient) -> None:
    assert await recorded.block_news(289) == BlockNews(289)
    assert await recorded.block_news(10**6) is None


async def test_events_that_make_no_sense_are_named(
    recorded: RpcChainClient, node: ReplayNode
) -> None:
    for height, attributes in (
        ("7", [{"key": "object_id", "value": "1"}]),
        ("8", []),
        ("9", [{"key": "object_id", "value": '"x"'}]),
    ):
        event = {"type": "greenfield.storage.EventDeleteObject", "attributes": attributes}
        node.answer("block_results", {"height": height}, {"end_block_events": [event]})
        with pytest.raises(ChainAnswerInvalid):
            await recorded.block_news(int(height))


async def test_an_answer_without_a_height_is_of_an_unknown_state(
    recorded: RpcChainClient, node: ReplayNode
) -> None:
    request = wire.storage.QueryHeadObjectByIdRequest(object_id="77").SerializeToString()
    path = "/greenfield.storage.Query/HeadObjectById"
    node.answer_query(
        path, request, code=6, codespace="sdk", log="No such object: unknown", height="0"
    )
    sighting = await recorded.sight_object(77)
    assert (sighting.object_info, sighting.height) == (None, 0)
    node.answer_query(path, request, code=6, codespace="sdk", log="something else")
    with pytest.raises(ChainAnswerInvalid):
        await recorded.sight_object(77)


async def test_blocks_tell_what_was_created_cancelled_sealed_and_deleted(
    client: RpcChainClient,
) -> None:
    user = TransactionSender(client, get_dialect(), key("user"), poll_interval_s=0.02)
    sealer = TransactionSender(client, get_dialect(), key("sp-0-seal"), poll_interval_s=0.02)
    await user.create_bucket(create_bucket())
    created = await user.send(create_object("one"))
    await user.create_object(create_object("two"))
    cancelled = await user.cancel_create_object(BUCKET, "two")
    sealed = await sealer.send(seal_object("one", 1))
    there = await client.sight_object(1)
    assert await client.primary_of(BUCKET, there.height) == address("sp-0-operator")
    assert await client.primary_of(BUCKET, there.height + 1000) == ""
    assert await client.primary_of("no-such-bucket", 0) == ""
    deleted = await user.send(dialect.delete_object_message(address("user"), BUCKET, "one"))
    gone = await client.sight_object(1)

    assert await client.block_news(created.height) == BlockNews(created.height, 1)
    assert await client.block_news(cancelled.height) == BlockNews(
        cancelled.height, 0, (Removal(2, Cause.CANCELLED),)
    )
    assert await client.block_news(deleted.height) == BlockNews(
        deleted.height, 0, (Removal(1, Cause.DELETED),)
    )
    assert await client.block_news(sealed.height) == BlockNews(sealed.height, 0, (), (1,))
    assert there.object_info is not None
    assert there.object_info.object_name == "one"
    assert gone.object_info is None
    assert there.height < deleted.height <= gone.height


async def test_a_transaction_that_failed_says_nothing_of_objects(client: RpcChainClient) -> None:
    user = TransactionSender(client, get_dialect(), key("user"), poll_interval_s=0.02)
    await user.create_bucket(create_bucket())
    tip = await client.latest_block()
    assert await client.block_hash(tip.height) == tip.block_hash
    assert tip == ChainTip(tip.height, tip.block_hash)
    assert await client.block_hash(tip.height + 10**6) == ""
    assert (await client.sight_object(1)).object_info is None
