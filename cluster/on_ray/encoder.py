"""Encode tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray import exceptions as ray_errors

from greenray.cluster.on_ray.lent_columns import ColumnLoan, LentColumn, LoanName, ParityMemory
from greenray.cluster.on_ray.placing import PlacedBytes, Placing
from greenray.cluster.on_ray.spliced_columns import Recipe, packed, rows, unpacked
from greenray.cluster.on_ray.translation import translate
from greenray.cluster.on_ray.worker_process import settle, work_behind_uploads
from greenray.timeline.stage_trace import Stopwatch, WorkTime

if TYPE_CHECKING:
    from greenray.actors.ports import Column, ColumnRef, ColumnRuns

log = logging.getLogger(__name__)

_ENCODE_CPUS = 0.98
"""A little less than one: the actors hold some thousandths of the CPUs (``on_ray.hosts``), and what
asks for a whole one would run on all but one of them, and on a machine with a single one never."""


class _EncodeProcess:
    """What an encode task finds in its process."""

    def __init__(self, codec_name: str) -> None:
        from greenray.coding.codec import get_codec  # only encode tasks need it

        self._codec = get_codec(codec_name)
        self._memory = np.empty(0, dtype=np.uint8)
        work_behind_uploads()
        settle()

    def encode(self, data: Sequence[ColumnRuns], m: int) -> list[Column]:
        """The parity is in memory that the next call uses again, because fresh pages cost more
        than the encoding: Ray has copied a task's result before it starts the next."""
        size_bytes = sum(run.size for run in data[0])
        if self._memory.size < m * size_bytes:
            self._memory = np.empty(m * size_bytes, dtype=np.uint8)
        parity = [self._memory[p * size_bytes : (p + 1) * size_bytes] for p in range(m)]
        self.encode_into(data, parity)
        return parity

    def encode_into(self, data: Sequence[ColumnRuns], parity: Sequence[Column]) -> None:
        for start, stop, slices in rows(data):
            self._codec.encode_into(slices, [column[start:stop] for column in parity])


_encode_process = cache(_EncodeProcess)


def encode_columns(
    codec_name: str, m: int, place: int | LoanName, recipes: Sequence[Recipe], *carried: Any
) -> Any:
    """The m parity columns, in the object store behind a gap of ``place`` bytes, and when they were
    made; or only that, with the columns in what was lent for them."""
    process = _encode_process(codec_name)
    watch = Stopwatch.start()
    data = unpacked(recipes, carried)
    if isinstance(place, LoanName):
        process.encode_into(data, place.opened())
        return watch.read()
    parity = process.encode(data, m)
    return *(PlacedBytes(column.data, place) for column in parity), watch.read()


async def _tell(
    work: Awaitable[WorkTime], loan: ColumnLoan | None, on_encoded: Callable[[WorkTime], None]
) -> None:
    """``loan``: of the memory that the task writes to; it does not end before the task."""
    try:
        on_encoded(await work)
    except ray_errors.RayError as error:
        log.debug("an encode task did not tell when it worked: %s", error)
        if loan is not None:
            loan.give_up(translate(error, "encode"))


class RayEncoder:
    """One Ray task per batch; Ray places it where the columns are. Small columns, which are where
    they are named, are encoded on the spot."""

    def __init__(self, codec_name: str, placing: Placing, parity_bytes: int = 0) -> None:
        """``placing``: of the space that the data columns are put into. ``parity_bytes``: of memory
        that parity is made in, for readers on this machine; what finds no room goes to the object
        store."""
        from greenray.coding.codec import get_codec  # only who encodes needs it

        self._placing = placing
        self._memory = ParityMemory(parity_bytes)
        self._codec_name = codec_name
        self._codec = get_codec(codec_name)
        self._task = ray.remote(num_cpus=_ENCODE_CPUS)(encode_columns)
        self._warming: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    async def encode(
        self,
        data: tuple[ColumnRef, ...],
        m: int,
        on_encoded: Callable[[WorkTime], None],
        *,
        column_size_bytes: int,
    ) -> tuple[ColumnRef, ...]:
        if m == 0:
            return ()
        if all(isinstance(column, np.ndarray) for column in data):
            watch = Stopwatch.start()
            small = tuple(self._codec.encode(data, m))
            on_encoded(watch.read())
            return small
        loan = self._memory.lend(m, column_size_bytes)
        carried, recipes = packed(data)
        parity: Sequence[ColumnRef]
        if loan is None:
            task = self._task.options(num_returns=m + 1)
            place = self._placing.lead_bytes
            *parity, work = task.remote(self._codec_name, m, place, recipes, *carried)
        else:
            work = self._task.remote(self._codec_name, m, loan.name, recipes, *carried)
            parity = [LentColumn(loan, index, work) for index in range(m)]
        telling = asyncio.create_task(_tell(work, loan, on_encoded))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
        # Not awaited: who receives a parity column waits for it, and sees its failure.
        return tuple(parity)

    async def warm_up(self) -> None:
        # Kept, because the event loop holds its tasks only weakly.
        self._warming = asyncio.create_task(self._start_processes())

    async def _start_processes(self) -> None:
        """One on each core. Ray starts a process for the first task and one more, for those that
        may follow; had they come at once, it would have started another for the second of them,
        and two cores kept three processes."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = int(resources.get("CPU", 1))
        tiny = np.zeros(64, dtype=np.uint8)
        try:
            for together in (1, cpus):
                tasks = [
                    self._task.remote(self._codec_name, 1, 0, [0], tiny) for _ in range(together)
                ]
                await asyncio.gather(*tasks)
        except ray_errors.RayError as error:
            log.debug("an encode task that warms up failed: %s", error)
