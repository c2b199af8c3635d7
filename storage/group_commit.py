"""One thread that owns an SQLite connection and commits in groups.

Calls that wait while a commit is under way become the next transaction together: one sync of the
disk for all of them. Each call has its own savepoint, so that one which fails undoes itself and
nothing else. Nobody is answered before the COMMIT has returned.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from protocol.errors import GreenrayError, NoSpaceLeft, StoreError

T = TypeVar("T")
AfterCommit = Callable[[int, str], None]

GROUP_MAX_CALLS = 512
"""Bounds how long the first call of a group waits for the last."""


@dataclass(frozen=True, slots=True)
class _Call:
    description: str
    run: Callable[[sqlite3.Connection], Any]
    answer: Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    result: Any = None
    changed: bool = False
    failure: BaseException | None = None


class GroupCommitter:
    """Runs calls on ``connection`` (opened with ``isolation_level=None`` and
    ``check_same_thread=False``) one after the other, in the order of ``submit``.

    ``after_commit(count, description)`` is called in the thread after each commit that changed
    something, before anybody is answered; ``count`` numbers these commits from 1. What it raises
    is the answer to the whole group.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        where: str,
        after_commit: AfterCommit | None = None,
    ) -> None:
        self._connection = connection
        self._where = where
        self._after_commit = after_commit
        self._commits = 0
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="job-store", daemon=True)
        self._thread.start()

    def submit(self, description: str, run: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """The answer of ``run``, once what it wrote is durable.

        The future fails with what ``run`` raised, or with StoreError (NoSpaceLeft) when the
        database failed; nothing of the call is written then. Raises: StoreError, after ``close``.
        """
        answer: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise StoreError("the journal is closed", self._where)
            self._calls.put(_Call(description, run, answer))
        return answer

    def close(self) -> None:
        """Answer what was submitted, then end the thread and close the connection. Idempotent."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._calls.put(None)
        self._thread.join()

    # --- the thread ------------------------------------------------------------------------------

    def _work(self) -> None:
        open_ = True
        while open_:
            calls, open_ = self._next_group()
            calls = [call for call in calls if call.answer.set_running_or_notify_cancel()]
            if calls:
                self._answer(calls)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Call], bool]:
        """What waits now (at least one), and whether more may come."""
        calls: list[_Call] = []
        call = self._calls.get()
        while call is not None:
            calls.append(call)
            if len(calls) == GROUP_MAX_CALLS:
                return calls, True
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                return calls, True
        return calls, False

    def _answer(self, calls: list[_Call]) -> None:
        try:
            outcomes = self._commit(calls)
        except BaseException as error:
            self._roll_back()
            for call in calls:
                call.answer.set_exception(self._translated(error))
            return
        for call, outcome in zip(calls, outcomes, strict=True):
            if outcome.failure is None:
                call.answer.set_result(outcome.result)
            else:
                call.answer.set_exception(outcome.failure)

    def _commit(self, calls: list[_Call]) -> list[_Outcome]:
        # IMMEDIATE: a reader that becomes a writer in mid-transaction may be refused.
        self._connection.execute("BEGIN IMMEDIATE")
        outcomes = [self._run(call) for call in calls]
        self._connection.execute("COMMIT")
        changes = [c.description for c, o in zip(calls, outcomes, strict=True) if o.changed]
        if changes:
            self._commits += 1
            if self._after_commit is not None:
                self._after_commit(self._commits, ", ".join(changes))
        return outcomes

    def _run(self, call: _Call) -> _Outcome:
        changes_before = self._connection.total_changes
        self._connection.execute("SAVEPOINT call")
        try:
            result = call.run(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # SQLite has undone the whole group, as it does when the disk is full
            self._connection.execute("ROLLBACK TO call")
            self._connection.execute("RELEASE call")
            return _Outcome(failure=self._translated(error))
        self._connection.execute("RELEASE call")
        return _Outcome(result, self._connection.total_changes != changes_before)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            # A database that cannot even do this answers the same to the next BEGIN.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _translated(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        return translate(error, self._where)


def translate(error: sqlite3.Error, where: str) -> GreenrayError:
    """An SQLite error as NoSpaceLeft or StoreError."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return NoSpaceLeft(
            "no space left to write the journal",
            where,
            "Free some space, or move the state directory to a larger disk",
        )
    return StoreError(f"the journal failed: {error}", where)
