"""Columns that are slices of a payload's blocks: how they travel, and how they are worked on."""

from __future__ import annotations

import array

import numpy as np
import pytest

from greenray.actors.ports import BlockSlice
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


def test_columns_of_different_sizes_are_refused() -> None:
    with pytest.raises(CodingError, match="different sizes"):
        list(rows([(np.zeros(4, np.uint8),), (np.zeros(2, np.uint8), np.zeros(1, np.uint8))]))
