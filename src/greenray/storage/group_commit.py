"""One thread that owns an SQLite connection and commits in groups.

Calls made in one step of an event loop, and all that wait while a commit is under way, become one
transaction together: one sync of the disk for all of them. Each call has its own savepoint, so that
one which fails undoes itself and nothing else. Nobody is answered before the COMMIT has returned.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from greenray.protocol.errors import JournalError, JournalFull, JournalUnavailable
from greenray.seam.fault_points import NO_FAULTS, FaultPoint, FaultPoints

T = TypeVar("T")
AfterCommit = Callable[[int, str], None]

GROUP_ENOUGH_CALLS = 512
"""A group that has this many takes no more; bounds how long its first call waits for its last."""


@dataclass(slots=True)
class _Call:
    """What to run, who waits for it, and what came of it."""

    description: str
    run: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    result: Any = None
    failure: BaseException | None = None
    changed: bool = False

    def deliver(self) -> None:
        """In the loop's thread."""
        if self.answer.cancelled():
            return
        if self.failure is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.failure)


class GroupCommitter:
    """Runs calls on ``connection`` (opened with ``isolation_level=None`` and
    ``check_same_thread=False``) one after the other, in the order they were made.

    ``after_commit(count, description)`` is called in the thread after each commit that changed
    something, before anybody is answered; ``count`` numbers these commits from 1. What it raises
    is the answer to the whole group.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        where: str,
        after_commit: AfterCommit | None = None,
        fault_points: FaultPoints = NO_FAULTS,
    ) -> None:
        self._connection = connection
        self._where = where
        self._after_commit = after_commit
        self._points = fault_points
        self._commits = 0
        self._steps: queue.SimpleQueue[list[_Call] | None] = queue.SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, list[_Call]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="job-store", daemon=True)
        self._thread.start()

    async def call(self, description: str, run: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of ``run``, once what it wrote is durable.

        Raises what ``run`` raised, or JournalError (JournalFull) when the database failed or is
        closed; nothing of the call is written then. A call that is cancelled may be written.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        call = _Call(description, run, loop, answer)
        with self._lock:
            if self._closed:
                raise JournalUnavailable("the journal is closed", self._where)
            if loop in self._gathering:
                self._gathering[loop].append(call)
            else:
                self._gathering[loop] = [call]
                loop.call_soon(self._end_step, loop)
        return await answer

    def close(self) -> None:
        """Answer what was asked, then end the thread and close the connection. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for calls in self._gathering.values():
                    self._steps.put(calls)
                self._gathering.clear()
                self._steps.put(None)
        self._thread.join()

    def _end_step(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            calls = self._gathering.pop(loop, None)
            if calls is not None:
                self._steps.put(calls)

    # --- the thread ------------------------------------------------------------------------------

    def _work(self) -> None:
        open_ = True
        while open_:
            calls, open_ = self._next_group()
            calls = [call for call in calls if not call.answer.cancelled()]
            if calls:
                self._commit_or_fail(calls)
                _answer(calls)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Call], bool]:
        """What waits now (at least one), and whether more may come."""
        calls: list[_Call] = []
        step = self._steps.get()
        while step is not None:
            calls += step
            if len(calls) >= GROUP_ENOUGH_CALLS:
                return calls, True
            try:
                step = self._steps.get_nowait()
            except queue.Empty:
                return calls, True
        return calls, False

    def _commit_or_fail(self, calls: list[_Call]) -> None:
        try:
            self._commit(calls)
        except BaseException as error:
            if self._connection.in_transaction:
                # A database that cannot even do this answers the same to the next BEGIN.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            for call in calls:
                call.failure = self._translated(error)

    def _commit(self, calls: list[_Call]) -> None:
        # IMMEDIATE: a reader that becomes a writer in mid-transaction may be refused.
        self._connection.execute("BEGIN IMMEDIATE")
        for call in calls:
            self._run(call)
        changes = ", ".join(call.description for call in calls if call.changed)
        if changes:
            self._points.reach(FaultPoint.COMMIT_BEGUN, changes, None)
        self._connection.execute("COMMIT")
        if changes:
            self._commits += 1
            if self._after_commit is not None:
                self._after_commit(self._commits, changes)
            self._points.reach(FaultPoint.COMMIT_DONE, changes, None)

    def _run(self, call: _Call) -> None:
        changes_before = self._connection.total_changes
        self._connection.execute("SAVEPOINT call")
        try:
            call.result = call.run(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # SQLite has undone the whole group, as it does when the disk is full
            self._connection.execute("ROLLBACK TO call")
            call.failure = self._translated(error)
        else:
            call.changed = self._connection.total_changes != changes_before
        self._connection.execute("RELEASE call")

    def _translated(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        return translate(error, self._where)


def _answer(calls: list[_Call]) -> None:
    """One wake-up per event loop, not per call: each costs as much as a small transaction."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Call]] = {}
    for call in calls:
        by_loop.setdefault(call.loop, []).append(call)
    for loop, answered in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_deliver, answered)


def _deliver(calls: list[_Call]) -> None:
    for call in calls:
        call.deliver()


_LOCKED = "Another process has it locked: end that one (lsof names it)"
_PASSING = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOMEM: "This machine has no memory left",
}
"""What to do, by SQLite's primary codes of errors that pass by themselves."""

_STEPS = {
    sqlite3.SQLITE_READONLY: "See why it is read-only (dmesg), and let it be written again",
    sqlite3.SQLITE_IOERR: "The disk fails: see the kernel's log (dmesg), and replace it; then ask "
    "'greenray journal check' whether a backup is needed",
    sqlite3.SQLITE_CANTOPEN: "See that the state directory is there and may be written",
}
"""What to do, by SQLite's primary error code."""


def translate(error: sqlite3.Error, where: str) -> JournalError:
    """An SQLite error as ours."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return JournalFull(
            "no space left to write the journal",
            where,
            "Free some space, or move the state directory to a larger disk",
        )
    what = f"the journal failed: {error}"
    if is_damage(error):
        return JournalError(what, where, "Look at it with 'greenray journal check'")
    primary = code & 0xFF if code is not None else sqlite3.SQLITE_ERROR
    if primary in _PASSING:
        return JournalUnavailable(what, where, _PASSING[primary])
    return JournalError(what, where, _STEPS.get(primary, ""))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is not what it wrote."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
