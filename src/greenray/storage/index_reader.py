"""Questions to the index beside the writes of the journal.

A page is up to a megabyte of rows, and whoever waits for a commit must not wait for it. So the
index is read in a thread of its own, over a connection of its own: with a write-ahead log, that
sees what is committed and holds up nobody.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from greenray.protocol.errors import JournalUnavailable
from greenray.storage.group_commit import GroupCommitter, translate

T = TypeVar("T")

_IN_MEMORY = ":memory:"
_MAPPED_BYTES = 4 << 30
"""A page of a large bucket is a thousand rows in as many places: mapped, they are not copied one by
one. Only addresses are taken; the memory is the system's cache of the file."""


class IndexReader:
    """One connection, opened at the first question."""

    def __init__(self, path: Path, committer: GroupCommitter) -> None:
        """``committer``: that of the journal, which answers if it is in memory only."""
        self._path = path
        self._committer = committer
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "index-reader")

    async def call(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Raises JournalError, and what ``ask`` raises."""
        if str(self._path) == _IN_MEMORY:
            return await self._committer.call("index", ask)
        if self._closed:
            raise JournalUnavailable("the journal is closed", str(self._path))
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, ask)

    async def close(self) -> None:
        """Once the questions under way are answered. Idempotent."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            self._connection.execute("BEGIN")  # one state for all that a question reads
            try:
                return ask(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translate(error, str(self._path)) from error

    def _open(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
        return connection
