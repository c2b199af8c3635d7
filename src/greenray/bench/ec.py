"""``bench ec``: encode and reconstruct by codec, k+m, segment size, workers and kind of worker."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenray.bench.accounting import ProcessTrees
from greenray.bench.ec_job import EcJob, EcWorkerKind, EcWorkers
from greenray.bench.machine_watch import watched
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import Meter, OnStep, Repeats, Work, result_of
from greenray.bench.work_dir import work_dir
from greenray.capacity.environment import describe_environment
from greenray.coding.buffers import Shard, as_view
from greenray.coding.codec import get_codec
from greenray.coding.matrix import check_shape
from greenray.coding.segments import encode_segment
from greenray.display.units import size
from greenray.protocol.errors import CodecUnavailable, IntegrityHashMismatch, InvalidInput

WORKER_KINDS = (
    "threads",
    "processes",
    "ray tasks",
    "ray batch tasks",
    "ray actors",
    "ray shared tasks",
    "ray shared actors",
)
_MIN_OBJECT_STORE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class EcOptions:
    codecs: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    """(k, m)"""
    segment_sizes_bytes: tuple[int, ...]
    workers: tuple[int, ...]
    worker_kinds: tuple[str, ...]
    repeats: Repeats
    work_dir: Path = Path()
    """For the logs of worker processes only."""
    quick: bool = False
    codecs_everywhere: bool = True
    """Otherwise all codecs at the first shape only, and the first of them at the others."""
    batch_segments: int = 4
    """Segments of a call, of the kinds that have batches; as many as the Uploader's batches."""
    losses: tuple[int, ...] = (0, 1, 2)
    """How many shards are lost: none is encoding. More than m are left out."""
    core_per_worker: bool = False
    """Whether all there is runs on as many cores as there are workers."""


@watched
def run_ec(options: EcOptions, on_step: OnStep) -> BenchResult:
    """Raises InvalidSetting (no such codec), InvalidInput (no such kind of worker, a segment that
    cannot be split), IntegrityHashMismatch when what is made is not what it must be."""
    _check(options)
    environment = describe_environment(_settings(options))
    codecs = list(_available(options.codecs, on_step))
    meter = Meter(ProcessTrees([os.getpid()]))
    rows: list[Row] = []
    with _worker_kinds(options) as kinds:
        for (k, m), size_bytes in product(options.shapes, options.segment_sizes_bytes):
            on_step(f"{k}+{m}, segments of {size(size_bytes)}")
            is_first = (k, m) == options.shapes[0]
            here = codecs if options.codecs_everywhere or is_first else codecs[:1]
            for lost in _losses(options.losses, m):
                jobs = [EcJob(codec, k, m, lost) for codec in here]
                rows += _compared(meter, jobs, kinds, size_bytes, options)
        if "ray actors" in options.worker_kinds and 0 in options.losses:
            on_step("what a call of an actor is made of")
            rows += _steps(meter, codecs[0], options)
        spilled_bytes = _spilled_bytes(options)
    return result_of(
        "ec",
        options.quick,
        environment,
        rows,
        _summary(rows),
        meter.peak_memory_bytes,
        spilled_bytes,
    )


def _check(options: EcOptions) -> None:
    for kind in options.worker_kinds:
        if kind not in WORKER_KINDS:
            raise InvalidInput(
                f"there is no kind of worker {kind!r}", "", f"Use one of: {', '.join(WORKER_KINDS)}"
            )

    for k, m in options.shapes:
        check_shape(k, m)
        if m == 0:
            raise InvalidInput("there is no parity to make", f"{k}+{m}", "Choose another shape")


def _available(names: Sequence[str], on_step: OnStep) -> Iterator[str]:
    for name in names:
        try:
            yield get_codec(name).name
        except CodecUnavailable as error:
            on_step(f"left out: {error}")


def _losses(losses: Sequence[int], m: int) -> list[tuple[int, ...]]:
    """The first data shards; none to encode."""
    return [tuple(range(count)) for count in losses if count <= m]


# --- the kinds of workers ------------------------------------------------------------------------


@contextmanager
def _worker_kinds(options: EcOptions) -> Iterator[list[EcWorkerKind]]:
    """Those that are asked for, with what they need running."""
    from greenray.bench.ec_workers import Processes, Threads

    kinds: list[EcWorkerKind] = []
    with ExitStack() as stack:
        if "threads" in options.worker_kinds:
            kinds.append(Threads())
        if "processes" in options.worker_kinds:
            root = stack.enter_context(work_dir(options.work_dir, 0))
            kinds.append(stack.enter_context(Processes.started(max(options.workers), root)))
        if _uses_ray(options):
            from greenray.bench import ec_ray_workers as ray_workers

            stack.enter_context(
                ray_workers.ray_runtime(max(options.workers), _object_store_bytes(options))
            )
            on_ray, batch_segments = ray_workers.OnRay(), options.batch_segments
            ray_kinds: tuple[EcWorkerKind, ...] = (
                ray_workers.RayTasks("ray tasks", on_ray),
                ray_workers.RayTasks("ray batch tasks", on_ray, batch_segments),
                ray_workers.RayActors(on_ray),
                ray_workers.RaySharedTasks(on_ray, batch_segments),
                ray_workers.RaySharedActors(on_ray, batch_segments),
            )
            kinds += [kind for kind in ray_kinds if kind.name in options.worker_kinds]
        yield kinds


def _uses_ray(options: EcOptions) -> bool:
    return any(kind.startswith("ray") for kind in options.worker_kinds)


def _object_store_bytes(options: EcOptions) -> int:
    """Room for what every worker is given and makes, a segment and a batch, twice over."""
    largest = max(options.segment_sizes_bytes) * max((k + m) / k for k, m in options.shapes)
    segments = (1 + options.batch_segments) * max(options.workers)
    return max(_MIN_OBJECT_STORE_BYTES, int(2 * segments * largest))


def _spilled_bytes(options: EcOptions) -> int:
    if not _uses_ray(options):
        return 0
    from greenray.cluster.on_ray.private import spilled_bytes

    return spilled_bytes()


# --- measuring -----------------------------------------------------------------------------------


def _compared(
    meter: Meter,
    jobs: Sequence[EcJob],
    kinds: Sequence[EcWorkerKind],
    size_bytes: int,
    options: EcOptions,
) -> list[Row]:
    """One operation at one shape and size, by codec, kind of worker and workers, interleaved."""
    segment = _segment(size_bytes)
    with ExitStack() as stack:
        works, hired = [], []
        for job, kind, workers in product(jobs, kinds, options.workers):
            case = Case(
                job.name,
                kind.name,
                job.codec,
                job.k,
                job.m,
                size_bytes,
                workers=workers,
                batch_segments=kind.batch_segments,
            )
            of_case = stack.enter_context(kind.hired(job, segment, workers))
            on_cores = workers if options.core_per_worker else None
            call_bytes = workers * (kind.batch_segments or 1) * size_bytes
            works.append(Work(case, of_case.run, call_bytes, cores=on_cores))
            hired.append((job, kind, of_case))
        rows = meter.measure(works, options.repeats)
        for job, kind, of_case in hired:
            _check_made(job, kind, segment, of_case)
    return rows


def _steps(meter: Meter, codec: str, options: EcOptions) -> list[Row]:
    """Of one segment, the largest of the first shape, by one worker; the whole is ``encode``."""
    from greenray.bench.ec_ray_workers import OnRay, steps_of_a_call

    size_bytes, (k, m) = max(options.segment_sizes_bytes), options.shapes[0]
    segment = _segment(size_bytes)
    with steps_of_a_call(OnRay(), EcJob(codec, k, m), segment) as steps:
        works = [
            Work(Case(name, "ray actors", codec, k, m, size_bytes, workers=1), run, size_bytes)
            for name, run in steps.items()
        ]
        return meter.measure(works, options.repeats)


def _segment(size_bytes: int) -> NDArray[np.uint8]:
    return np.frombuffer(np.random.default_rng(size_bytes).bytes(size_bytes), np.uint8)


def _check_made(job: EcJob, kind: EcWorkerKind, segment: Shard, workers: EcWorkers) -> None:
    """The known answer is the numpy codec's, which has passed its self-test like the others."""
    shards = encode_segment(segment, job.k, job.m, get_codec("numpy"))
    expected = [sha256(as_view(shards[i])).digest() for i in job.made]
    for made in workers.made():
        if [sha256(as_view(shard)).digest() for shard in made] != expected:
            raise IntegrityHashMismatch(
                "what was made is not what it must be",
                f"{job.name}, {job.codec}, {job.k}+{job.m}, {kind.name}",
            )


# --- results -------------------------------------------------------------------------------------


def _settings(options: EcOptions) -> dict[str, Any]:
    return {
        "repeats": options.repeats.count,
        "slot_s": options.repeats.slot_s,
        "worker_kinds": list(options.worker_kinds),
        "object_store_bytes": _object_store_bytes(options) if _uses_ray(options) else 0,
        "writes": "none, all in memory that a first round has touched",
    }


def _summary(rows: Sequence[Row]) -> Mapping[str, Any]:
    """The best median per codec, operation and kind of worker, over all shapes, sizes, workers."""
    best: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if row.metric == CPU_METRIC:
            continue
        of_codec = best.setdefault(str(row.case.codec), {})
        of_kind = of_codec.setdefault(f"{row.case.kind.replace(' ', '_')}_mb_s", {})
        name = str(row.case.worker_kind).replace(" ", "_")
        of_kind[name] = max(of_kind.get(name, 0.0), statistics.median(row.values))
    return {"best": best}
