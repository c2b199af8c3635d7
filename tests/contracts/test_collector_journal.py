"""What the Collector writes down is there again, and what it removes is nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.protocol.collection import (
    Cause,
    ChainKnowledge,
    ChainTip,
    Collectable,
    Holding,
    gone_error,
)
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import Fence, GroupKey, GroupRow, IntegrityRecord
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.chain_history import info_of

SP, OTHER = "0xSp", "0xOther"
KNOWN = ChainKnowledge("first", ChainTip(120, "hash-120"), 118, 2**70)
GONE = gone_error(5, Cause.DELETED, 100)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    store = SqliteJobStore.open(tmp_path / "jobs.sqlite", clock=lambda: 1000.0)
    yield store
    await store.close()


async def record(store: SqliteJobStore, sp: str, object_id: int, index: int) -> None:
    await store.put_integrity(
        IntegrityRecord(sp, object_id, index, (bytes(32),), bytes(32), b"signature")
    )


async def open_group(store: SqliteJobStore, sp: str, object_id: int, index: int) -> None:
    key = GroupKey(sp, object_id, index, Fence(1))
    await store.open_group(GroupRow(key, info_of(object_id), StorageParams(), 1, 0, (), 0.0))


async def recorded(store: SqliteJobStore) -> set[Holding]:
    return set((await store.list_recorded(0, 1000)).holdings)


async def test_what_is_known_of_the_chain_is_kept(store: SqliteJobStore) -> None:
    assert await store.load_knowledge() is None
    await store.save_knowledge(KNOWN)
    assert await store.load_knowledge() == KNOWN
    later = ChainKnowledge.start("", ChainTip(500, "hash-500"))
    await store.save_knowledge(later)
    assert await store.load_knowledge() == later


async def test_what_waits_keeps_the_time_since_when_it_waits(store: SqliteJobStore) -> None:
    first = Collectable(2**65, Cause.DELETED, 10.0, 100)
    group = Collectable(5, Cause.REPLACED, 5.0, 100, SP, 3)
    await store.save_knowledge(KNOWN, [first, group])
    await store.save_knowledge(KNOWN, [Collectable(2**65, Cause.NOT_ON_CHAIN, 99.0, 150)])
    assert await store.list_collectable() == (group, first)
    await store.withdraw([first])
    assert await store.list_collectable() == (group,)


async def test_with_another_history_nothing_waits_any_more(store: SqliteJobStore) -> None:
    await store.save_knowledge(KNOWN, [Collectable(5, Cause.DELETED, 10.0, 100)])
    other = ChainKnowledge.start("first", ChainTip(130, "another"))
    await store.start_anew(other)
    assert await store.list_collectable() == ()
    assert await store.load_knowledge() == other


async def test_rows_are_listed_page_by_page_and_groups_with_the_first(
    store: SqliteJobStore,
) -> None:
    for object_id in range(5):
        await record(store, SP, object_id, SEGMENTS)
    await open_group(store, SP, 9, 2)
    found: list[Holding] = []
    row: int | None = 0
    while row is not None:
        page = await store.list_recorded(row, 2)
        found += page.holdings
        row = page.next_row
    assert found == [
        Holding(SP, 9, 2, is_finished=False),
        *(Holding(SP, object_id, SEGMENTS) for object_id in range(5)),
    ]


async def test_of_a_gone_object_all_rows_go_and_its_job_ends(store: SqliteJobStore) -> None:
    await store.begin_upload(SP, info_of(5), StorageParams(), 1, "uploader", 30.0, 60.0)
    for sp, object_id, index in ((SP, 5, SEGMENTS), (OTHER, 5, 2), (SP, 6, SEGMENTS)):
        await record(store, sp, object_id, index)
    await open_group(store, OTHER, 5, 3)
    gone = Collectable(5, Cause.DELETED, 10.0, 100)
    group = Collectable(5, Cause.REPLACED, 10.0, 100, OTHER, 4)
    await store.save_knowledge(KNOWN, [gone, group])
    await store.finish_collection([SP, OTHER], gone, GONE)
    assert await recorded(store) == {Holding(SP, 6, SEGMENTS)}
    assert await store.list_collectable() == ()
    job = await store.get_job(SP, 5)
    assert job is not None
    assert (job.state, job.final, job.error) == (JobState.UPLOAD_OBJECT_ERROR, True, GONE)
    assert (job.owner, job.epoch) == ("", 2)


async def test_of_a_replaced_group_its_own_rows_go_and_no_job_ends(
    store: SqliteJobStore,
) -> None:
    await store.begin_upload(SP, info_of(5), StorageParams(), 1, "uploader", 30.0, 60.0)
    for sp, index in ((SP, SEGMENTS), (OTHER, 2), (OTHER, 3)):
        await record(store, sp, 5, index)
    group = Collectable(5, Cause.REPLACED, 10.0, 100, OTHER, 3)
    await store.save_knowledge(KNOWN, [group])
    await store.finish_collection([SP, OTHER], group, None)
    assert await recorded(store) == {Holding(SP, 5, SEGMENTS), Holding(OTHER, 5, 2)}
    job = await store.get_job(SP, 5)
    assert job is not None
    assert not job.final


async def test_jobs_are_ended_once_and_only_those_of_the_object(store: SqliteJobStore) -> None:
    for object_id in (5, 6):
        await store.begin_upload(SP, info_of(object_id), StorageParams(), 1, "up", 30.0, 60.0)
    assert await store.end_jobs([SP, OTHER], 5, GONE) == 1
    assert await store.end_jobs([SP, OTHER], 5, GONE) == 0
    assert [job.object_id for job in await store.list_jobs(unfinished_only=True)] == [6]
    names = [event.event.name for event in await store.list_events(SP, 1)]
    assert names == ["upload_started", "object_removed"]
