"""The journal as a file: checked, backed up while it is written to, restored, closed in order."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.protocol.errors import (
    GreenrayError,
    InvalidInput,
    JournalDamaged,
    JournalError,
    JournalMissing,
    NoSpaceLeft,
)
from greenray.protocol.objects import StorageParams
from greenray.storage.journal_file import (
    back_up,
    check_journal,
    close_in_order,
    create_journal,
    restore,
)
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.protocol_values import HELLO, PRIMARY
from tests.support.small_disk import small_disk

JOBS = 200


async def begin(store: SqliteJobStore, object_id: int) -> None:
    info = replace(HELLO, id=object_id)
    await store.begin_upload(PRIMARY, info, StorageParams(), 4, "uploader", 30, 86_400)


def write(path: Path, first: int = 1, last: int = JOBS) -> None:
    """Jobs of objects ``first`` to ``last``."""

    async def work() -> None:
        store = SqliteJobStore.open(path)
        await asyncio.gather(*(begin(store, i) for i in range(first, last + 1)))
        await store.close()

    asyncio.run(work())


def jobs_in(path: Path) -> int:
    """As their owner reads them."""

    async def work() -> int:
        store = SqliteJobStore.open(path, create=False)
        jobs = await store.list_jobs()
        await store.close()
        return len(jobs)

    return asyncio.run(work())


def copy_of_a_killed_writer(path: Path, folder: Path) -> Path:
    """The files as a kill would leave them right after the job of another object."""

    async def work() -> None:
        store = SqliteJobStore.open(path)
        await begin(store, JOBS + 1)
        shutil.copytree(path.parent, folder)
        await store.close()

    asyncio.run(work())
    killed = folder / path.name
    assert killed.with_name("jobs.sqlite-wal").stat().st_size > 0
    return killed


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def cut_in_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def spoil_a_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4096:] = b"\xa5" * 4096
    path.write_bytes(data)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "jobs.sqlite"


# --- checking ------------------------------------------------------------------------------------


def test_a_check_counts_what_an_intact_journal_holds(journal: Path) -> None:
    write(journal)
    for thorough in (False, True):
        summary = check_journal(journal, thorough=thorough)
        assert (summary.jobs, summary.unfinished, summary.transactions) == (JOBS, JOBS, 0)
        assert summary.size_bytes == journal.stat().st_size
    assert list(journal.parent.iterdir()) == [journal]


@pytest.mark.parametrize("damage", [cut_in_half, spoil_a_page])
def test_a_damaged_journal_is_named_with_the_way_out(
    journal: Path, damage: Callable[[Path], None]
) -> None:
    write(journal)
    damage(journal)
    with pytest.raises(JournalDamaged, match=r"jobs\.sqlite.*greenray journal restore FILE"):
        check_journal(journal)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(journal: Path) -> None:
    journal.write_bytes(b"somebody's notes\n" * 1000)
    with pytest.raises(JournalError):
        check_journal(journal)
    assert journal.read_bytes() == b"somebody's notes\n" * 1000


def test_a_directory_is_no_journal_and_no_fault_of_the_state_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="this is a directory"):
        check_journal(tmp_path)


def test_a_journal_that_is_not_there_is_not_made_by_looking(journal: Path) -> None:
    for look in (check_journal, lambda path: SqliteJobStore.open(path, create=False)):
        with pytest.raises(JournalMissing, match=r"jobs\.sqlite"):
            look(journal)
    assert list(journal.parent.iterdir()) == []


# --- closing -------------------------------------------------------------------------------------


def test_what_a_killed_writer_left_beside_the_journal_comes_into_it(
    journal: Path, tmp_path: Path
) -> None:
    write(journal)
    killed = copy_of_a_killed_writer(journal, tmp_path / "killed")
    close_in_order(killed)
    assert list(killed.parent.iterdir()) == [killed]
    assert jobs_in(killed) == JOBS + 1


# --- backing up ----------------------------------------------------------------------------------


async def test_a_backup_beside_a_writer_is_one_intact_file_with_all_that_was_acknowledged(
    journal: Path, tmp_path: Path
) -> None:
    store = SqliteJobStore.open(journal)
    acknowledged = 0
    stopped = asyncio.Event()

    async def keep_writing() -> None:
        nonlocal acknowledged
        while not stopped.is_set():
            await begin(store, acknowledged + 1)
            acknowledged += 1

    writing = asyncio.create_task(keep_writing())
    backups = tmp_path / "backups"
    await asyncio.to_thread(backups.mkdir)
    for number in range(5):
        before = acknowledged
        summary = await asyncio.to_thread(back_up, journal, backups / f"{number}.sqlite")
        assert before <= summary.jobs <= acknowledged + 1
        assert await asyncio.to_thread(jobs_in, summary.path) == summary.jobs
    stopped.set()
    await writing
    await store.close()
    assert await asyncio.to_thread(files_in, backups) == [f"{i}.sqlite" for i in range(5)]
    assert await asyncio.to_thread(jobs_in, journal) == acknowledged


def test_a_backup_overwrites_nothing(journal: Path, tmp_path: Path) -> None:
    write(journal)
    copy = tmp_path / "backup.sqlite"
    copy.write_text("last week's")
    with pytest.raises(InvalidInput, match=r"backup\.sqlite.*not overwritten"):
        back_up(journal, copy)
    assert copy.read_text() == "last week's"


def test_a_backup_removes_nothing_that_is_called_like_its_unfinished_copy(
    journal: Path, tmp_path: Path
) -> None:
    write(journal)
    part = tmp_path / "backup.sqlite.part"
    part.write_text("another's")
    with pytest.raises(InvalidInput, match=r"backup\.sqlite\.part.*not overwritten"):
        back_up(journal, tmp_path / "backup.sqlite")
    assert part.read_text() == "another's"
    assert not (tmp_path / "backup.sqlite").exists()


def test_a_damaged_journal_is_not_backed_up_and_nothing_is_left(
    journal: Path, tmp_path: Path
) -> None:
    write(journal)
    spoil_a_page(journal)
    with pytest.raises(JournalDamaged):
        back_up(journal, tmp_path / "backup.sqlite")
    assert list(tmp_path.iterdir()) == [journal.parent]


def test_a_backup_of_nothing_leaves_nothing(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        back_up(journal, tmp_path / "backup.sqlite")
    assert list(tmp_path.iterdir()) == [journal.parent]


def test_a_backup_to_a_full_disk_says_so_and_leaves_nothing(journal: Path, tmp_path: Path) -> None:
    write(journal, last=2000)
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, 64 * 1024) as mounted:
        if not mounted:
            pytest.skip("mounting a small disk needs root")
        with pytest.raises(NoSpaceLeft, match=str(disk)):
            back_up(journal, disk / "backup.sqlite")
        assert list(disk.iterdir()) == []
    assert check_journal(journal).jobs == 2000


# --- restoring -----------------------------------------------------------------------------------


def test_a_restored_journal_has_what_the_backup_had_and_the_other_one_is_kept(
    journal: Path, tmp_path: Path
) -> None:
    write(journal)
    copy, aside = tmp_path / "backup.sqlite", journal.with_name("jobs.sqlite.before")
    back_up(journal, copy)
    write(journal, JOBS + 1, JOBS + 1)
    assert restore(copy, journal, aside).jobs == JOBS
    assert jobs_in(journal) == JOBS
    assert jobs_in(aside) == JOBS + 1
    assert jobs_in(copy) == JOBS


def test_what_a_killed_writer_left_is_kept_with_the_journal_it_belongs_to(
    journal: Path, tmp_path: Path
) -> None:
    write(journal)
    copy = tmp_path / "backup.sqlite"
    back_up(journal, copy)
    killed = copy_of_a_killed_writer(journal, tmp_path / "killed")
    aside = killed.with_name("jobs.sqlite.before")
    restore(copy, killed, aside)
    assert jobs_in(killed) == JOBS
    assert jobs_in(aside) == JOBS + 1


def test_a_journal_is_restored_where_there_is_none(journal: Path, tmp_path: Path) -> None:
    write(journal)
    copy, aside = tmp_path / "backup.sqlite", journal.with_name("jobs.sqlite.before")
    back_up(journal, copy)
    journal.unlink()
    assert restore(copy, journal, aside).jobs == JOBS
    assert not aside.exists()


def foreign(path: Path) -> None:
    path.write_bytes(b"somebody's notes\n" * 1000)


@pytest.mark.parametrize("damage", [cut_in_half, spoil_a_page, foreign, Path.unlink])
def test_what_is_no_intact_backup_is_refused_and_the_journal_stays(
    journal: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write(journal)
    copy = tmp_path / "backup.sqlite"
    back_up(journal, copy)
    damage(copy)
    before = journal.read_bytes()
    with pytest.raises(GreenrayError, match=r"backup\.sqlite"):
        restore(copy, journal, journal.with_name("jobs.sqlite.before"))
    assert list(journal.parent.iterdir()) == [journal]
    assert journal.read_bytes() == before


def test_a_new_journal_is_intact(journal: Path) -> None:
    create_journal(journal)
    assert check_journal(journal, thorough=True).jobs == 0
