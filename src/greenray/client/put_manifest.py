"""What of many objects is done, in a file that a person names: SQLite, one row for each object.

The chain is the truth: an object that is sealed and not in the manifest is found there. What the
manifest spares is reading and hashing its file again to see that it is the same.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from greenray.client.put_outcome import PutOutcome, PutStatus
from greenray.client.storage_client import StorageClient
from greenray.protocol.errors import InvalidInput, NoSpaceLeft, StoreError, UnreadableFile

_APPLICATION_ID = 0x67727075
_VERSION = 1
_SCHEMA = """
CREATE TABLE chain (chain_id TEXT NOT NULL, first_block_hash TEXT NOT NULL);
CREATE TABLE object (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    size_bytes INTEGER,
    mtime_ns INTEGER,
    object_id INTEGER,
    status TEXT NOT NULL,
    reason TEXT,
    message TEXT
) WITHOUT ROWID;
"""
_WRITE_EVERY_S = 0.5
_WRITE_ROWS = 256


@dataclass(frozen=True, slots=True)
class FileStamp:
    """How a file was when it was read: another one is another file, or was written to."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, file: object) -> FileStamp | None:
        """Of an open file; None of what is no file on disk."""
        try:
            status = os.fstat(file.fileno())  # type: ignore[attr-defined]
        except (AttributeError, OSError):
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@asynccontextmanager
async def opened_manifest(
    path: Path | None, client: StorageClient
) -> AsyncIterator[PutManifest | None]:
    """Of the chain that ``client`` is at; None: none is wanted. Raises: as ``PutManifest``."""
    if path is None:
        yield None
        return
    manifest = PutManifest(path, *await client.chain_identity())
    try:
        yield manifest
    finally:
        await manifest.close()


class PutManifest:
    """Used from one event loop; ``close`` it."""

    def __init__(self, path: Path, chain_id: str, first_block_hash: str) -> None:
        """Opens or makes it.

        Raises: InvalidInput (it is no manifest, or one of another chain), NoSpaceLeft,
        UnreadableFile.
        """
        self._path = path
        if path.exists() and not path.is_file():
            raise UnreadableFile("it is no regular file", str(path), "Name another manifest.")
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._rows: list[tuple[str | int | None, ...]] = []
        self._written_at = time.monotonic()
        self._writing = asyncio.Lock()
        try:
            self._begin(chain_id, first_block_hash)
        except sqlite3.Error as error:
            self._connection.close()
            raise self._failed(error) from error
        except BaseException:
            self._connection.close()
            raise

    def _begin(self, chain_id: str, first_block_hash: str) -> None:
        sql = self._connection
        is_empty = sql.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        application_id, version = (
            sql.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        if is_empty and application_id == 0:
            sql.executescript(
                f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; "
                f"PRAGMA user_version = {_VERSION}; {_SCHEMA} COMMIT;"
            )
            with sql:
                sql.execute("INSERT INTO chain VALUES (?, ?)", (chain_id, first_block_hash))
            return
        if (application_id, version) != (_APPLICATION_ID, _VERSION):
            raise InvalidInput(
                "the file is no manifest of this version", str(self._path), "Name another manifest."
            )
        found = sql.execute("SELECT chain_id, first_block_hash FROM chain").fetchone()
        if found != (chain_id, first_block_hash):
            raise InvalidInput(
                f"the manifest is of another chain ({found[0]})",
                str(self._path),
                "Name another manifest, or remove this one.",
            )

    async def is_done(self, name: str, source: str, stamp: FileStamp) -> bool:
        """Whether the object was sealed, from that file as it still is."""
        async with self._writing:
            row = self._connection.execute(
                "SELECT status FROM object WHERE name = ? AND source = ? AND size_bytes = ?"
                " AND mtime_ns = ?",
                (name, source, stamp.size_bytes, stamp.mtime_ns),
            ).fetchone()
        return row is not None and row[0] == PutStatus.SEALED.value

    async def record(self, outcome: PutOutcome, stamp: FileStamp | None) -> None:
        """Within half a second it is on disk. Raises NoSpaceLeft, StoreError."""
        # What is on its way to its seal without us is asked for again.
        done = outcome.status in (PutStatus.SEALED, PutStatus.WAS_SEALED)
        status = PutStatus.SEALED if done else outcome.status
        error = outcome.error
        self._rows.append(
            (
                outcome.name.encode(errors="replace").decode(),
                outcome.source,
                None if stamp is None else stamp.size_bytes,
                None if stamp is None else stamp.mtime_ns,
                outcome.object_id,
                status.value,
                None if error is None else error.reason,
                None if error is None else str(error),
            )
        )
        is_time = time.monotonic() - self._written_at >= _WRITE_EVERY_S
        if is_time or len(self._rows) >= _WRITE_ROWS:
            await self.write()

    async def write(self) -> None:
        """All that is recorded. Raises NoSpaceLeft, StoreError; it is still to be written then."""
        async with self._writing:
            rows, self._rows = self._rows, []
            self._written_at = time.monotonic()
            if not rows:
                return
            try:
                await asyncio.to_thread(self._insert, rows)
            except sqlite3.Error as error:
                self._rows = rows + self._rows
                raise self._failed(error) from error

    def _insert(self, rows: list[tuple[str | int | None, ...]]) -> None:
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    async def close(self) -> None:
        """Raises NoSpaceLeft, StoreError."""
        try:
            await self.write()
        finally:
            self._connection.close()

    def _failed(self, error: sqlite3.Error) -> Exception:
        where = f"manifest {self._path}"
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return NoSpaceLeft(
                "the disk is full",
                where,
                "Make room, then run it again: what is sealed is found on chain",
            )
        if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
            return InvalidInput("the file is no manifest", where, "Name another manifest.")
        if "unable to open" in str(error) or "readonly" in str(error):
            return UnreadableFile(f"it cannot be written ({error})", where, "Name another file.")
        return StoreError(f"it cannot be written ({error})", where, "Check the disk.")
