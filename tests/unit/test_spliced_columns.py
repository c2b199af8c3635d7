"""Columns that are slices of a payload's blocks: how they travel, and how they are worked on."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.ports import BlockSlice, Column
from greenray.cluster.on_ray.spliced_columns import SplicedColumn, packed, rows, unpacked
from greenray.protocol.errors import CodingError, InvalidInput

BLOCKS = {"a": np.arange(10, dtype=np.uint8), "b": b"0123456789"}


def sent(*columns: object) -> tuple[list[str], list[bytes]]:
    """What is carried for these columns, and what arrives."""
    carried, recipes = packed(columns)
    arrived = unpacked(recipes, [BLOCKS[ref] for ref in carried])
    return carried, [b"".join(map(bytes, runs)) for runs in arrived]


def test_every_block_is_carried_once_for_all_columns() -> None:
    first = SplicedColumn((BlockSlice("a", 2, 3), BlockSlice("b", 0, 2)))
    second = SplicedColumn((BlockSlice("b", 8, 2), BlockSlice("a", 0, 1)))
    carried, arrived = sent(first, "b", second)
    assert carried == ["a", "b"]
    assert arrived == [b"\x02\x03\x0401", b"0123456789", b"89\x00"]


def test_a_column_that_is_its_own_reference_is_carried_as_it_is() -> None:
    small = np.arange(4, dtype=np.uint8)
    carried, recipes = packed([small, small])
    assert len(carried) == 1
    first, second = unpacked(recipes, carried)
    assert first == (small,)
    assert second == (small,)


def test_a_slice_is_a_view_of_its_block() -> None:
    _, recipes = packed([SplicedColumn((BlockSlice("a", 2, 3),))])
    [[run]] = unpacked(recipes, [BLOCKS["a"]])
    assert np.shares_memory(run, BLOCKS["a"])


def test_blocks_of_other_types_are_their_bytes_and_what_is_none_is_named() -> None:
    numbers = array.array("H", [1, 2, 3])
    recipe = packed([SplicedColumn((BlockSlice("a", 1, 4),))])[1]
    [[run]] = unpacked(recipe, [numbers])
    assert bytes(run) == numbers.tobytes()[1:5]
    with pytest.raises(InvalidInput, match="block 0"):
        unpacked(recipe, ["text"])


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


def test_columns_of_different_sizes_are_refused() -> None:
    with pytest.raises(CodingError, match="different sizes"):
        list(rows([(np.zeros(4, np.uint8),), (np.zeros(2, np.uint8), np.zeros(1, np.uint8))]))
