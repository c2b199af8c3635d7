"""Columns on their way through Ray keep their bytes, whatever their sizes and cuts."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.ports import Column
from greenray.cluster.on_ray.placing import PlacedBytes
from greenray.cluster.on_ray.spliced_columns import rows

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


def cut(column: Column, cuts: list[int]) -> tuple[Column, ...]:
    return tuple(np.split(column, sorted(c % (column.size + 1) for c in cuts)))


@given(
    size_bytes=st.integers(0, 60),
    cuts=st.lists(st.lists(st.integers(0, 60), max_size=4), min_size=1, max_size=5),
)
def test_rows_cover_columns_however_they_are_cut(size_bytes: int, cuts: list[list[int]]) -> None:
    columns = [np.arange(size_bytes, dtype=np.uint8) + j for j in range(len(cuts))]
    end = 0
    for start, stop, slices in rows(
        [cut(c, where) for c, where in zip(columns, cuts, strict=True)]
    ):
        assert start == end < stop
        end = stop
        for found, column in zip(slices, columns, strict=True):
            assert np.array_equal(found, column[start:stop])
    assert end == size_bytes
