"""Columns that are slices of the blocks of a payload, which lie in the object store already.

Nothing is copied to make such a column. It travels as its blocks, which Ray carries once for all
columns of a call, and a *recipe*: which slices of them it is made of. Whoever receives it works on
the slices where they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from greenray.actors.uploader.payload_source import block_bytes
from greenray.protocol.errors import CodingError

if TYPE_CHECKING:
    from greenray.actors.ports import BlockSlice, Column, ColumnRef, ColumnRuns


@dataclass(frozen=True, slots=True)
class SplicedColumn:
    """The concatenation of ``slices``."""

    slices: tuple[BlockSlice, ...]


Recipe = tuple[tuple[int, int, int], ...] | int
"""Slices as (which of what is carried, offset, size in bytes), or a whole column of what is
carried."""


def packed(columns: Sequence[ColumnRef]) -> tuple[list[Any], list[Recipe]]:
    """What has to be carried for these columns, each reference once, and the recipe of each."""
    carried: list[Any] = []
    places: dict[Any, int] = {}

    def place(ref: Any) -> int:
        key = ref if isinstance(ref, Hashable) else id(ref)
        if key not in places:
            places[key] = len(carried)
            carried.append(ref)
        return places[key]

    recipes: list[Recipe] = [
        tuple((place(s.block), s.offset_bytes, s.size_bytes) for s in column.slices)
        if isinstance(column, SplicedColumn)
        else place(column)
        for column in columns
    ]
    return carried, recipes


def unpacked(recipes: Iterable[Recipe], carried: Sequence[Any]) -> list[ColumnRuns]:
    """The columns, in the runs of memory that they lie in."""
    return [_runs(recipe, carried) for recipe in recipes]


def _runs(recipe: Recipe, carried: Sequence[Any]) -> ColumnRuns:
    if isinstance(recipe, int):
        return (carried[recipe],)
    return tuple(
        _as_array(carried[index], index)[offset : offset + size] for index, offset, size in recipe
    )


def _as_array(block: object, index: int) -> Column:
    """A block of a payload, whatever it is, as flat bytes. Raises InvalidInput."""
    return np.frombuffer(block_bytes(block, f"block {index}"), dtype=np.uint8)


def rows(columns: Sequence[ColumnRuns]) -> Iterator[tuple[int, int, list[Column]]]:
    """Columns of one size cut where any of their runs ends: (start, stop, the slice of each), so
    that every slice is one run of memory. Raises CodingError for columns of different sizes."""
    bounds = {0}
    for runs in columns:
        bounds.update(accumulate(run.size for run in runs))
    for start, stop in pairwise(sorted(bounds)):
        yield start, stop, [_within(runs, start, stop) for runs in columns]


def _within(runs: ColumnRuns, start: int, stop: int) -> Column:
    for run in runs:
        if start < run.size:
            return run[start:stop]
        start, stop = start - run.size, stop - run.size
    raise CodingError("the columns have different sizes", "encode")
