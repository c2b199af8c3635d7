"""Ray tasks and Ray actors as workers of ``bench ec``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from types import FrameType
from typing import Any

import numpy as np
import ray

from greenray.bench.ec_job import EcJob, EcWorkers, rebuilt, shards_of
from greenray.cluster.on_ray.runtime import check_no_runtime, start_ray, stop_ray
from greenray.coding.buffers import Shard
from greenray.coding.codec import get_codec

_TASKS_PER_WORKER = 1
"""More would run on more cores than there are workers."""
_CALLS_PER_ACTOR = 2
"""One that it works on, and one that waits."""


@contextmanager
def ray_runtime(cpus: int, object_store_bytes: int) -> Iterator[None]:
    """A Ray runtime of our own. Raises AlreadyRunning, SharedMemoryTooSmall, ..."""
    check_no_runtime()
    with _own_signals():
        start_ray(cpus=cpus, object_store_bytes=object_store_bytes, namespace="greenray-bench")
        try:
            _take_signals()
            yield
        finally:
            stop_ray()


# --- signals -------------------------------------------------------------------------------------

_interrupted = threading.Event()
"""An exception that a handler raises inside of Ray's callbacks is lost, so it is kept here too."""
_HANDLERS: dict[int, Callable[[int, FrameType | None], Any]] = {}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray puts handlers of its own in their place, which end us before we can stop it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _interrupted.clear()
    _HANDLERS.update({number: handler for number, handler in before.items() if callable(handler)})
    try:
        yield
    finally:
        _HANDLERS.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_signals() -> None:
    for number in _HANDLERS:
        signal.signal(number, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    _HANDLERS[number](number, frame)


# --- workers -------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _reused_parity(m: int, shard_bytes: int) -> list[Shard]:
    """The same memory for each call of this process: fresh pages cost more than the encoding. What
    is returned has been copied into the object store before the next call begins."""
    return [np.empty(shard_bytes, np.uint8) for _ in range(m)]


def _make(job: EcJob, columns: Sequence[Shard]) -> list[Shard]:
    """The shards that are made of those that are given; each becomes an object of its own."""
    codec = get_codec(job.codec)
    if not job.lost:
        parity = _reused_parity(job.m, columns[0].size)
        codec.encode_into(columns, parity)
        return parity
    given = dict(zip(job.given, columns, strict=True))
    nothing = np.empty(0, np.uint8)
    return rebuilt(job, codec, [given.get(i, nothing) for i in range(job.n)])


@ray.remote(num_cpus=1, max_retries=0)
def _task(job: EcJob, *columns: Shard) -> Any:
    made = _make(job, columns)
    return made if len(made) > 1 else made[0]


@ray.remote(num_cpus=0)
class _Actor:
    def make(self, job: EcJob, *columns: Shard) -> Any:
        made = _make(job, columns)
        return made if len(made) > 1 else made[0]


class RayTasks:
    """A task per segment, on columns in the object store; what it makes goes there as well."""

    name = "ray tasks"

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        call = _task.options(num_returns=len(job.made)).remote
        yield _RayWorkers([call] * workers, _TASKS_PER_WORKER, job, segment)


class RayActors:
    """An actor per worker; it is called with columns in the object store."""

    name = "ray actors"

    def __init__(self) -> None:
        self._actors: list[Any] = []

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        while len(self._actors) < workers:
            self._actors.append(_Actor.remote())  # type: ignore[attr-defined]
        calls = [
            actor.make.options(num_returns=len(job.made)).remote for actor in self._actors[:workers]
        ]
        yield _RayWorkers(calls, _CALLS_PER_ACTOR, job, segment)


class _RayWorkers:
    """Calls are made as others end, so many at a time per worker."""

    def __init__(
        self, calls: Sequence[Callable[..., Any]], in_flight: int, job: EcJob, segment: Shard
    ) -> None:
        shards = shards_of(job, segment)
        self._in_flight = in_flight
        self._calls = [
            partial(call, job, *(ray.put(shards[i]) for i in job.given)) for call in calls
        ]
        self._last: list[Any] = [None] * len(calls)

    def run(self, count: int) -> None:
        left = [count] * len(self._calls)
        running: dict[Any, int] = {}

        def start(worker: int) -> None:
            if left[worker]:
                left[worker] -= 1
                made = self._calls[worker]()
                refs = made if isinstance(made, list) else [made]
                self._last[worker] = refs
                running[refs[-1]] = worker

        for _ in range(self._in_flight):
            for worker in range(len(self._calls)):
                start(worker)
        while running:
            ended, _ = ray.wait(list(running), num_returns=1)
            if _interrupted.is_set():
                raise KeyboardInterrupt
            start(running.pop(ended[0]))

    def made(self) -> Sequence[Sequence[Shard]]:
        return [ray.get(refs) for refs in self._last]
