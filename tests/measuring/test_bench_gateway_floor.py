"""The gateway's floor stores what it receives, and gives back what it stored."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import pytest

from greenray.bench.gateway_floor import (
    GatewayFloor,
    GatewayFloorSetup,
)
from greenray.protocol.errors import IntegrityHashMismatch, PayloadSizeMismatch
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey

SEGMENT = 70_000


def setup_of(root: Path, size_bytes: int) -> GatewayFloorSetup:
    return GatewayFloorSetup(root, PayloadLayout(size_bytes, SEGMENT, 4, 2), durable=True)


def given_back(floor: GatewayFloor) -> bytes:
    sent = BytesIO()
    floor.get(sent.write)
    return sent.getvalue()


@pytest.mark.parametrize("size_bytes", [1, SEGMENT, 9 * SEGMENT + 1234])
def test_floor_gives_back_what_was_put_and_removes_it(tmp_path: Path, size_bytes: int) -> None:
    payload = random.Random(size_bytes).randbytes(size_bytes)
    setup = setup_of(tmp_path, size_bytes)
    floor = GatewayFloor(setup)
    floor.put(BytesIO(payload).readinto)
    assert given_back(floor) == payload
    floor.lay_out_pieces()
    rebuilt = BytesIO()
    floor.get_rebuilt(rebuilt.write)
    assert rebuilt.getvalue() == payload
    stored, column = FilePieceStore(tmp_path), setup.layout.column(SEGMENTS)
    assert stored.read_piece(ColumnKey(1, SEGMENTS), column, 0) == payload[:SEGMENT]
    floor.remove()
    assert list(stored.list_columns()) == []
    floor.close()


def test_floor_hashes_what_it_reads(tmp_path: Path) -> None:
    floor = GatewayFloor(setup_of(tmp_path, SEGMENT))
    floor.put(BytesIO(bytes(SEGMENT)).readinto)
    [column] = [path for path in tmp_path.rglob("*") if path.is_file()]
    column.write_bytes(b"x" * SEGMENT)
    with pytest.raises(IntegrityHashMismatch):
        given_back(floor)
    floor.close()


def test_floor_takes_no_body_that_is_too_short(tmp_path: Path) -> None:
    floor = GatewayFloor(setup_of(tmp_path, 2 * SEGMENT))
    with pytest.raises(PayloadSizeMismatch):
        floor.put(BytesIO(bytes(SEGMENT + 1)).readinto)
    floor.close()
