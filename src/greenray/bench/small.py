"""``bench small``: many small objects, from put to sealed; with their creation on chain, and with
that apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from greenray.bench.machine_watch import watched
from greenray.bench.measured_network import ActCost, PutCost
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, interleaved, result_of
from greenray.bench.site import Site, opened_site
from greenray.bench.spread import Spread
from greenray.bench.uploads import ObjectTimes
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload, sha256_of
from greenray.protocol.errors import IntegrityHashMismatch


@dataclass(frozen=True, slots=True)
class SmallOptions:
    """``objects`` in each repeat, ``at_once`` of them being uploaded at any time."""

    settings: Settings
    object_size_bytes: int
    objects: int
    objects_in_parallel: tuple[int, ...]
    repeats: int
    work_dir: Path
    quick: bool = False


def run_small(options: SmallOptions, on_step: OnStep) -> BenchResult:
    """Raises whatever stops the network or the client; IntegrityHashMismatch when bytes differ."""
    sides = len(options.objects_in_parallel) + 1
    stored_bytes = options.object_size_bytes * options.objects * sides
    needed_bytes = 8 * stored_bytes * (options.repeats + 1)
    with opened_site(options.settings, options.work_dir, needed_bytes, on_step) as site:
        return small_on(site, options, on_step)


@watched
def small_on(site: Site, options: SmallOptions, on_step: OnStep) -> BenchResult:
    """The same on a network that is there."""
    network = site.network
    environment = describe_environment(
        {"repeats": options.repeats, "objects": options.objects, **site.describe()}
    )
    spilled_before = network.spilled_bytes()
    source = site.root / "small-payload"
    make_payload(source, options.object_size_bytes)

    def put(at_once: int, number: int) -> PutCost:
        names = network.new_names(options.objects)
        cost = network.put(source, names, at_once=at_once, warm_up=number == 0)
        rate = options.objects / cost.upload_to_sealed_s
        on_step(f"{at_once} at once, {'repeat' if number else 'warm-up'}: {rate:.0f} objects/s")
        _, digest, _ = network.get(names[-1], options.object_size_bytes)
        if digest != sha256_of(source):
            raise IntegrityHashMismatch("what came back is not what went in", names[-1])
        return cost

    def put_act(number: int) -> ActCost:
        cost = network.put_act(source, network.new_names(options.objects))
        rate = options.objects / cost.seconds
        on_step(f"as one act, {'repeat' if number else 'warm-up'}: {rate:.0f} objects/s")
        return cost

    sides = [partial(put, at_once) for at_once in options.objects_in_parallel]
    found = interleaved(options.repeats + 1, sides)
    acts = [put_act(number) for number in range(options.repeats + 1)]
    rows: list[Row] = []
    for at_once, costs in zip(options.objects_in_parallel, found, strict=True):
        case = Case(
            "small objects",
            object_size_bytes=options.object_size_bytes,
            objects_in_parallel=at_once,
            durable=site.settings.durable,
        )
        rows += small_rows(case, options.objects, costs)
    act = Case(
        "small objects, creation included",
        object_size_bytes=options.object_size_bytes,
        durable=site.settings.durable,
    )
    rows += act_rows(act, options.objects, acts)
    spilled_bytes = network.spilled_bytes() - spilled_before
    return result_of(
        "small",
        options.quick,
        environment,
        rows,
        _summary(rows),
        max(cost.peak_memory_bytes for costs in found for cost in costs),
        spilled_bytes,
    )


def small_rows(case: Case, objects: int, costs: Sequence[PutCost]) -> list[Row]:
    """The first of ``costs`` is the warm-up, which does not count."""
    timed = costs[1:]

    def row(
        metric: str, unit: str, value: Callable[[PutCost], float], *, higher: bool = False
    ) -> Row:
        return Row(case, metric, unit, tuple(map(value, timed)), higher)

    return [
        row("put to sealed", "objects/s", lambda c: objects / c.upload_to_sealed_s, higher=True),
        row("put answered", "objects/s", lambda c: objects / c.put_answered_s, higher=True),
        row("created before", "objects/s", lambda c: objects / c.times.creating_s, higher=True),
        row("median time to the answer", "ms", lambda c: _times(c, _to_answer_s).median),
        row("p99 time to the answer", "ms", lambda c: _times(c, _to_answer_s).p99),
        row("median time to the seal", "ms", lambda c: _times(c, _to_seal_s).median),
        row("p99 time to the seal", "ms", lambda c: _times(c, _to_seal_s).p99),
        row("CPU per object", "ms", lambda c: 1e3 * c.cpu.servers_s / objects),
    ]


def act_rows(case: Case, objects: int, costs: Sequence[ActCost]) -> list[Row]:
    """The first of ``costs`` is the warm-up, which does not count."""
    timed = costs[1:]

    def per_object_ms(metric: str, cpu_s: Callable[[ActCost], float]) -> Row:
        values = tuple(1e3 * cpu_s(cost) / objects for cost in timed)
        return Row(case, metric, "ms", values, higher_is_better=False)

    rates = tuple(objects / cost.seconds for cost in timed)
    return [
        Row(case, "created, put and sealed", "objects/s", rates),
        per_object_ms("CPU of the servers per object", lambda cost: cost.cpu.servers_s),
        per_object_ms("CPU of the client per object", lambda cost: cost.cpu.client_s),
    ]


def _times(cost: PutCost, seconds: Callable[[ObjectTimes], float]) -> Spread:
    """Over the objects of one repeat, in milliseconds."""
    return Spread.of([1e3 * seconds(times) for times in cost.times.objects], higher_is_better=False)


def _to_answer_s(times: ObjectTimes) -> float:
    return times.answered_at - times.uploading_at


def _to_seal_s(times: ObjectTimes) -> float:
    return times.sealed_at - times.uploading_at


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The best median over the numbers of objects at once."""

    def best(metric: str) -> float:
        return max(statistics.median(row.values) for row in rows if row.metric == metric)

    return {
        "put_to_sealed_objects_s": best("put to sealed"),
        "put_answered_objects_s": best("put answered"),
        "created_objects_s": best("created before"),
        "created_put_and_sealed_objects_s": best("created, put and sealed"),
    }
