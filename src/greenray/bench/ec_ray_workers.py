"""Ray tasks and Ray actors as workers of ``bench ec``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from types import FrameType
from typing import Any

import numpy as np
import ray

from greenray.bench.ec_job import EcJob, EcWorkers, make_into, segments_of, shards_of
from greenray.cluster.on_ray.runtime import check_no_runtime, start_ray, stop_ray
from greenray.cluster.on_ray.shared_block import BlockName, SharedBlock, opened_block
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
def _reused_memory(count: int, size_bytes: int) -> list[Shard]:
    """The same memory for each call of this process: fresh pages cost more than the encoding. What
    is returned has been copied into the object store before the next call begins."""
    return [np.empty(size_bytes, np.uint8) for _ in range(count)]


def _make(job: EcJob, columns: Sequence[Shard]) -> list[Shard]:
    """The columns that are made of those that are given; each becomes an object of its own."""
    made = _reused_memory(len(job.made), columns[0].size)
    make_into(job, get_codec(job.codec), columns, made)
    return made


def _make_in(block: BlockName, job: EcJob, columns: Sequence[Shard]) -> None:
    made = opened_block(block, writable=True).reshape(len(job.made), -1)
    make_into(job, get_codec(job.codec), columns, list(made))


@ray.remote(num_cpus=1, max_retries=0)
def _task(job: EcJob, *columns: Shard) -> Any:
    made = _make(job, columns)
    return made if len(made) > 1 else made[0]


@ray.remote(num_cpus=1, max_retries=0)
def _shared_task(block: BlockName, job: EcJob, *columns: Shard) -> None:
    _make_in(block, job, columns)


@ray.remote(num_cpus=0)
class _Actor:
    """``make`` and ``make_in`` are the work; the others are steps of it."""

    def make(self, job: EcJob, *columns: Shard) -> Any:
        made = _make(job, columns)
        return made if len(made) > 1 else made[0]

    def make_in(self, block: BlockName, job: EcJob, *columns: Shard) -> None:
        _make_in(block, job, columns)

    def nothing(self) -> None:
        """A call as such."""

    def take(self, *columns: Shard) -> None:
        """A call whose columns are found in the object store."""

    def give(self, count: int, size_bytes: int) -> Any:
        """A call whose results go into the object store."""
        return _reused_memory(count, size_bytes)


class RayTasks:
    """A task per segment, or per batch, on columns in the object store; what it makes goes there
    as well, as a copy."""

    def __init__(self, name: str, on_ray: OnRay, batch_segments: int | None = None) -> None:
        self.name = name
        self._on_ray = on_ray
        self.batch_segments = batch_segments

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        call = _task.options(num_returns=len(job.made)).remote
        batch_segments = self.batch_segments or 1
        yield _RayWorkers(
            _stored_calls(
                [call] * workers,
                self._on_ray.columns(job, segment, batch_segments),
                _TASKS_PER_WORKER,
                job,
            ),
            batch_segments,
        )


class RayActors:
    """An actor per worker; it is called with columns in the object store."""

    name = "ray actors"
    batch_segments = None

    def __init__(self, on_ray: OnRay) -> None:
        self._on_ray = on_ray

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        calls = [
            actor.make.options(num_returns=len(job.made)).remote
            for actor in self._on_ray.actors(workers)
        ]
        columns = self._on_ray.columns(job, segment, 1)
        yield _RayWorkers(_stored_calls(calls, columns, _CALLS_PER_ACTOR, job), 1)


class RaySharedTasks:
    """A task per batch, on columns in the object store; what it makes goes into shared memory that
    is used again for the next one."""

    name = "ray shared tasks"

    def __init__(self, on_ray: OnRay, batch_segments: int) -> None:
        self._on_ray = on_ray
        self.batch_segments = batch_segments

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        columns = self._on_ray.columns(job, segment, self.batch_segments)
        calls = [_shared_task.remote] * workers
        with _shared_calls(calls, columns, _TASKS_PER_WORKER, job) as shared:
            yield _RayWorkers(shared, self.batch_segments)


class RaySharedActors:
    """The same with an actor per worker."""

    name = "ray shared actors"

    def __init__(self, on_ray: OnRay, batch_segments: int) -> None:
        self._on_ray = on_ray
        self.batch_segments = batch_segments

    @contextmanager
    def hired(self, job: EcJob, segment: Shard, workers: int) -> Iterator[EcWorkers]:
        columns = self._on_ray.columns(job, segment, self.batch_segments)
        calls = [actor.make_in.remote for actor in self._on_ray.actors(workers)]
        with _shared_calls(calls, columns, _CALLS_PER_ACTOR, job) as shared:
            yield _RayWorkers(shared, self.batch_segments)


@dataclass(frozen=True, slots=True)
class Columns:
    """What a call is given, in the object store: all of the same size."""

    references: Sequence[Any]
    size_bytes: int


class OnRay:
    """What kinds of workers and codecs that are compared share. Workers of one kind each have
    actors and columns of their own."""

    def __init__(self) -> None:
        self._actors: list[Any] = []
        self._work: tuple[Any, ...] = ()
        self._columns: dict[int, list[Columns]] = {}

    def actors(self, count: int) -> list[Any]:
        """Started once, and only as many as are needed."""
        while len(self._actors) < count:
            self._actors.append(_Actor.remote())  # type: ignore[attr-defined]
        return self._actors[:count]

    def columns(self, job: EcJob, segment: Shard, batch_segments: int) -> Iterator[Columns]:
        """Of one worker after the other, without end; those of other work are let go."""
        work = (job.k, job.m, job.lost, segment.size)
        if work != self._work:
            self._work = work
            self._columns.clear()
        own = self._columns.setdefault(batch_segments, [])
        for worker in count():
            if worker == len(own):
                shards = shards_of(job, segment, batch_segments)
                references = [ray.put(shards[i]) for i in job.given]
                own.append(Columns(references, shards.shape[1]))
            yield own[worker]


@dataclass(frozen=True, slots=True)
class RayCall:
    """``start`` returns the references of its results; ``made`` are its columns, once it ended."""

    start: Callable[[], Any]
    made: Callable[[Any], Sequence[Shard]]


def _stored_calls(
    calls: Sequence[Callable[..., Any]], columns: Iterable[Columns], in_flight: int, job: EcJob
) -> list[list[RayCall]]:
    """Per worker; results are objects."""
    return [
        [RayCall(partial(call, job, *given.references), ray.get)] * in_flight
        for call, given in zip(calls, columns, strict=False)
    ]


@contextmanager
def _shared_calls(
    calls: Sequence[Callable[..., Any]], columns: Iterable[Columns], in_flight: int, job: EcJob
) -> Iterator[list[list[RayCall]]]:
    """Per worker; each that is under way has memory of its own for its results."""
    with ExitStack() as stack:

        def one(call: Callable[..., Any], given: Columns) -> RayCall:
            block = SharedBlock(len(job.made) * given.size_bytes)
            stack.enter_context(closing(block))

            def made(refs: Any) -> Sequence[Shard]:
                ray.get(refs)  # raises what the call has raised
                return list(block.memory.reshape(len(job.made), -1))

            return RayCall(partial(call, block.name, job, *given.references), made)

        yield [
            [one(call, given) for _ in range(in_flight)]
            for call, given in zip(calls, columns, strict=False)
        ]


class _RayWorkers:
    def __init__(self, calls: Sequence[Sequence[RayCall]], batch_segments: int) -> None:
        """``calls``: per worker, those that may be under way at a time."""
        self._calls = calls
        self._batch_segments = batch_segments
        self._last: list[Sequence[Shard]] = []

    def run(self, count: int) -> None:
        self._last = run_calls(self._calls, count)

    def made(self) -> Sequence[Sequence[Shard]]:
        return [
            segment
            for columns in self._last
            for segment in segments_of(columns, self._batch_segments)
        ]


def run_calls(calls: Sequence[Sequence[RayCall]], times: int) -> list[Sequence[Shard]]:
    """Each worker's calls in turn, ``times`` in all and all of them under way at a time; what the
    last of each has made. A call is not made again before it has ended."""
    left = [times] * len(calls)
    running: dict[Any, tuple[int, RayCall, Any]] = {}
    last: list[tuple[RayCall, Any]] = [(of_worker[0], None) for of_worker in calls]

    def start(worker: int, call: RayCall) -> None:
        if left[worker]:
            left[worker] -= 1
            started = call.start()
            refs = started if isinstance(started, list) else [started]
            running[refs[-1]] = worker, call, refs

    for worker, of_worker in enumerate(calls):
        for call in of_worker:
            start(worker, call)
    while running:
        ended, _ = ray.wait(list(running), num_returns=1)
        if _interrupted.is_set():
            raise KeyboardInterrupt
        worker, call, refs = running.pop(ended[0])
        last[worker] = call, refs
        start(worker, call)
    return [call.made(refs) for call, refs in last]


# --- what a call is made of ----------------------------------------------------------------------


@contextmanager
def steps_of_a_call(
    on_ray: OnRay, job: EcJob, segment: Shard
) -> Iterator[dict[str, Callable[[int], None]]]:
    """By name, each as often as it is told: a call of an actor with more and more of the work."""
    [actor] = on_ray.actors(1)
    given = next(on_ray.columns(job, segment, 1))
    made = len(job.made)
    calls = {
        "call": actor.nothing.remote,
        "call, columns mapped": partial(actor.take.remote, *given.references),
        "call, results stored": partial(
            actor.give.options(num_returns=made).remote, made, given.size_bytes
        ),
    }
    steps = {name: [RayCall(call, ray.get)] * _CALLS_PER_ACTOR for name, call in calls.items()}
    with _shared_calls([actor.make_in.remote], [given], _CALLS_PER_ACTOR, job) as [encoding]:
        steps["call, columns mapped, encoded"] = encoding
        yield {name: partial(_run_one_worker, of_step) for name, of_step in steps.items()}


def _run_one_worker(calls: Sequence[RayCall], count: int) -> None:
    run_calls([calls], count)
