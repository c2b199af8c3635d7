"""The floor does the work of an upload, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from greenray.bench.floor import FloorSetup, FloorWorker, Share, joined, shares_of
from greenray.coding.checksums import hash_payload
from greenray.coding.codec import get_codec
from greenray.coding.segments import encode_segment
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey

SEGMENT = 40_000


@contextmanager
def floor_worker(tmp_path: Path, payload: bytes, k: int, m: int) -> Iterator[FloorWorker]:
    source = tmp_path / "payload"
    source.write_bytes(payload)
    worker = FloorWorker(FloorSetup(source, tmp_path / "floor", SEGMENT, k, m, "auto", False))
    try:
        yield worker
    finally:
        worker.close()


@pytest.mark.parametrize(("k", "m"), [(4, 2), (3, 1), (1, 0), (7, 3)])
@pytest.mark.parametrize("size_bytes", [1, 39_999, SEGMENT, 5 * SEGMENT, 6 * SEGMENT + 12_347])
def test_floor_has_the_checksums_of_the_payload(
    tmp_path: Path, size_bytes: int, k: int, m: int
) -> None:
    payload = random.Random(size_bytes).randbytes(size_bytes)
    with floor_worker(tmp_path, payload, k, m) as worker:
        found = joined([worker.store(s) for s in shares_of(size_bytes, SEGMENT, 3, 1)])
    expected = hash_payload(BytesIO(payload), SEGMENT, k, m, get_codec())
    assert found.segments == expected.segment_checksums
    assert found.pieces == expected.piece_checksums


def test_floor_stores_the_segments_and_every_piece(tmp_path: Path) -> None:
    payload = random.Random(1).randbytes(3 * SEGMENT + 1234)
    with floor_worker(tmp_path, payload, 4, 2) as worker:
        worker.store(Share(9, 0, len(payload)))
    layout = PayloadLayout(len(payload), SEGMENT, 4, 2)
    for segment in range(4):
        part = payload[segment * SEGMENT : (segment + 1) * SEGMENT]
        pieces = [part, *(shard.tobytes() for shard in encode_segment(part, 4, 2, get_codec()))]
        for index, piece in enumerate(pieces, SEGMENTS):
            store = FilePieceStore(tmp_path / "floor" / f"sp{index}")
            assert store.read_piece(ColumnKey(9, index), layout.column(index), segment) == piece


def test_floor_removes_what_it_stored(tmp_path: Path) -> None:
    with floor_worker(tmp_path, bytes(SEGMENT), 4, 2) as worker:
        worker.store(Share(9, 0, SEGMENT))
        worker.remove(9)
    assert list(FilePieceStore(tmp_path / "floor" / "sp0").list_columns()) == []


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("size_bytes", [1, 100, 101, 799, 800])
def test_shares_cover_the_payload_in_whole_segments(size_bytes: int, workers: int) -> None:
    shares = shares_of(size_bytes, 100, workers, 5)
    assert [share.object_id for share in shares] == list(range(5, 5 + len(shares)))
    position = 0
    for share in shares:
        assert share.offset == position
        assert share.size_bytes > 0
        position += share.size_bytes
    assert position == size_bytes
    assert all(share.offset % 100 == 0 for share in shares)
    segments = [-(-share.size_bytes // 100) for share in shares]
    assert max(segments) - min(segments) <= 1
    assert len(shares) == min(workers, -(-size_bytes // 100))
