"""Fault points cost nothing in production, and pass on what goes wrong behind them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from greenray.protocol.errors import ComponentUnavailable, JournalFull, NoSpaceLeft
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import StorageParams
from greenray.seam.fault_points import (
    NO_FAULTS,
    FaultPoint,
    FaultPoints,
    clock_through,
    store_through,
)
from greenray.seam.finder import LocalFinder, PortName
from greenray.seam.travel import alone
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey, PieceStore
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.protocol_values import HELLO, PRIMARY

T = TypeVar("T")

LAYOUT = ColumnLayout(1, 5, 5)
KEY = ColumnKey(7)


class OneFault(FaultPoints):
    """At one point, whoever passes it: an error, or another value. Remembers all passings."""

    def __init__(self, point: FaultPoint, where: str, fault: Any) -> None:
        self._at = (point, where)
        self._fault = fault
        self.passed: list[tuple[FaultPoint, str]] = []

    def reach(self, point: FaultPoint, where: str, value: T) -> T:
        self.passed.append((point, where))
        if (point, where) != self._at:
            return value
        if isinstance(self._fault, Exception):
            raise self._fault
        changed: T = self._fault(value)
        return changed

    async def pass_(self, point: FaultPoint, where: str, value: T) -> T:
        return self.reach(point, where, value)


class Asks(Protocol):
    @alone
    async def ask(self) -> int: ...


class Actor:
    asked = 0

    async def ask(self) -> int:
        self.asked += 1
        return self.asked


ACTOR = PortName("actor-0", Asks)


def test_without_faults_stores_and_clocks_are_what_they_were(tmp_path: Path) -> None:
    store = FilePieceStore(tmp_path)
    assert store_through(store, NO_FAULTS) is store
    assert clock_through(NO_FAULTS) is time.time


async def test_a_call_that_is_lost_on_its_way_is_not_made() -> None:
    actor = Actor()
    points = OneFault(FaultPoint.CALL_SENT, "actor-0.ask", ComponentUnavailable("lost"))
    with pytest.raises(ComponentUnavailable, match="lost"):
        await LocalFinder({"actor-0": actor}, points).find(ACTOR).ask()
    assert actor.asked == 0


async def test_a_call_whose_answer_is_lost_or_changed_was_made() -> None:
    actor = Actor()
    points = OneFault(FaultPoint.CALL_ANSWERED, "actor-0.ask", ComponentUnavailable("lost"))
    with pytest.raises(ComponentUnavailable, match="lost"):
        await LocalFinder({"actor-0": actor}, points).find(ACTOR).ask()
    assert actor.asked == 1
    points = OneFault(FaultPoint.CALL_ANSWERED, "actor-0.ask", lambda answer: answer + 100)
    assert await LocalFinder({"actor-0": actor}, points).find(ACTOR).ask() == 102


def test_a_store_and_its_writers_pass_before_and_after_each_call(tmp_path: Path) -> None:
    points = OneFault(FaultPoint.STORE_CALLED, "finish", NoSpaceLeft("full"))
    store: PieceStore = store_through(FilePieceStore(tmp_path), points)
    writer = store.create(KEY, LAYOUT)
    writer.append([memoryview(b"hello")])
    assert writer.size_bytes == 5
    with pytest.raises(NoSpaceLeft, match="full"):
        writer.finish()
    assert not store.exists(KEY)
    assert [where for point, where in points.passed if point is FaultPoint.STORE_RETURNED] == [
        "create",
        "append",
        "exists",
    ]


def test_what_is_read_can_be_changed_where_it_lies(tmp_path: Path) -> None:
    def flip(returned: Any) -> Any:
        (*_, buffers), _ = returned
        buffers[0][0] ^= 1
        return returned

    points = OneFault(FaultPoint.STORE_RETURNED, "read_into", flip)
    store: PieceStore = store_through(FilePieceStore(tmp_path), points)
    writer = store.create(KEY, LAYOUT)
    writer.append([memoryview(b"hello")])
    writer.finish()
    buffer = bytearray(5)
    store.read_into(KEY, LAYOUT, 0, [memoryview(buffer)])
    assert bytes(buffer) == b"iello"


def test_a_clock_can_be_wrong() -> None:
    points = OneFault(FaultPoint.CLOCK_READ, "clock", lambda now_s: now_s + 3600)
    assert clock_through(points)() - time.time() > 3000


async def _begin_upload(store: SqliteJobStore) -> None:
    await store.begin_upload(PRIMARY, HELLO, StorageParams(), 4, "owner", 1.0, 1.0)


async def test_what_goes_wrong_before_a_commit_leaves_nothing_in_the_journal(
    tmp_path: Path,
) -> None:
    where = f"begin_upload {HELLO.id}"
    points = OneFault(FaultPoint.COMMIT_BEGUN, where, JournalFull("full"))
    store = SqliteJobStore.open(tmp_path / "jobs.sqlite", fault_points=points)
    with pytest.raises(JournalFull, match="full"):
        await _begin_upload(store)
    assert await store.list_jobs() == ()
    await store.close()


async def test_what_goes_wrong_after_a_commit_loses_only_its_answer(tmp_path: Path) -> None:
    where = f"begin_upload {HELLO.id}"
    points = OneFault(FaultPoint.COMMIT_DONE, where, JournalFull("full"))
    store = SqliteJobStore.open(tmp_path / "jobs.sqlite", fault_points=points)
    with pytest.raises(JournalFull, match="full"):
        await _begin_upload(store)
    assert len(await store.list_jobs()) == 1
    await store.close()
