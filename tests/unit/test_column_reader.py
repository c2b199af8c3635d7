"""Reading columns in runs: every piece has its checksum, or its damage, whatever run it is in."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from greenray.actors.credit.throttle import Throttle
from greenray.actors.scrubber import column_reader
from greenray.actors.scrubber.column_reader import ColumnReader
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.scrub import DamageKind
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey

PIECE_BYTES = 1000
KEY = ColumnKey(7, 2)


def _column(pieces: int, last_bytes: int) -> tuple[ColumnLayout, bytes, list[bytes]]:
    layout = ColumnLayout(pieces, PIECE_BYTES, last_bytes)
    content = random.Random(pieces).randbytes(layout.size_bytes)
    parts = [content[i : i + PIECE_BYTES] for i in range(0, len(content), PIECE_BYTES)]
    return layout, content, [sha256(part).digest() for part in parts]


def _stored(content: bytes) -> MemoryPieceStore:
    store = MemoryPieceStore()
    writer = store.create(KEY, ColumnLayout(1, len(content), len(content)))
    writer.append([memoryview(content)])
    writer.finish()
    return store


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three pieces."""
    monkeypatch.setattr(column_reader, "_RUN_BYTES", 3 * PIECE_BYTES)


@pytest.fixture
async def reader() -> AsyncIterator[ColumnReader]:
    with ThreadPoolExecutor(2) as pool:
        yield ColumnReader(pool, Throttle(lambda: 0))


@pytest.mark.parametrize(
    ("pieces", "last_bytes"), [(1, 1), (1, PIECE_BYTES), (3, 7), (4, 7), (9, PIECE_BYTES), (10, 1)]
)
async def test_all_pieces_have_their_checksums(
    reader: ColumnReader, pieces: int, last_bytes: int
) -> None:
    layout, content, checksums = _column(pieces, last_bytes)
    for _ in range(2):  # memory is used again
        assert [*await reader.read(_stored(content), KEY, layout)] == checksums


@pytest.mark.parametrize("kept_bytes", [0, 1, 2999, 3000, 4500, 9000])
async def test_a_column_that_ends_early_is_short_from_there_on(
    reader: ColumnReader, kept_bytes: int
) -> None:
    layout, content, checksums = _column(10, 17)
    whole = kept_bytes // PIECE_BYTES
    store = MemoryPieceStore()
    writer = store.create(KEY, ColumnLayout(1, max(kept_bytes, 1), max(kept_bytes, 1)))
    writer.append([memoryview(content[: max(kept_bytes, 1)])])
    writer.finish()
    found = await reader.read(store, KEY, layout)
    assert [*found] == [*checksums[:whole], *([DamageKind.SHORT] * (10 - whole))]


async def test_a_column_that_is_not_there_is_missing(reader: ColumnReader) -> None:
    layout, _, _ = _column(5, 9)
    found = await reader.read(MemoryPieceStore(), KEY, layout)
    assert found == (DamageKind.MISSING,) * 5
