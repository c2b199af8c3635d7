"""The journal as a file that people keep: checked, copied while it is written to, closed in order.

Every copy is one file that needs no other, and is checked before it has its name.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from greenray.protocol.collection import Collectable
from greenray.protocol.errors import (
    InvalidInput,
    JournalDamaged,
    JournalError,
    JournalMissing,
    NoSpaceLeft,
)
from greenray.protocol.job import JobContext
from greenray.storage.collection_rows import list_collectable
from greenray.storage.direct_io import store_errors
from greenray.storage.group_commit import is_damage, translate
from greenray.storage.integrity_rows import put_integrity
from greenray.storage.job_rows import insert_job, list_jobs
from greenray.storage.new_place import check_parent
from greenray.storage.ports import IntegrityRecord
from greenray.storage.sqlite_schema import check_header, is_current, open_journal, upgrade

_COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database that is open, or was not closed."""

_RESTORE_STEPS = (
    "Restore an intact backup with 'greenray journal restore FILE', or make the journal again with "
    "'greenray journal rebuild'"
)


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """What a whole journal holds. ``unfinished``: jobs that are neither sealed nor given up."""

    path: Path
    size_bytes: int
    jobs: int
    unfinished: int
    integrity_records: int
    transactions: int


def create_journal(path: Path) -> None:
    """An empty journal. Raises JournalError."""
    open_journal(path).close()


def check_journal(path: Path, *, thorough: bool = False) -> JournalSummary:
    """Read all pages of the journal, whether somebody writes to it or not. ``thorough`` compares
    its indices with its tables, too, which takes some times longer.

    Raises:
        JournalMissing, JournalDamaged.
        JournalError: it is no journal, one of another version, or cannot be read.
    """
    with _errors_of(path), closing(_reader(path)) as connection:
        check_header(connection, str(path))
        _check_pages(connection, path, thorough)
        return _summary(connection, path)


def read_jobs(path: Path, *, unfinished_only: bool) -> tuple[JobContext, ...]:
    """As of now, oldest first, whether somebody writes to the journal or not.

    Raises JournalMissing, JournalError.
    """
    with _current(path) as connection:
        return list_jobs(connection, unfinished_only)


def read_space(path: Path) -> tuple[Mapping[int, str], tuple[str, ...], tuple[Collectable, ...]]:
    """Of the journal as of now, whether somebody writes to it or not: buckets by object id, the
    operator addresses of SPs that have stored something, and what waits for its collection.

    Raises JournalMissing, JournalError.
    """
    with _current(path) as connection:
        rows = connection.execute("SELECT object_id, bucket_name FROM jobs")
        buckets = {int(row["object_id"]): row["bucket_name"] for row in rows}
        providers = connection.execute(
            "SELECT sp_address FROM jobs UNION SELECT sp_address FROM integrity_records "
            "UNION SELECT sp_address FROM groups ORDER BY sp_address"
        )
        return buckets, tuple(row["sp_address"] for row in providers), list_collectable(connection)


def back_up(journal: Path, copy: Path) -> JournalSummary:
    """Copy the journal as of now to ``copy``, a new file. Writers go on meanwhile.

    Raises InvalidInput (the copy is there already, or no directory for it), NoSpaceLeft, StoreError
    (it cannot be written), and what ``check_journal`` raises.
    """
    check_parent(copy)
    part = _part_of(copy)
    if part.exists():
        raise InvalidInput(
            "is there already, and is not overwritten", str(part), "Name another file"
        )
    with store_errors(copy, "write the copy"):
        try:
            copy.open("xb").close()  # the name is ours from now on
        except FileExistsError:
            raise InvalidInput(
                "is there already, and is not overwritten", str(copy), "Name another file"
            ) from None
        try:
            with _checked_copy(journal, copy) as copied:
                _place(copied.path, copy)
        except BaseException:
            copy.unlink()
            raise
    return replace(copied, path=copy)


def restore(copy: Path, journal: Path, aside: Path) -> JournalSummary:
    """Put the journal in ``copy`` in the place of ``journal``, which goes to ``aside`` if there is
    one. Nobody may have the journal open.

    Raises NoSpaceLeft, StoreError (it cannot be written), and what ``check_journal`` raises of the
    copy; the journal is where it was then.
    """
    with store_errors(journal, "replace the journal"), _checked_copy(copy, journal) as copied:
        for suffix in ("", *_COMPANIONS):
            present = journal.with_name(journal.name + suffix)
            if present.exists():
                present.rename(aside.with_name(aside.name + suffix))
        _place(copied.path, journal)
    return replace(copied, path=journal)


def write_journal(
    path: Path, jobs: Iterable[JobContext], records: Iterable[IntegrityRecord]
) -> None:
    """A new journal with these rows, in one file. Raises JournalError."""
    with _errors_of(path), closing(open_journal(path)) as connection:
        connection.execute("BEGIN")
        for job in jobs:
            insert_job(connection, job)
        for record in records:
            put_integrity(connection, record)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")


def close_in_order(path: Path) -> None:
    """Bring into the journal what a writer that was killed has left beside it; nobody may have it
    open. Raises JournalError."""
    if not any(path.with_name(path.name + suffix).exists() for suffix in _COMPANIONS):
        return
    with _errors_of(path), closing(open_journal(path, create=False)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _current(path: Path) -> Iterator[sqlite3.Connection]:
    """To read from the journal in its newest schema; the file stays as it is."""
    with _errors_of(path), closing(_reader(path)) as connection:
        check_header(connection, str(path))
        if is_current(connection):
            yield connection
            return
        with closing(_upgraded_copy(connection)) as copy:
            yield copy


@contextmanager
def _checked_copy(source: Path, target: Path) -> Iterator[JournalSummary]:
    """Of a copy beside ``target``, which is removed if it is still there in the end."""
    part = _part_of(target)
    _remove(part)
    try:
        with _errors_of(source):
            with closing(_reader(source)) as reading:
                check_header(reading, str(source))
                _write_copy(reading, part)
            with closing(_reader(part)) as written:  # what is wrong in it was wrong before
                _check_pages(written, source, thorough=True)
                summary = _summary(written, part)
        yield summary
    finally:
        _remove(part)


def _part_of(target: Path) -> Path:
    """Where a copy is made that becomes ``target``."""
    return target.with_name(f"{target.name}.part")


def _remove(path: Path) -> None:
    for suffix in ("", *_COMPANIONS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _write_copy(reading: sqlite3.Connection, part: Path) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as writing:
        try:
            # All pages in one step: a step that others write after begins anew.
            reading.backup(writing)
            # Of a copy nobody needs more than the one file.
            writing.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise NoSpaceLeft(
                "no space left to write the copy", str(part.parent), "Free some space"
            ) from None


def _place(part: Path, target: Path) -> None:
    _sync(part)
    os.replace(part, target)
    _sync(target.parent)


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing but, if it is the last to be closed, brings in what others
    have left beside the journal; one that is opened for reading would leave files there."""
    if not path.exists():
        raise JournalMissing("there is no journal", str(path), "Name another, or --state-dir")
    if path.is_dir():
        raise InvalidInput("this is a directory, no journal", str(path), "Name a file in it")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    return connection


def _upgraded_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """In memory: who reads a journal does not change it."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.row_factory = sqlite3.Row
    connection.backup(copy)
    upgrade(copy)
    return copy


def _check_pages(connection: sqlite3.Connection, path: Path, thorough: bool) -> None:
    pragma = "integrity_check" if thorough else "quick_check"
    first = connection.execute(f"PRAGMA {pragma}(1)").fetchone()[0]
    if first != "ok":
        raise _damaged(path, " ".join(first.split()))


def _summary(connection: sqlite3.Connection, path: Path) -> JournalSummary:
    def count(rows: str) -> int:
        number: int = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]
        return number

    return JournalSummary(
        path,
        path.stat().st_size,
        count("jobs"),
        count("jobs WHERE final = 0"),
        count("integrity_records"),
        count("transactions"),
    )


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _error_of(error, path) from error


def _error_of(error: sqlite3.Error, path: Path) -> JournalError:
    return _damaged(path, str(error)) if is_damage(error) else translate(error, str(path))


def _damaged(path: Path, why: str) -> JournalDamaged:
    return JournalDamaged(f"the journal is damaged: {why}", str(path), _RESTORE_STEPS)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
