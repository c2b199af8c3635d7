"""Columns in Ray's object store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import ray
from ray import exceptions as ray_errors

from greenray.cluster.on_ray.lent_columns import LentColumn
from greenray.cluster.on_ray.placing import Placing
from greenray.cluster.on_ray.spliced_columns import SplicedColumn, packed, unpacked
from greenray.cluster.on_ray.translation import translate

if TYPE_CHECKING:
    from greenray.actors.ports import BlockSlice, Column, ColumnRef

SMALL_COLUMN_BYTES = 64 * 1024
"""Columns up to this size are not worth a place in the object store: they are their own references
and travel inside the calls that name them."""


class RayObjectSpace:
    """Implements ``greenray.actors.ports.ObjectSpace`` in Ray's object store. What is put dies with
    the process that put it."""

    def __init__(self) -> None:
        self.placing = Placing()

    async def put(self, column: Column) -> ColumnRef:
        if column.nbytes <= SMALL_COLUMN_BYTES:
            small = column.copy()
            small.flags.writeable = False
            return small
        try:
            return await asyncio.to_thread(self._put, column)
        except ray_errors.RayError as error:
            raise translate(error, "object store") from None

    def _put(self, column: Column) -> ColumnRef:
        placed = self.placing.placed(column.data)
        ref: Any = ray.put(placed)
        self.placing.learn(placed, ray.get(ref))
        return ref

    async def get(self, ref: ColumnRef) -> Column:
        if isinstance(ref, np.ndarray):
            return ref
        if isinstance(ref, SplicedColumn):
            return await self._joined(ref)
        try:
            if isinstance(ref, LentColumn):
                await ref.made
                # A copy, because whoever sends it may have it for longer than the reference.
                return await asyncio.to_thread(ref.loan.column(ref.index).copy)
            return cast("Column", await ref)
        except ray_errors.RayError as error:
            raise translate(error, "object store") from None

    async def splice(self, slices: Sequence[BlockSlice]) -> ColumnRef:
        column = SplicedColumn(tuple(slices))
        small = sum(part.size_bytes for part in slices) <= SMALL_COLUMN_BYTES
        return await self._joined(column) if small else column

    async def _joined(self, column: SplicedColumn) -> Column:
        carried, recipes = packed([column])
        [runs] = unpacked(recipes, await asyncio.gather(*map(self.get, carried)))
        return np.concatenate(runs)
