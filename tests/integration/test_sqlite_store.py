from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from greenray.protocol.errors import (
    GreenrayError,
    IllegalTransition,
    JournalError,
    NoSpaceLeft,
    StoreError,
)
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.job_events import JobEvent, SealFinished, UploadFinished, UploadStarted
from greenray.protocol.objects import StorageParams
from greenray.storage import job_rows, sqlite_schema
from greenray.storage.group_commit import GroupCommitter
from greenray.storage.journal_file import read_jobs
from greenray.storage.ports import JobUpdate
from greenray.storage.sqlite_schema import APPLICATION_ID, SCHEMA_VERSION, open_journal
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.protocol_values import HELLO, PRIMARY


async def begin(store: SqliteJobStore, object_id: int = 1) -> JobContext:
    info = replace(HELLO, id=object_id)
    return await store.begin_upload(PRIMARY, info, StorageParams(), 4, "uploader", 30, 86_400)


def update(job: JobContext, event: JobEvent) -> JobUpdate:
    return JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event)


def spoil_all_but_the_schema(path: Path) -> None:
    """The schema stays: it takes the pages that a journal has before anything is in it."""
    empty = path.with_name("empty.db")
    open_journal(empty).close()
    kept_bytes = empty.stat().st_size
    data = path.read_bytes()
    path.write_bytes(data[:kept_bytes] + b"\xa5" * (len(data) - kept_bytes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


# --- files that are not a journal ----------------------------------------------------------------


async def test_a_journal_is_opened_again_with_what_it_had(path: Path) -> None:
    store = SqliteJobStore.open(path)
    job = await begin(store)
    await store.close()
    store = SqliteJobStore.open(path)
    assert await store.list_jobs() == (job,)
    assert (await begin(store, 2)).job_id > job.job_id
    await store.close()


def test_the_journal_syncs_every_commit(path: Path) -> None:
    connection = open_journal(path)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"somebody's notes\n" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        SqliteJobStore.open(path)
    assert path.read_bytes() == b"somebody's notes\n" * 1000


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE recipes (name TEXT)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a greenray journal"):
        SqliteJobStore.open(path)
    assert path.read_bytes() == before


def test_a_newer_journal_is_refused(path: Path) -> None:
    open_journal(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}"):
        SqliteJobStore.open(path)


@pytest.fixture
def older(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with a job, of the schema before one that has another table."""
    with closing(open_journal(path)) as journal, journal:
        journal.executescript("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('kept')")
    upgrades = (*sqlite_schema._UPGRADES, "ALTER TABLE notes RENAME TO remarks;")
    monkeypatch.setattr(sqlite_schema, "_UPGRADES", upgrades)
    monkeypatch.setattr(sqlite_schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    return path


def test_an_older_journal_is_upgraded_once(older: Path) -> None:
    for _ in range(2):
        with closing(open_journal(older)) as journal:
            assert journal.execute("SELECT text FROM remarks").fetchone()[0] == "kept"
            assert journal.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 1


def test_an_upgrade_that_fails_leaves_the_journal_as_it_was(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrades = (*sqlite_schema._UPGRADES[:-1], "DROP TABLE notes; SELECT 1 FROM nowhere;")
    monkeypatch.setattr(sqlite_schema, "_UPGRADES", upgrades)
    with pytest.raises(StoreError, match="nowhere"):
        open_journal(older)
    with closing(sqlite3.connect(older)) as journal:
        assert journal.execute("SELECT text FROM notes").fetchone()[0] == "kept"
        assert journal.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


def test_reading_an_older_journal_does_not_change_it(older: Path) -> None:
    before = older.read_bytes()
    assert read_jobs(older, unfinished_only=False) == ()
    assert older.read_bytes() == before


def test_a_journal_in_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/journal\.db"):
        SqliteJobStore.open(tmp_path / "missing" / "journal.db")


async def test_a_damaged_journal_answers_with_a_store_error(path: Path) -> None:
    store = SqliteJobStore.open(path)
    for i in range(1, 200):
        await begin(store, i)
    await store.close()
    spoil_all_but_the_schema(path)
    store = SqliteJobStore.open(path)
    with pytest.raises(StoreError, match=r"journal\.db"):
        await store.list_jobs()
    await store.close()


async def test_what_another_process_wrote_into_a_job_is_read(path: Path) -> None:
    store = SqliteJobStore.open(path)
    job = await begin(store)
    with closing(sqlite3.connect(path)) as other, other:
        (details,) = other.execute("SELECT details FROM jobs").fetchone()
        assert '"approval_round":0' in details
        changed = details.replace('"approval_round":0', '"approval_round":7')
        other.execute("UPDATE jobs SET details = ?", (changed,))
    assert await store.list_jobs() == (replace(job, approval_round=7),)
    await store.close()


async def test_jobs_of_several_objects_with_equal_details_are_told_apart(path: Path) -> None:
    clock = iter([5.0] * 100)
    store = SqliteJobStore.open(path, lambda: next(clock))
    jobs = tuple([await begin(store, object_id) for object_id in (1, 2, 3)])
    assert await store.list_jobs() == jobs
    assert [job.object_info.id for job in jobs] == [1, 2, 3]
    await store.close()


async def test_a_row_of_another_version_is_named(path: Path) -> None:
    store = SqliteJobStore.open(path)
    await begin(store)
    await store.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE jobs SET details = '{\"version\":2}'")
    other.close()
    store = SqliteJobStore.open(path)
    with pytest.raises(StoreError, match="job 1 cannot be read: not a value of version 1"):
        await store.get_job(PRIMARY, 1)
    await store.close()


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()
    connection = open_journal(path)
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    connection.close()


# --- the audit trail -----------------------------------------------------------------------------


async def test_every_event_is_in_the_audit_trail_and_refused_ones_are_not(path: Path) -> None:
    times = iter(range(100, 200))
    store = SqliteJobStore.open(path, lambda: float(next(times)))
    job = await begin(store)
    with pytest.raises(IllegalTransition):
        await store.apply(update(job, SealFinished(None, None)))
    await store.apply(update(job, UploadFinished()))
    events = await store.list_events(PRIMARY, job.job_id)
    await store.close()
    doing, done = JobState.UPLOAD_OBJECT_DOING, JobState.UPLOAD_OBJECT_DONE
    assert [(e.job_id, e.epoch, e.event, e.from_state, e.to_state, e.at) for e in events] == [
        (1, 1, UploadStarted, JobState.INIT_UNSPECIFIED, doing, 100.0),
        (1, 1, UploadFinished, doing, done, 102.0),
    ]


# --- group commit --------------------------------------------------------------------------------


def committed(path: Path) -> list[str]:
    """The notes that somebody else sees in the file."""
    reader = sqlite3.connect(path)
    names = [row[0] for row in reader.execute("SELECT name FROM notes ORDER BY rowid")]
    reader.close()
    return names


@pytest.fixture
def notes(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE notes (name TEXT UNIQUE)")
    return connection


def insert(db: sqlite3.Connection, name: str) -> str:
    db.execute("INSERT INTO notes VALUES (?)", (name,))
    return name


async def test_calls_of_one_step_are_one_commit_and_answered_after_it(
    path: Path, notes: sqlite3.Connection
) -> None:
    seen: list[tuple[int, str, list[str]]] = []
    committer = GroupCommitter(
        notes, "notes", lambda count, text: seen.append((count, text, committed(path)))
    )
    answers = await asyncio.gather(
        *(committer.call(f"insert {n}", partial(insert, name=n)) for n in "abc")
    )
    committer.close()
    assert answers == list("abc")
    assert seen == [(1, "insert a, insert b, insert c", list("abc"))]


async def test_a_call_that_fails_halfway_undoes_itself_and_nothing_else(
    path: Path, notes: sqlite3.Connection
) -> None:
    def fail(db: sqlite3.Connection) -> None:
        insert(db, "half")
        raise IllegalTransition("no")

    descriptions: list[str] = []
    committer = GroupCommitter(notes, "notes", lambda _, text: descriptions.append(text))
    outcomes = await asyncio.gather(
        committer.call("a", lambda db: insert(db, "a")),
        committer.call("fail", fail),
        committer.call("again", lambda db: insert(db, "a")),
        committer.call("b", lambda db: insert(db, "b")),
        return_exceptions=True,
    )
    committer.close()
    assert [type(o) for o in outcomes] == [str, IllegalTransition, JournalError, str]
    assert committed(path) == ["a", "b"]
    assert descriptions == ["a, b"]


async def test_reading_and_changing_nothing_is_not_a_commit(notes: sqlite3.Connection) -> None:
    commits: list[int] = []
    committer = GroupCommitter(notes, "notes", lambda count, _: commits.append(count))
    assert await committer.call("read", lambda db: db.execute("SELECT 7").fetchone()[0]) == 7
    await committer.call("none", lambda db: db.execute("DELETE FROM notes WHERE name = 'x'"))
    committer.close()
    assert commits == []


async def test_a_full_disk_fails_the_group_and_the_next_one_works(
    path: Path, notes: sqlite3.Connection
) -> None:
    notes.execute(f"PRAGMA max_page_count = {notes.execute('PRAGMA page_count').fetchone()[0]}")
    committer = GroupCommitter(notes, "notes.db")
    with pytest.raises(NoSpaceLeft, match=r"notes\.db"):
        await committer.call("big", lambda db: insert(db, "x" * 100_000))
    await committer.call("room", lambda db: db.execute("PRAGMA max_page_count = 1000"))
    await committer.call("small", lambda db: insert(db, "small"))
    committer.close()
    assert committed(path) == ["small"]


async def test_a_hook_that_fails_is_the_answer_although_the_commit_stands(
    path: Path, notes: sqlite3.Connection
) -> None:
    def hook(count: int, description: str) -> None:
        raise StoreError("the answer was lost")

    committer = GroupCommitter(notes, "notes", hook)
    with pytest.raises(StoreError, match="the answer was lost"):
        await committer.call("a", lambda db: insert(db, "a"))
    committer.close()
    assert committed(path) == ["a"]


async def test_close_answers_what_was_asked_before(path: Path, notes: sqlite3.Connection) -> None:
    committer = GroupCommitter(notes, "notes")
    calls = [asyncio.ensure_future(committer.call(n, partial(insert, name=n))) for n in "abc"]
    await asyncio.sleep(0)
    await asyncio.to_thread(committer.close)
    assert await asyncio.gather(*calls) == list("abc")
    with pytest.raises(StoreError, match="closed"):
        await committer.call("late", lambda db: insert(db, "late"))
    committer.close()
    assert committed(path) == ["a", "b", "c"]


async def test_a_caller_that_gave_up_disturbs_nobody(path: Path, notes: sqlite3.Connection) -> None:
    committer = GroupCommitter(notes, "notes")
    given_up = asyncio.ensure_future(committer.call("a", lambda db: insert(db, "a")))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await committer.call("b", lambda db: insert(db, "b")) == "b"
    committer.close()
    assert committed(path)[-1] == "b"


def test_one_store_serves_several_event_loops(path: Path) -> None:
    store = SqliteJobStore.open(path)
    job = asyncio.run(begin(store))
    assert asyncio.run(store.list_jobs()) == (job,)
    asyncio.run(store.close())
    with pytest.raises(GreenrayError, match="closed"):
        asyncio.run(store.list_jobs())


async def test_of_the_audit_trail_the_latest_events_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_rows, "EVENTS_KEPT", 6)
    monkeypatch.setattr(job_rows, "_FORGOTTEN_AT_ONCE", 2)
    store = SqliteJobStore.open(path)
    jobs = [await begin(store, object_id) for object_id in range(1, 21)]
    trails = [len(await store.list_events(PRIMARY, job.job_id)) for job in jobs]
    assert trails[0] == 0
    assert trails[-1] > 0
    assert 6 <= sum(trails) <= 8
    assert await store.list_jobs() == tuple(jobs)
    await store.close()
