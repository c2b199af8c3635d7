"""``bench scaling``: what a second core brings to each stage, and what more nodes would bring.

Measured: every stage with one worker on one core, and on all cores with a worker for each, beside
plain threads or processes that do the same. With a core to spare one worker of Ray is more than one
core's work already, for the driver and the raylet work beside it.
Simulated: clusters of 1 to 64 nodes, from the cost of each stage measured here.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from greenray.bench.accounting import ProcessTrees
from greenray.bench.by_segment_size import SegmentOptions
from greenray.bench.ec import WORKER_KINDS, EcOptions, run_ec
from greenray.bench.hash import run_hash
from greenray.bench.machine_watch import watched
from greenray.bench.pipeline import PipelineOptions, Way, pipeline_on
from greenray.bench.pipeline_rows import FLOOR
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, Repeats, result_of
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.capacity.environment import cores, describe_environment
from greenray.capacity.planning import Capacity, CapacityModel, Load, NodeSize, StageCost
from greenray.capacity.stage_costs import Spell, spell_during, stage_costs
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload
from greenray.coding.codec import get_codec

GAIN = "gain over one worker"
SHARE_OF_GAIN = "share of the gain of plain workers"
NODES = (1, 2, 4, 8, 16, 32, 64)

NODE = NodeSize(cores=32, memory_bytes=128 << 30, link_gb_s=25 / 8, disks=4, disk_gb_s=1.5)
LOAD = Load(object_size_bytes=1 << 30, shared_store=True)
"""Of the simulation: nodes with a 25 Gbit/s link, and a store on the network."""

_RATES = ("payload", "upload to sealed", "stored")
_PLAIN = ("threads", "processes")
_SEGMENT_BYTES = 16 << 20
_SMALL_BYTES = 10_000
_OBJECTS_IN_TURN = 8
"""In the pipeline: the last seal waits for a block, which must be little of the time."""
_LARGE_OBJECTS = 2
_SMALL_OBJECTS = 20
_IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class ScalingOptions:
    settings: Settings
    object_size_bytes: int
    repeats: Repeats
    work_dir: Path
    quick: bool = False

    @property
    def pipeline(self) -> PipelineOptions:
        return PipelineOptions(
            self.settings,
            (self.object_size_bytes,),
            (),
            self.repeats.count,
            self.work_dir,
            in_turn=(_OBJECTS_IN_TURN,),
        )

    @property
    def needed_bytes(self) -> int:
        beyond = (_LARGE_OBJECTS + 1) * self.object_size_bytes
        return self.pipeline.needed_bytes + int(STORED_PER_BYTE * beyond)


@watched
def run_scaling(options: ScalingOptions, on_step: OnStep) -> BenchResult:
    """Raises what ``run_ec``, ``run_hash`` and ``run_pipeline`` raise."""
    environment = describe_environment(
        {
            "repeats": options.repeats.count,
            "simulated_node": asdict(NODE),
            "simulated_load": asdict(LOAD),
        }
    )
    workers = tuple(sorted({1, cores()}))
    results = [
        run_ec(_ec(options, workers), on_step),
        run_hash(SegmentOptions((_SEGMENT_BYTES,), workers, options.repeats), on_step),
    ]
    rows = [row for result in results for row in result.rows if row.metric in _RATES]
    stages: tuple[StageCost, ...] = ()
    for count in workers:
        with _on_cores(count, options, on_step) as site:
            result = pipeline_on(site, options.pipeline, on_step)
            if count == workers[-1]:
                stages = _stage_costs(site, options.object_size_bytes, on_step)
        results.append(result)
        rows += [_with_workers(row, count) for row in result.rows if row.metric in _RATES]
    gains = gains_of(rows)
    simulated = CapacityModel(stages, NODE, LOAD).scaled(NODES)
    return result_of(
        "scaling",
        options.quick,
        environment,
        [*rows, *gains, *map(_simulated_row, simulated)],
        _summary(gains, stages, simulated),
        max(result.summary["peak_memory_bytes"] for result in results),
        sum(result.summary["spilled_bytes"] for result in results),
    )


# --- measured ------------------------------------------------------------------------------------


def _ec(options: ScalingOptions, workers: tuple[int, ...]) -> EcOptions:
    return EcOptions(
        codecs=(get_codec(options.settings.codec).name,),
        shapes=((LOAD.k, LOAD.m),),
        segment_sizes_bytes=(_SEGMENT_BYTES,),
        workers=workers,
        worker_kinds=WORKER_KINDS,
        repeats=options.repeats,
        work_dir=options.work_dir,
        losses=(0,),
        core_per_worker=True,
    )


@contextmanager
def _on_cores(count: int, options: ScalingOptions, on_step: OnStep) -> Iterator[Site]:
    """A network, its client and the floor, on so many of the cores that this process may use."""
    on_step(f"on {count} of {cores()} cores" if count < cores() else "on all cores")
    settings = options.settings.model_copy(update={"cpus": count})
    with (
        ProcessTrees([os.getpid()]).on_cores(count),
        opened_site(settings, options.work_dir, options.needed_bytes, on_step) as site,
    ):
        yield site


def _with_workers(row: Row, count: int) -> Row:
    return replace(row, case=replace(row.case, workers=count))


def gains_of(rows: Sequence[Row]) -> list[Row]:
    """Of all workers over one, repeat by repeat; and as a share of what the plain kind of the same
    work gains: the floor, or the better of threads and processes."""
    of_case = {row.case: row.values for row in rows}
    gains = {
        case: tuple(many / one for many, one in zip(values, of_one, strict=True))
        for case, values in of_case.items()
        if case.workers != 1 and (of_one := of_case.get(replace(case, workers=1)))
    }
    plain: dict[str, float] = {}
    for case, values in gains.items():
        if _is_plain(case):
            work = _work_of(case)
            plain[work] = max(plain.get(work, 0.0), statistics.median(values))
    found = []
    for case, values in gains.items():
        found.append(Row(case, GAIN, "ratio", values))
        best = plain.get(_work_of(case))
        if best is not None and not _is_plain(case):
            shares = tuple(value / best for value in values)
            found.append(Row(case, SHARE_OF_GAIN, "ratio", shares))
    return found


def _is_plain(case: Case) -> bool:
    return case.worker_kind in _PLAIN or case.kind.startswith(FLOOR)


def _work_of(case: Case) -> str:
    return case.kind.replace(FLOOR, Way.HTTP.kind, 1)


# --- simulated -----------------------------------------------------------------------------------


def _stage_costs(site: Site, large_bytes: int, on_step: OnStep) -> tuple[StageCost, ...]:
    """Of the running network, from objects of two sizes and from idle time."""
    on_step("what each stage costs")
    network = site.network

    def spell(size_bytes: int, objects: int) -> Spell:
        source = site.root / f"stage-costs-{size_bytes}"
        make_payload(source, size_bytes)

        def put() -> None:
            for name in network.new_names(objects):
                network.put(source, [name], at_once=1, warm_up=False)

        return spell_during(network.pid, put, objects, objects * size_bytes)

    return stage_costs(
        spell_during(network.pid, partial(sleep, _IDLE_S), 0, 0),
        spell(large_bytes, _LARGE_OBJECTS),
        spell(_SMALL_BYTES, _SMALL_OBJECTS),
    )


def _simulated_row(capacity: Capacity) -> Row:
    nodes = f"{capacity.nodes} nodes" if capacity.nodes > 1 else "1 node"
    case = Case(f"simulated, {nodes}, limited by {capacity.limited_by}")
    return Row(case, "throughput", "GB/s", (capacity.throughput_gb_s,))


def _summary(
    gains: Sequence[Row], stages: Sequence[StageCost], simulated: Sequence[Capacity]
) -> dict[str, Any]:
    """Medians of the shares by kind; CPU seconds per GB by stage; simulated GB/s by nodes."""
    shares = {
        f"{row.case.kind}, {row.case.worker_kind}" if row.case.worker_kind else row.case.kind: (
            statistics.median(row.values)
        )
        for row in gains
        if row.metric == SHARE_OF_GAIN
    }
    return {
        "share_of_gain": shares,
        "cpu_s_per_gb": {stage.name: stage.cpu_s_per_gb for stage in stages},
        "simulated_gb_s": {str(c.nodes): c.throughput_gb_s for c in simulated},
    }
