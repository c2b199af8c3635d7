"""Which objects a scrub comes to: all that journal or stores have anything of, once, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenray.actors.scrubber import walk as walk_module
from greenray.actors.scrubber.walk import WalkedObject, columns_of_one, walk
from greenray.protocol.layout import SEGMENTS, ColumnLayout
from greenray.protocol.scrub import NOTHING_DONE, ScrubOrder, ScrubRun
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey
from greenray.storage.scrub_journal import KeptFinding, ScrubJournal, VisitedObject


class Known(ScrubJournal):
    """A journal that knows these objects, and no more."""

    def __init__(self, object_ids: Collection[int]) -> None:
        self._ids = sorted(object_ids)

    async def known_objects(self, after: int, limit: int) -> tuple[int, ...]:
        return tuple([each for each in self._ids if each > after][:limit])

    async def begin_scrub(self, scrubber: str, order: ScrubOrder) -> ScrubRun:
        raise NotImplementedError

    async def list_scrubs(self, scrubber: str) -> tuple[ScrubRun, ...]:
        raise NotImplementedError

    async def save_scrub(self, run: ScrubRun, visited: tuple[VisitedObject, ...]) -> None:
        raise NotImplementedError

    async def list_findings(
        self, run_id: int | None, after: int, limit: int
    ) -> tuple[KeptFinding, ...]:
        raise NotImplementedError


def _store(columns: Collection[tuple[int, int]]) -> MemoryPieceStore:
    store = MemoryPieceStore()
    for object_id, index in columns:
        writer = store.create(ColumnKey(object_id, index), ColumnLayout(1, 1, 1))
        writer.append([memoryview(b"x")])
        writer.finish()
    store.create(ColumnKey(5, 1), ColumnLayout(1, 1, 1))  # unfinished: nobody's yet
    return store


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def _walked(
    known: Collection[int],
    stores: dict[str, MemoryPieceStore],
    pool: ThreadPoolExecutor,
    after: int = NOTHING_DONE,
) -> list[WalkedObject]:
    return [each async for page in walk(Known(known), stores, after, pool) for each in page]


STORES = {"0xA": _store([(1, SEGMENTS), (3, 0), (12, 2)]), "0xB": _store([(3, 1), (7, SEGMENTS)])}
ALL = [
    WalkedObject(1, (("0xA", SEGMENTS),)),
    WalkedObject(2),
    WalkedObject(3, (("0xA", 0), ("0xB", 1))),
    WalkedObject(7, (("0xB", SEGMENTS),)),
    WalkedObject(9),
    WalkedObject(12, (("0xA", 2),)),
    WalkedObject(20),
]


@pytest.mark.parametrize("page", [1, 2, 3, 256])
async def test_stores_and_journal_are_walked_together(
    page: int, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_module, "_PAGE", page)
    known = [2, 3, 9, 12, 20]
    assert await _walked(known, STORES, pool) == ALL
    assert await _walked(known, STORES, pool, after=3) == ALL[3:]
    assert await _walked(known, STORES, pool, after=2) == ALL[2:]
    assert await _walked(known, STORES, pool, after=20) == []


async def test_either_source_may_be_empty(pool: ThreadPoolExecutor) -> None:
    assert await _walked([], {}, pool) == []
    assert await _walked([4, 5], {}, pool) == [WalkedObject(4), WalkedObject(5)]
    assert [each.object_id for each in await _walked([], STORES, pool)] == [1, 3, 7, 12]


def test_of_one_object_only_its_own_finished_columns_are_listed() -> None:
    assert columns_of_one(STORES, 3) == ALL[2]
    assert columns_of_one(STORES, 5) == WalkedObject(5)
