from __future__ import annotations

from pathlib import Path

import pytest

from greenray.protocol.errors import NoSpaceLeft, StoreError
from greenray.protocol.layout import ColumnLayout
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.naughty import naughty_job_store, naughty_piece_store
from tests.support.protocol_values import PRIMARY

LAYOUT = ColumnLayout(1, 3, 3)


def test_the_planned_call_fails_and_the_others_are_real() -> None:
    store, counter = naughty_piece_store(
        MemoryPieceStore(), {("append", 2): NoSpaceLeft("full"), ("finish", 9): StoreError("no")}
    )
    first, second = store.create(ColumnKey(1), LAYOUT), store.create(ColumnKey(2), LAYOUT)
    first.append([memoryview(b"abc")])
    with pytest.raises(NoSpaceLeft):
        second.append([memoryview(b"abc")])
    first.finish()
    assert (first.size_bytes, second.size_bytes) == (3, 0)
    assert store.read_piece(ColumnKey(1), LAYOUT, 0) == b"abc"
    assert counter.calls["append"] == 2
    assert counter.unused == {("finish", 9)}


async def test_an_answer_is_lost_after_the_call_happened(tmp_path: Path) -> None:
    real = SqliteJobStore.open(tmp_path / "journal.db")
    store, counter = naughty_job_store(real, {("after renew_leases", 1): StoreError("lost")})
    with pytest.raises(StoreError, match="lost"):
        await store.renew_leases("owner", 1.0)
    assert await store.renew_leases("owner", 1.0) == 0
    assert await store.get_job(PRIMARY, 1) is None
    assert counter.unused == set()
    await store.close()
