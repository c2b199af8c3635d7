"""Threads, and processes with shared memory, as workers of ``bench ec``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenray.bench.child import Child, Handler, Tell
from greenray.bench.ec_job import EcJob, EcWorkers, perform, shards_of
from greenray.bench.side_by_side import side_by_side
from greenray.coding.buffers import Shard
from greenray.coding.codec import get_codec


class Threads:
    """All in one process; the codecs let go of Python's lock while they work."""

    name = "threads"
    batch_segments = None

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        shards = [shards_of(job, segment) for _ in range(workers)]
        tasks = [partial(perform, job, get_codec(job.codec), own) for own in shards]
        with side_by_side(tasks) as run:
            yield _ThreadWorkers(run, job, shards)


@dataclass(frozen=True, slots=True)
class _ThreadWorkers:
    run: Callable[[int], None]
    job: EcJob
    shards: Sequence[NDArray[np.uint8]]

    def made(self) -> Sequence[Sequence[Shard]]:
        return [[own[i] for i in self.job.made] for own in self.shards]


# --- processes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Task:
    """``count`` times ``job`` on the shards in the shared memory of that name."""

    job: EcJob
    memory_name: str
    shard_bytes: int
    count: int


class Processes:
    """Plain processes on shared memory; only the order to start, and its end, is sent."""

    name = "processes"
    batch_segments = None

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children

    @classmethod
    @contextmanager
    def started(cls, workers: int, root: Path) -> Iterator[Processes]:
        with ExitStack() as stack:
            started = [
                Child(f"ec-{i}", ec_service, log_file=root / f"ec-{i}.log") for i in range(workers)
            ]
            yield cls([stack.enter_context(child) for child in started])

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        shards = shards_of(job, segment)
        memories = [SharedMemory(create=True, size=shards.nbytes) for _ in range(workers)]
        try:
            for memory in memories:
                _array(memory, shards.shape)[:] = shards
            yield _ProcessWorkers(self._children[:workers], job, memories, shards.shape)
        finally:
            for memory in memories:
                memory.close()
                memory.unlink()


class _ProcessWorkers:
    def __init__(
        self,
        children: Sequence[Child],
        job: EcJob,
        memories: Sequence[SharedMemory],
        shape: tuple[int, ...],
    ) -> None:
        self._children = children
        self._job = job
        self._memories = memories
        self._shape = shape

    def run(self, count: int) -> None:
        for child, memory in zip(self._children, self._memories, strict=True):
            child.send(_Task(self._job, memory.name, self._shape[1], count))
        for child in self._children:
            child.receive()

    def made(self) -> Sequence[Sequence[Shard]]:
        return [
            [_array(memory, self._shape)[i].copy() for i in self._job.made]
            for memory in self._memories
        ]


@asynccontextmanager
async def ec_service() -> AsyncIterator[Handler]:
    """One worker process; it keeps the memory that it was last told of."""
    kept: dict[str, SharedMemory] = {}

    async def handle(task: _Task, tell: Tell) -> None:
        if task.memory_name not in kept:
            _close_all(kept)
            kept[task.memory_name] = SharedMemory(task.memory_name)
        codec = get_codec(task.job.codec)
        shards = _array(kept[task.memory_name], (task.job.n, task.shard_bytes))
        for _ in range(task.count):
            perform(task.job, codec, shards)

    try:
        yield handle
    finally:
        _close_all(kept)


def _close_all(kept: dict[str, SharedMemory]) -> None:
    for memory in kept.values():
        memory.close()
    kept.clear()


def _array(memory: SharedMemory, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    assert memory.buf is not None  # only a closed one has none
    return np.frombuffer(memory.buf, np.uint8, count=shape[0] * shape[1]).reshape(shape)
