"""Scrubs in the journal: what there is to scrub, how far one got, and what stays of it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.protocol.scrub import (
    NOTHING_DONE,
    Damage,
    DamageKind,
    Finding,
    FindingState,
    ScrubCounts,
    ScrubOrder,
)
from greenray.storage.ports import IntegrityRecord
from greenray.storage.scrub_journal import VisitedObject
from greenray.storage.sqlite_store import SqliteJobStore

ORDER = ScrubOrder(repair=True, bucket_name="album")
BACKGROUND = ScrubOrder(background=True)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    store = SqliteJobStore.open(tmp_path / "jobs.sqlite", clock=lambda: 1000.0)
    yield store
    await store.close()


def _finding(object_id: int, index: int = 0, sp: str = "0xA") -> Finding:
    damages = (Damage(DamageKind.FLIPPED, (1, 2)),)
    return Finding(sp, object_id, index, "album/photo", FindingState.BROKEN, damages, "lost")


async def _record(journal: SqliteJobStore, object_id: int, sp: str = "0xA") -> None:
    await journal.put_integrity(IntegrityRecord(sp, object_id, 0, (), b"", b""))


async def test_objects_come_in_the_order_of_their_numbers_each_once(
    journal: SqliteJobStore,
) -> None:
    ids = (3, 9, 10, 11, 100, 2**63, 2**64 - 1)
    for object_id in reversed(ids):
        for sp in ("0xA", "0xB"):
            await _record(journal, object_id, sp)
    assert await journal.known_objects(NOTHING_DONE, 100) == ids
    assert await journal.known_objects(NOTHING_DONE, 2) == ids[:2]
    assert await journal.known_objects(9, 3) == ids[2:5]
    assert await journal.known_objects(2**63, 3) == ids[6:]


def test_objects_are_found_by_an_index(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    SqliteJobStore.open(path)
    with closing(sqlite3.connect(path)) as db:
        for table in ("integrity_records", "jobs", "scrub_findings"):
            plan = db.execute(
                f"EXPLAIN QUERY PLAN SELECT DISTINCT object_id FROM {table} "
                "WHERE (length(object_id), object_id) > (1, '7') "
                "ORDER BY length(object_id), object_id LIMIT 5"
            ).fetchall()
            assert "USING" in plan[0][3]
            assert "_by_object" in plan[0][3], plan


async def test_a_scrub_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    journal = SqliteJobStore.open(path, clock=lambda: 1000.0)
    begun = await journal.begin_scrub("scrubber-0", ORDER)
    assert (begun.order, begun.began_at, begun.position) == (ORDER, 1000.0, NOTHING_DONE)
    saved = replace(begun, position=2**64 - 1, counts=ScrubCounts(objects=3, size_bytes=5))
    await journal.save_scrub(saved, ())
    await journal.close()
    journal = SqliteJobStore.open(path)
    assert await journal.list_scrubs("scrubber-0") == (saved,)
    assert await journal.list_scrubs("scrubber-1") == ()
    await journal.close()


async def test_what_is_found_replaces_what_was_found_before(journal: SqliteJobStore) -> None:
    first = await journal.begin_scrub("s", ORDER)
    found = (_finding(7, 0), _finding(7, 1), _finding(7, 0, sp="0xB"))
    await journal.save_scrub(first, (VisitedObject(7, ("0xA", "0xB"), found),))
    kept = await journal.list_findings(first.run_id, 0, 10)
    assert tuple(each.finding for each in kept) == found
    assert await journal.list_findings(first.run_id, kept[0].finding_id, 1) == kept[1:2]

    second = await journal.begin_scrub("s", ORDER)
    await journal.save_scrub(second, (VisitedObject(7, ("0xA",), (_finding(7, 1),)),))
    assert [k.finding for k in await journal.list_findings(first.run_id, 0, 10)] == [found[2]]
    assert [k.finding for k in await journal.list_findings(second.run_id, 0, 10)] == [found[1]]
    assert len(await journal.list_findings(None, 0, 10)) == 2
    assert await journal.known_objects(NOTHING_DONE, 10) == (7,)


async def test_runs_that_ended_long_ago_are_forgotten_but_not_the_last_of_the_background(
    journal: SqliteJobStore,
) -> None:
    background = await journal.begin_scrub("s", BACKGROUND)
    await journal.save_scrub(replace(background, ended_at=1.0), ())
    waiting = await journal.begin_scrub("s", ORDER)
    for _ in range(50):
        run = await journal.begin_scrub("s", ORDER)
        await journal.save_scrub(replace(run, ended_at=1.0), ())
    runs = await journal.list_scrubs("s")
    assert len(runs) < 40
    assert [run.run_id for run in runs[:2]] == [background.run_id, waiting.run_id]
