"""The Collector keeps the index of buckets and objects from the blocks that it reads for itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from greenray.actors.collector.actor import Collector
from greenray.actors.collector.settings import CollectorSettings
from greenray.chain.ports import ChainPage
from greenray.protocol.collection import Cause, ChainTip
from greenray.protocol.errors import ChainUnavailable, ComponentUnavailable
from greenray.protocol.index_changes import (
    BlockRecord,
    IndexChange,
    ObjectCopied,
    ObjectCreated,
    ObjectDeleted,
    Stamp,
)
from greenray.protocol.listing import ObjectQuery
from greenray.protocol.objects import BucketInfo, ObjectInfo, Visibility
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.chain_history import Chain, NodeOfModel, info_of

BUCKET = "bucket"
PRIVATE = Visibility.VISIBILITY_TYPE_PRIVATE


@dataclass
class NodeWithLists(NodeOfModel):
    """Counts what it is asked for; blocks can be pruned, and the node be away."""

    chain: Chain = field(default_factory=Chain)
    changes: dict[int, list[IndexChange]] = field(default_factory=dict)
    living: dict[str, ObjectInfo] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    pruned_to: int = 0
    is_away: bool = False

    def __post_init__(self) -> None:
        super().__init__(self.chain)

    def create(self, name: str) -> ObjectInfo:
        self.chain.write(1)
        height = len(self.chain.states)
        number = self.chain.states[-1].next_id - 1
        info = ObjectInfo("0xOwner", BUCKET, name, number, 1, PRIVATE, "", 5)
        self.living[name] = info
        self.changes[height] = [ObjectCreated(info)]
        return info

    def delete(self, name: str) -> None:
        info = self.living.pop(name)
        self.chain.write(0, {info.id})
        self.changes[len(self.chain.states)] = [ObjectDeleted((BUCKET, name), info.id, "0xO")]

    async def latest_block(self) -> ChainTip:
        if self.is_away:
            raise ChainUnavailable("the node is away", "node", "Try again")
        return await super().latest_block()

    async def block_record(self, height: int) -> BlockRecord | None:
        self.asked.append(height)
        news = await self.block_news(height)
        if news is None or height <= self.pruned_to:
            return None
        changes = self.changes.get(height, ())
        return BlockRecord(news, tuple((Stamp(height), change) for change in changes))

    async def bucket_page(self, page_key: bytes) -> ChainPage[BucketInfo]:
        info = BucketInfo("0xOwner", BUCKET, PRIVATE, 1, 5, "0xOwner", "0xSp")
        return ChainPage((info,), b"", len(self.chain.states))

    async def object_page(self, bucket_name: str, page_key: bytes) -> ChainPage[ObjectInfo]:
        """One object at a time."""
        await asyncio.sleep(0)
        names = sorted(self.living)
        rest = [name for name in names if name.encode() > page_key]
        found = tuple(self.living[name] for name in rest[:1])
        next_key = rest[0].encode() if len(rest) > 1 else b""
        return ChainPage(found, next_key, len(self.chain.states))


@dataclass
class IndexWorld:
    node: NodeWithLists
    store: SqliteJobStore
    collector: Collector

    async def names(self) -> list[str]:
        await self.collector.follow()
        page = await self.store.list_objects(ObjectQuery(BUCKET, with_removed=False))
        documents = json.loads(b"[" + page.documents + b"]")
        return [one["object_info"]["object_name"] for one in documents]

    async def builds(self) -> int:
        state = await self.store.load_index()
        return state.build if state is not None else 0

    async def until_built(self, builds: int) -> None:
        """The test's own timeout ends a wait in vain."""
        while True:
            await self.collector.follow()
            state = await self.store.load_index()
            if state is not None and state.build >= builds and not state.is_building:
                return
            await asyncio.sleep(0)

    async def until_listed(self, count: int) -> None:
        """By a Collector that runs."""
        while True:
            if (await self.store.list_objects(ObjectQuery(BUCKET))).object_count == count:
                return
            await asyncio.sleep(0.001)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IndexWorld]:
    node = NodeWithLists()
    store = SqliteJobStore.open(tmp_path / "jobs.sqlite")
    collector = Collector(
        chain=node,
        journal=store,
        job_store=store,
        piece_stores={},
        clock=lambda: 1000.0,
        index=store,
        settings=CollectorSettings(poll_s=0.01, follow_s=0.01),
    )
    yield IndexWorld(node, store, collector)
    await collector.close()
    await store.close()


async def test_each_block_is_read_once_for_both(world: IndexWorld) -> None:
    assert await world.names() == []
    world.node.create("a")
    world.node.create("b")
    world.node.delete("a")
    assert await world.names() == ["b"]
    await world.collector.collect(dry_run=True)
    assert sorted(world.node.asked) == [2, 3, 4]
    (waiting,) = await world.store.list_collectable()
    assert (waiting.object_id, waiting.cause) == (1, Cause.DELETED)


async def test_blocks_that_are_missing_make_it_built_anew(world: IndexWorld) -> None:
    world.node.create("a")
    world.node.create("b")
    assert await world.names() == ["a", "b"]
    world.node.delete("a")
    world.node.create("c")
    world.node.pruned_to = len(world.node.chain.states)
    await world.until_built(2)
    assert await world.names() == ["b", "c"]


async def test_what_happens_during_a_build_is_in_it_afterwards(world: IndexWorld) -> None:
    world.node.create("a")
    world.node.create("b")
    assert await world.names() == ["a", "b"]
    rebuilding = asyncio.create_task(world.collector.rebuild_index())
    await asyncio.sleep(0)
    world.node.delete("a")
    world.node.create("c")
    report = await rebuilding
    assert report.buckets == 1
    assert await world.names() == ["b", "c"]
    assert await world.builds() == 2


async def test_a_chain_that_went_back_has_an_index_of_its_own(world: IndexWorld) -> None:
    world.node.create("a")
    world.node.create("lost")
    assert await world.names() == ["a", "lost"]
    world.node.chain.restore(1)
    world.node.living.pop("lost")
    world.node.changes.clear()
    world.node.create("again")
    while await world.builds() != 1 or await world.names() != ["a", "again"]:
        await world.collector.follow()


async def test_a_copy_of_what_the_index_lacks_makes_it_built_anew(world: IndexWorld) -> None:
    assert await world.names() == []
    world.node.chain.write(1)
    world.node.living["copy"] = info_of(1)
    copied = ObjectCopied((BUCKET, "x"), 77, (BUCKET, "copy"), 1, "0xO")
    world.node.changes[len(world.node.chain.states)] = [copied]
    await world.until_built(2)
    assert await world.names() == ["o-1"]


async def test_while_the_node_is_away_the_index_stays_and_it_goes_on_afterwards(
    world: IndexWorld,
) -> None:
    world.node.create("a")
    assert await world.names() == ["a"]
    running = asyncio.create_task(world.collector.run())
    world.node.is_away = True
    with pytest.raises(ChainUnavailable):
        await world.collector.follow()
    world.node.create("b")
    page = await world.store.list_objects(ObjectQuery(BUCKET))
    assert page.object_count == 1
    world.node.is_away = False
    await world.until_listed(2)
    await world.collector.close()
    await running


async def test_a_collector_without_an_index_says_so(world: IndexWorld) -> None:
    collector = Collector(
        chain=world.node,
        journal=world.store,
        job_store=world.store,
        piece_stores={},
        clock=lambda: 1000.0,
    )
    await collector.follow()
    with pytest.raises(ComponentUnavailable):
        await collector.rebuild_index()
