"""How much each benchmark measures when it is not told: as a rule, and for a first look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenray.bench.bundle import BundleBenchOptions
from greenray.bench.by_segment_size import SegmentOptions
from greenray.bench.ec import WORKER_KINDS, EcOptions, run_ec
from greenray.bench.gateway import GatewayOptions, gateway_on
from greenray.bench.hash import run_hash
from greenray.bench.lists import ListOptions
from greenray.bench.machine_watch import most_disturbed
from greenray.bench.memory import MemoryBenchOptions
from greenray.bench.pipeline import PipelineOptions, pipeline_on
from greenray.bench.records import BenchResult
from greenray.bench.runner import OnStep, Repeats
from greenray.bench.scaling import ScalingOptions
from greenray.bench.scrub import ScrubOptions
from greenray.bench.seal import SealOptions, run_seal
from greenray.bench.site import opened_site
from greenray.bench.small import SmallOptions, small_on
from greenray.bench.store import StoreOptions, default_kinds, run_store
from greenray.bench.timeline import TimelineOptions
from greenray.capacity.environment import describe_environment, worker_counts
from greenray.cluster.config.settings import Settings

REPEATS = 5
QUICK_REPEATS = 3
SCRUB_REPEATS = 9
"""A scrub costs an upload less than two uploads differ by: fewer pairs tell nothing."""
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_SMALL_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """``repeats`` None: as many as usual."""

    settings: Settings
    work_dir: Path = Path()
    repeats: int | None = None
    quick: bool = False

    @property
    def count(self) -> int:
        return self.repeats or (QUICK_REPEATS if self.quick else REPEATS)

    def ec(self) -> EcOptions:
        return EcOptions(
            codecs=("isal", "numpy", "zfec"),
            shapes=((4, 2),) if self.quick else ((4, 2), (6, 3), (8, 3), (10, 4), (16, 4)),
            segment_sizes_bytes=(16 * _MIB,) if self.quick else (_MIB, 4 * _MIB, 16 * _MIB),
            workers=worker_counts(),
            worker_kinds=WORKER_KINDS,
            codecs_everywhere=False,
            repeats=Repeats(self.count),
            work_dir=self.work_dir,
            quick=self.quick,
        )

    def hash(self) -> SegmentOptions:
        sizes = (16 * _MIB,) if self.quick else (64 * _KIB, _MIB, 16 * _MIB)
        return SegmentOptions(sizes, worker_counts(), Repeats(self.count), self.quick)

    def store(self) -> StoreOptions:
        return StoreOptions(
            self.settings,
            default_kinds(self.settings),
            (_SMALL_BYTES, 64 * _MIB) if self.quick else (_SMALL_BYTES, 4 * _MIB, 64 * _MIB),
            worker_counts(),
            Repeats(self.count),
            self.work_dir,
            self.quick,
        )

    def gateway(self) -> GatewayOptions:
        sizes = (64 * _MIB,) if self.quick else (16 * _MIB, 256 * _MIB)
        return GatewayOptions(self.settings, sizes, self.count, self.work_dir, self.quick)

    def seal(self) -> SealOptions:
        seals = 300 if self.quick else 1500
        return SealOptions(self.settings, seals, self.count, self.work_dir, self.quick)

    def small(self) -> SmallOptions:
        return SmallOptions(
            self.settings,
            _SMALL_BYTES,
            30 if self.quick else 400,
            30 if self.quick else 1000,
            10 if self.quick else 200,
            (16,) if self.quick else (1, 32),
            self.count,
            self.work_dir,
            self.quick,
        )

    def bundle(self) -> BundleBenchOptions:
        files = 1000 if self.quick else 10_000
        return BundleBenchOptions(
            self.settings, _SMALL_BYTES, files, self.count, self.work_dir, self.quick
        )

    def pipeline(self) -> PipelineOptions:
        sizes = (256 * _MIB,) if self.quick else (_GIB,)
        return PipelineOptions(
            self.settings,
            sizes,
            (1,),
            self.count,
            self.work_dir,
            in_turn=(1,) if self.quick else (8,),
            quick=self.quick,
        )

    def scaling(self) -> ScalingOptions:
        size_bytes = 64 * _MIB if self.quick else _GIB
        repeats = Repeats(self.count, 0.1 if self.quick else 0.5)
        return ScalingOptions(self.settings, size_bytes, repeats, self.work_dir, self.quick)

    def memory(self) -> MemoryBenchOptions:
        sizes = (64 * _MIB, 256 * _MIB) if self.quick else (256 * _MIB, 2 * _GIB)
        return MemoryBenchOptions(self.settings, sizes, self.count, self.work_dir, self.quick)

    def scrub(self) -> ScrubOptions:
        size_bytes = 256 * _MIB if self.quick else _GIB
        count = self.count if self.quick else self.repeats or SCRUB_REPEATS
        return ScrubOptions(self.settings, size_bytes, count, self.work_dir, self.quick)

    def list(self) -> ListOptions:
        return ListOptions(
            100_000 if self.quick else 1_000_000, self.count, self.work_dir, self.quick
        )

    def timeline(self) -> TimelineOptions:
        size_bytes = 256 * _MIB if self.quick else _GIB
        return TimelineOptions(self.settings, size_bytes, self.count, self.work_dir, self.quick)


def run_all(plan: Plan, on_step: OnStep) -> Iterator[BenchResult]:
    """Every benchmark but ``bundle``, ``list``, ``memory``, ``scrub`` and ``timeline``, one after
    the other; one network serves three of them."""
    yield run_hash(plan.hash(), on_step)
    yield run_ec(plan.ec(), on_step)
    yield run_store(plan.store(), on_step)
    yield run_seal(plan.seal(), on_step)
    needed_bytes = plan.gateway().needed_bytes + plan.pipeline().needed_bytes
    with opened_site(plan.settings, plan.work_dir, needed_bytes, on_step) as site:
        yield gateway_on(site, plan.gateway(), on_step)
        yield small_on(site, plan.small(), on_step)
        yield pipeline_on(site, plan.pipeline(), on_step)


def combined(results: Sequence[BenchResult], plan: Plan) -> dict[str, Any]:
    """All in one document like those of ``BenchResult.to_json``; each row says of which benchmark
    it is, and each benchmark has its part of the summary."""
    return {
        "bench": "all",
        "quick": plan.quick,
        "environment": {
            **describe_environment({"repeats": plan.count}),
            **most_disturbed([dict(result.environment) for result in results]),
        },
        "rows": [row for result in results for row in result.to_json()["rows"]],
        "summary": {result.bench: dict(result.summary) for result in results},
        "failures": [failure for result in results for failure in result.failures],
    }
