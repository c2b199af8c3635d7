"""No space left, on a disk that really has none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.protocol.errors import NoSpaceLeft
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import StorageParams
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.protocol_values import HELLO, PRIMARY
from tests.support.small_disk import small_disk

MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 2 * MIB) as mounted:
        if not mounted:
            pytest.skip("mounting a small disk needs root")
        yield tmp_path


def test_a_column_that_does_not_fit_is_removed_by_abort(disk: Path) -> None:
    store = FilePieceStore(disk / "pieces")
    layout = ColumnLayout(4, MIB, MIB)
    writer = store.create(ColumnKey(1), layout)
    writer.append([memoryview(bytes(MIB))])
    with pytest.raises(NoSpaceLeft) as caught:
        writer.append([memoryview(bytes(2 * MIB))])
    assert caught.value.where == str(disk / "pieces/unfinished/s1.a0")
    writer.abort()
    assert not list(store.list_unfinished())
    small = ColumnLayout(1, MIB, MIB)
    writer = store.create(ColumnKey(2), small)
    writer.append([memoryview(bytes(MIB))])
    writer.finish()
    assert [key.object_id for key in store.list_columns()] == [2]


async def test_the_journal_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    disk: Path,
) -> None:
    store = SqliteJobStore.open(disk / "journal.db")
    ballast = disk / "ballast"
    fill(ballast)

    begun: list[int] = []

    async def begin(object_ids: Iterable[int]) -> None:
        for object_id in object_ids:
            info = replace(HELLO, id=object_id, content_type="x" * 3000)
            await store.begin_upload(PRIMARY, info, StorageParams(), 4, "owner", 1.0, 1.0)
            begun.append(object_id)

    with pytest.raises(NoSpaceLeft) as caught:
        await begin(range(1, 10_000))
    assert caught.value.where == str(disk / "journal.db")
    assert [job.object_id for job in await store.list_jobs()] == begun
    ballast.unlink()
    await begin([20_000])
    await store.close()
    store = SqliteJobStore.open(disk / "journal.db")
    assert [job.object_id for job in await store.list_jobs()] == begun
    await store.close()


def fill(ballast: Path) -> None:
    """Leave 64 KiB."""
    status = os.statvfs(ballast.parent)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - 65_536))
