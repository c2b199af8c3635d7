"""Columns as Ray is given them: their bytes, and where they come to lie."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.ports import Column
from greenray.cluster.on_ray.placing import PlacedBytes, Placing
from greenray.storage.direct_io import address_of

PAGE_BYTES = 4096


@given(size_bytes=st.integers(0, 3 * PAGE_BYTES), lead_bytes=st.integers(0, 511))
def test_a_placed_column_fills_whole_pages_and_comes_back_without_its_gaps(
    size_bytes: int, lead_bytes: int
) -> None:
    column = np.arange(size_bytes, dtype=np.uint8)
    buffers: list[pickle.PickleBuffer] = []
    placed = pickle.dumps(
        PlacedBytes(column.data, lead_bytes), protocol=5, buffer_callback=buffers.append
    )
    lead, body, trail = (buffer.raw().nbytes for buffer in buffers)
    assert lead == lead_bytes
    rounded = lead + body + -(lead + body) % 64  # as Ray does behind the column
    assert (rounded + trail + 256) % PAGE_BYTES == 0
    back = pickle.loads(placed, buffers=[buffer.raw().toreadonly() for buffer in buffers])
    assert np.array_equal(back, column)
    assert not back.flags.writeable


def stored_at(offset_bytes: int) -> Column:
    """A column whose address is ``offset_bytes`` behind a multiple of 512."""
    memory = np.zeros(2048, dtype=np.uint8)
    start = -address_of(memory.data) % 512 + offset_bytes
    return memory[start : start + 100]


@pytest.mark.parametrize("off_bytes", [0, 64, 320, 448])
def test_the_gap_is_what_would_have_put_the_last_bytes_in_their_place(off_bytes: int) -> None:
    placing = Placing()
    placed = placing.placed(memoryview(b"bytes"))
    for _ in range(3):  # several were under way with the same gap
        placing.learn(placed, stored_at(off_bytes))
        assert (placed.lead_bytes - placing.lead_bytes - off_bytes) % 512 == 0
        assert 0 <= placing.lead_bytes < 512


@pytest.mark.parametrize("stored", [stored_at(100), stored_at(0)[:0]], ids=["odd", "empty"])
def test_bytes_that_no_gap_would_help_change_nothing(stored: Column) -> None:
    placing = Placing()
    placing.learn(placing.placed(memoryview(b"bytes")), stored)
    assert placing.lead_bytes == Placing().lead_bytes
