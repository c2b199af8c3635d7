"""An index answers as plain dictionaries do, whatever blocks and builds it was made from, and pages
are stable while it is written to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.collection import BlockNews
from greenray.protocol.index_changes import (
    BlockRecord,
    BucketCreated,
    BucketDeleted,
    IndexChange,
    ObjectCopied,
    ObjectCreated,
    ObjectDeleted,
    ObjectDiscontinued,
    ObjectSealed,
    ObjectUpdated,
    Stamp,
)
from greenray.protocol.list_walk import page_of_names
from greenray.protocol.listing import ObjectQuery
from greenray.protocol.objects import BucketInfo, ObjectInfo, ObjectStatus, Visibility
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.index_model import IndexModel

PRIVATE = Visibility.VISIBILITY_TYPE_PRIVATE
BUCKETS = ("b-1", "b-2")
NAMES = st.text("a/é", min_size=1, max_size=5)
QUERIES = st.builds(
    ObjectQuery,
    st.sampled_from(BUCKETS),
    st.text("a/é", max_size=2),
    st.sampled_from(["", "/", "a/", "é"]),
    st.text("a/é", max_size=3),
    st.integers(1, 4),
    st.booleans(),
)


@dataclass
class World:
    """A chain that creates, seals, copies, updates and removes, and numbers what it creates."""

    living: dict[tuple[str, str], ObjectInfo] = field(default_factory=dict)
    next_id: int = 1
    height: int = 10
    blocks: list[BlockRecord] = field(default_factory=list)

    def do(self, kind: int, place: tuple[str, str], other: tuple[str, str]) -> None:
        changes: list[IndexChange] = []
        info = self.living.get(place)
        if info is None:
            info = ObjectInfo("0xO", *place, self.next_id, kind, PRIVATE, "", 5)
            changes.append(ObjectCreated(info))
            self.next_id += 1
            self.living[place] = info
        elif kind == 0:
            changes.append(ObjectDeleted(place, info.id, "0xO"))
            del self.living[place]
        elif kind == 1:
            sealed = ObjectStatus.OBJECT_STATUS_SEALED
            changes.append(ObjectSealed(place, info.id, "0xSeal", sealed, ("0xSp",)))
        elif kind == 2 and other not in self.living:
            changes.append(ObjectCopied(place, info.id, other, self.next_id, "0xCopier"))
            self.living[other] = ObjectInfo("0xC", *other, self.next_id, 1, PRIVATE, "", 5)
            self.next_id += 1
        elif kind == 3:
            changes.append(ObjectUpdated(place, "0xO", Visibility.VISIBILITY_TYPE_INHERIT))
        else:
            changes.append(ObjectDiscontinued(info.id, "why", 99))
        self.height += 1
        stamp = Stamp(self.height, 1000, "0x" + f"{self.height:064x}")
        self.blocks.append(
            BlockRecord(BlockNews(self.height), tuple((stamp, one) for one in changes))
        )


PLACES = st.tuples(st.sampled_from(BUCKETS), NAMES)
STEPS = st.lists(st.tuples(st.integers(0, 4), PLACES, PLACES), max_size=30)


def bucket(name: str) -> BucketInfo:
    return BucketInfo("0xO", name, PRIVATE, int(name[-1]), 5, "0xO", "0xSp")


@given(STEPS, st.lists(QUERIES, min_size=1, max_size=8), st.integers(1, 7))
def test_an_index_answers_as_the_model_does(
    steps: list[tuple[int, tuple[str, str], tuple[str, str]]],
    queries: list[ObjectQuery],
    at_once: int,
) -> None:
    world = World()
    for step in steps:
        world.do(*step)

    async def compared() -> None:
        store, model = SqliteJobStore.open(Path(":memory:")), IndexModel()
        for index in (store, model):
            state = await index.begin_build(10)
            await index.end_build(state.build, 1000)
            for first in range(0, len(world.blocks), at_once):
                blocks = world.blocks[first : first + at_once]
                assert await index.apply_blocks(blocks, blocks[-1].height)
        for query in queries:
            assert await store.list_objects(query) == await model.list_objects(query)
        await store.close()

    asyncio.run(compared())


@given(STEPS, st.integers(0, 30), st.integers(0, 30))
def test_an_index_that_was_built_in_the_middle_becomes_what_one_from_the_beginning_is(
    steps: list[tuple[int, tuple[str, str], tuple[str, str]]], begun: int, found: int
) -> None:
    """It is begun at one block, its pages are of a later state, and the blocks between follow."""
    world = World()
    seen: list[tuple[ObjectInfo, ...]] = [()]
    for step in steps:
        world.do(*step)
        seen.append(tuple(world.living.values()))
    begun = min(begun, len(world.blocks))
    found = min(max(begun, found), len(world.blocks))

    async def living_names() -> None:
        model = IndexModel()
        state = await model.begin_build(10 + begun)
        await model.put_found(state.build, [bucket(name) for name in BUCKETS], seen[found])
        await model.end_build(state.build, 1000)
        for block in world.blocks[begun:]:
            if not await model.apply_blocks([block], block.height):
                return  # a copy of what was gone at the pages' time: it is built again
        living = {place for place, meta in model.objects.items() if not meta.removed}
        assert living == set(world.living)
        of_id = {place: meta.info.id for place, meta in model.objects.items() if not meta.removed}
        assert of_id == {place: info.id for place, info in world.living.items()}

    asyncio.run(living_names())


@given(
    st.lists(NAMES, max_size=30, unique=True),
    st.lists(NAMES, max_size=30, unique=True),
    st.integers(1, 4),
    st.sampled_from(["", "/", "a"]),
)
def test_names_that_stay_are_told_once_while_others_come_and_go(
    stay: list[str], others: list[str], page_size: int, delimiter: str
) -> None:
    """Between two pages, half of the others come or go."""
    others = [name for name in others if name not in stay]

    async def told() -> None:
        store = SqliteJobStore.open(Path(":memory:"))
        state = await store.begin_build(10)
        infos = [
            ObjectInfo("0xO", "b-1", name, number, 1, PRIVATE, "", 5)
            for number, name in enumerate(stay)
        ]
        await store.put_found(state.build, [bucket("b-1")], infos)
        await store.end_build(state.build, 1000)
        names: list[str] = []
        prefixes: list[str] = []
        start, height = "", 10
        while True:
            query = ObjectQuery("b-1", "", delimiter, start, page_size)
            page = await store.list_objects(query)
            names += _names(page.documents)
            prefixes += page.common_prefixes
            if not page.next_name:
                break
            start = page.next_name
            height += 1
            await store.apply_blocks([_churn(height, others)], height)
        await store.close()
        wanted = [n for n in stay if not delimiter or delimiter not in n]
        assert [name for name in names if name in stay] == sorted(wanted, key=str.encode)
        assert len(set(prefixes)) == len(prefixes)
        shared = {n[: n.find(delimiter) + len(delimiter)] for n in stay if n not in wanted}
        assert shared <= set(prefixes)

    asyncio.run(told())


def _names(documents: bytes) -> list[str]:
    return [one["object_info"]["object_name"] for one in json.loads(b"[" + documents + b"]")]


def _churn(height: int, names: Sequence[str]) -> BlockRecord:
    stamp = Stamp(height)
    changes: list[IndexChange] = []
    for number, name in enumerate(names, 1000):
        place = ("b-1", name)
        if (height + number) % 2:
            info = ObjectInfo("0xO", *place, number, 1, PRIVATE, "", 5)
            changes.append(ObjectCreated(info))
        else:
            changes.append(ObjectDeleted(place, number, "0xO"))
    return BlockRecord(BlockNews(height), tuple((stamp, change) for change in changes))


@given(st.lists(NAMES, unique=True, max_size=40), QUERIES, st.integers(1, 5))
def test_runs_of_any_length_make_the_same_page(
    names: list[str], query: ObjectQuery, run: int
) -> None:
    within = sorted(name.encode() for name in names if name.startswith(query.prefix))

    def seek(of: int, name: bytes) -> list[tuple[bytes, bytes]]:
        return [(one, one) for one in within if one >= name][:of]

    delimited = ObjectQuery("b-1", query.prefix, query.delimiter or "/", query.start, 3)
    whole = page_of_names(delimited, lambda name, rows: seek(1000, name))
    assert page_of_names(delimited, lambda name, rows: seek(min(run, rows), name)) == whole


@given(st.integers(1, 3), st.booleans())
def test_a_bucket_made_anew_is_one_bucket(times: int, removed: bool) -> None:
    async def made() -> None:
        model, store = IndexModel(), SqliteJobStore.open(Path(":memory:"))
        for index in (model, store):
            state = await index.begin_build(10)
            await index.end_build(state.build, 1000)
            for number in range(times):
                info = BucketInfo("0xO", "b", PRIVATE, number, 5, "0xO", "0xSp")
                changes: list[IndexChange] = [BucketCreated(info)]
                if removed or number + 1 < times:
                    changes.append(BucketDeleted("b", number, "0xO"))
                stamped = tuple((Stamp(11 + number), change) for change in changes)
                await index.apply_blocks(
                    [BlockRecord(BlockNews(11 + number), stamped)], 11 + number
                )
        assert await store.list_buckets("0xO", 100) == await model.list_buckets("0xO", 100)
        await store.close()

    asyncio.run(made())
