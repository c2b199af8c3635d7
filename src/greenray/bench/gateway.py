"""``bench gateway``: PUT (until the answer) and GET through HTTP, and the floor: a plain process
that receives, hashes and stores, or reads, hashes and sends, for the same client."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from greenray.bench.accounting import ProcessTrees
from greenray.bench.child import Child
from greenray.bench.gateway_floor import (
    REBUILT,
    GatewayFloorQuestion,
    GatewayFloorSetup,
    gateway_floor_service,
)
from greenray.bench.machine_watch import watched
from greenray.bench.network_process import BreakObject
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import OnStep, interleaved, result_of
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload, sha256_of
from greenray.display.units import size
from greenray.protocol.errors import IntegrityHashMismatch
from greenray.protocol.layout import PayloadLayout

_RATIO = "gateway / floor"
BROKEN = "GET, a segment of each batch gone"
LOST = "GET, segments and two secondaries gone"


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    settings: Settings
    object_sizes_bytes: tuple[int, ...]
    repeats: int
    work_dir: Path
    quick: bool = False

    @property
    def needed_bytes(self) -> int:
        """Of disk."""
        return int(STORED_PER_BYTE * max(self.object_sizes_bytes)) + sum(self.object_sizes_bytes)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One PUT or GET; ``cpu_s`` of the serving side, until the answer is complete."""

    seconds: float
    cpu_s: float
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class GatewayRound:
    """``get_broken``: one primary segment in every batch is gone; ``get_lost``: the primary's whole
    column and two secondaries' are."""

    put: Transfer
    get: Transfer
    get_broken: Transfer
    get_lost: Transfer
    floor_put: Transfer
    floor_get: Transfer
    floor_rebuilt: Transfer


def run_gateway(options: GatewayOptions, on_step: OnStep) -> BenchResult:
    """Raises whatever stops the network or the client; IntegrityHashMismatch when bytes differ."""
    with opened_site(options.settings, options.work_dir, options.needed_bytes, on_step) as site:
        return gateway_on(site, options, on_step)


@watched
def gateway_on(site: Site, options: GatewayOptions, on_step: OnStep) -> BenchResult:
    """The same on a network that is there."""
    environment = describe_environment({"repeats": options.repeats, **site.describe()})
    spilled_before = site.network.spilled_bytes()
    with ExitStack() as stack:
        sides = []
        for size_bytes in options.object_sizes_bytes:
            source = site.root / f"gateway-{size_bytes}"
            make_payload(source, size_bytes)
            root = site.root / f"gateway-floor-{size_bytes}"
            params = site.network.params
            layout = PayloadLayout(size_bytes, params.max_segment_size_bytes, params.k, params.m)
            setup = GatewayFloorSetup(root, layout, site.settings.durable, site.settings.codec)
            child = Child(
                "gateway floor", gateway_floor_service, setup, log_file=root.with_suffix(".log")
            )
            floor = stack.enter_context(child)
            sides.append(_Side(site, source, layout, floor))
        found = interleaved(options.repeats + 1, [partial(side.run, on_step) for side in sides])
    rows: list[Row] = []
    for size_bytes, rounds in zip(options.object_sizes_bytes, found, strict=True):
        rows += gateway_rows(size_bytes, site.settings.durable, rounds)
    spilled_bytes = site.network.spilled_bytes() - spilled_before
    peak_memory_bytes = max(r.put.peak_memory_bytes for rounds in found for r in rounds)
    return result_of(
        "gateway",
        options.quick,
        environment,
        rows,
        _summary(rows),
        peak_memory_bytes,
        spilled_bytes,
    )


class _Side:
    """Everything for objects of one size."""

    def __init__(self, site: Site, source: Path, layout: PayloadLayout, floor: Child) -> None:
        self._network = site.network
        self._source = source
        self._layout = layout
        self._size_bytes = source.stat().st_size
        self._digest = sha256_of(source)
        self._floor = floor
        self._floor_endpoint: str = floor.ask(GatewayFloorQuestion.ENDPOINT)
        self._floor_trees = ProcessTrees([floor.pid])

    def run(self, on_step: OnStep, number: int) -> GatewayRound:
        """A put is waited for until it is sealed, so that nothing of it goes on beside the rest."""
        [name] = self._network.new_names(1)
        put = self._network.put(self._source, [name], at_once=1, warm_up=number == 0)
        get = self._get(name)
        [object_id] = put.times.object_ids
        segments = range(self._layout.segment_count)
        one_of_each = tuple(segments[:: self._layout.batch_segments])
        get_broken = self._get_damaged(
            name, BreakObject(object_id, self._layout.segments, one_of_each)
        )
        two = tuple(range(self._layout.m))
        get_lost = self._get_damaged(
            name, BreakObject(object_id, self._layout.segments, tuple(segments), dead=two)
        )
        self._network.remove_columns(put.times.object_ids)
        floor_put, floor_get, floor_rebuilt = self._run_floor()
        what = f"{size(self._size_bytes)}, " + (f"repeat {number}" if number else "warm-up")
        mb = self._size_bytes / 1e6
        on_step(
            f"{what}: PUT {mb / put.put_answered_s:.0f} MB/s, GET {mb / get.seconds:.0f}"
            f", broken {mb / get_broken.seconds:.0f}, lost {mb / get_lost.seconds:.0f} MB/s"
            f"; floor {mb / floor_put.seconds:.0f}, {mb / floor_get.seconds:.0f}"
            f", rebuilt {mb / floor_rebuilt.seconds:.0f} MB/s"
        )
        return GatewayRound(
            Transfer(put.put_answered_s, put.answered_cpu_s, put.peak_memory_bytes),
            get,
            get_broken,
            get_lost,
            floor_put,
            floor_get,
            floor_rebuilt,
        )

    def _get(self, name: str) -> Transfer:
        seconds, digest, cpu_s = self._network.get(name, self._size_bytes)
        self._check(digest)
        return Transfer(seconds, cpu_s)

    def _get_damaged(self, name: str, damage: BreakObject) -> Transfer:
        """The repair that follows is waited for, so that nothing of it goes on beside the rest."""
        self._network.break_object(damage)
        get = self._get(name)
        self._network.await_repair(damage)
        return get

    def _run_floor(self) -> tuple[Transfer, Transfer, Transfer]:
        """PUT, GET, and GET of what is decoded; what it stored is removed, untimed."""
        before_s = self._floor_trees.cpu_s()
        put_s = self._network.put_to_floor(self._floor_endpoint, self._source, self._size_bytes)
        between_s = self._floor_trees.cpu_s()
        get_s, digest = self._network.get_from_floor(self._floor_endpoint, self._size_bytes)
        after_s = self._floor_trees.cpu_s()
        self._check(digest)
        self._floor.ask(GatewayFloorQuestion.LAY_OUT_PIECES)
        laid_out_s = self._floor_trees.cpu_s()
        rebuilt_s, digest = self._network.get_from_floor(
            self._floor_endpoint, self._size_bytes, REBUILT
        )
        rebuilt_cpu_s = self._floor_trees.cpu_s() - laid_out_s
        self._check(digest)
        self._floor.ask(GatewayFloorQuestion.REMOVE)
        return (
            Transfer(put_s, between_s - before_s),
            Transfer(get_s, after_s - between_s),
            Transfer(rebuilt_s, rebuilt_cpu_s),
        )

    def _check(self, digest: str) -> None:
        if digest != self._digest:
            raise IntegrityHashMismatch("what came back is not what went in", "bench gateway")


def gateway_rows(size_bytes: int, durable: bool, rounds: Sequence[GatewayRound]) -> list[Row]:
    """The first of ``rounds`` is the warm-up, which does not count."""
    mb, gb = size_bytes / 1e6, size_bytes / 1e9
    timed = rounds[1:]
    rows = []
    floor_get, floor_rebuilt = [r.floor_get for r in timed], [r.floor_rebuilt for r in timed]
    for kind, floor_kind, served, plain in (
        ("PUT", "PUT, floor", [r.put for r in timed], [r.floor_put for r in timed]),
        ("GET", "GET, floor", [r.get for r in timed], floor_get),
        (BROKEN, None, [r.get_broken for r in timed], floor_get),
        (LOST, "GET, floor that rebuilds", [r.get_lost for r in timed], floor_rebuilt),
    ):
        written = durable if kind == "PUT" else None
        case = Case(kind, object_size_bytes=size_bytes, durable=written)
        sides = [(case, served)]
        if floor_kind is not None:
            sides.append((replace(case, kind=floor_kind), plain))
        ratios = tuple(p.seconds / s.seconds for s, p in zip(served, plain, strict=True))
        for of_side, transfers in sides:
            rates = tuple(mb / transfer.seconds for transfer in transfers)
            cpu = tuple(transfer.cpu_s / gb for transfer in transfers)
            rows.append(Row(of_side, "payload", "MB/s", rates))
            rows.append(Row(of_side, CPU_METRIC, "s/GB", cpu, higher_is_better=False))
        rows.append(Row(case, _RATIO, "ratio", ratios))
    return rows


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Medians of the largest size, and of all in ``cases``."""
    cases = []
    for size_bytes in sorted({row.case.object_size_bytes or 0 for row in rows}):
        medians = {
            (row.case.kind, row.unit): statistics.median(row.values)
            for row in rows
            if row.case.object_size_bytes == size_bytes
        }
        cases.append(
            {
                "object_size_bytes": size_bytes,
                "put_mb_s": medians["PUT", "MB/s"],
                "get_mb_s": medians["GET", "MB/s"],
                "floor_put_mb_s": medians["PUT, floor", "MB/s"],
                "floor_get_mb_s": medians["GET, floor", "MB/s"],
                "put_ratio_to_floor": medians["PUT", "ratio"],
                "get_ratio_to_floor": medians["GET", "ratio"],
                "get_broken_mb_s": medians[BROKEN, "MB/s"],
                "get_lost_mb_s": medians[LOST, "MB/s"],
                "get_lost_ratio_to_floor": medians[LOST, "ratio"],
            }
        )
    return {**cases[-1], "cases": cases}
