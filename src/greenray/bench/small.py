"""``bench small``: many small objects, from put to sealed; with their creation on chain, and with
that apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from greenray.bench.machine_watch import watched
from greenray.bench.measured_network import ActCost, MeasuredNetwork, OtherClient, PutCost
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, interleaved, result_of
from greenray.bench.site import Site, opened_site
from greenray.bench.spread import Spread
from greenray.bench.uploads import ObjectTimes
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload, sha256_of
from greenray.protocol.errors import IntegrityHashMismatch

_MIB = 1 << 20
_ONE_USER = "small objects, creation included"
_TWO_CLIENTS = "small objects, creation included, two clients of one user"
_TWO_USERS = "small objects, creation included, two users"
_SMALL_ACTS = 3
_CREATED = "created, put and sealed"
_CPU_OF_SERVERS = "CPU of the servers per object"
_CPU_OF_CLIENT = "CPU of the client per object"


@dataclass(frozen=True, slots=True)
class SmallOptions:
    """``objects`` in each repeat, so many being uploaded at any time; ``act_objects`` and
    ``mib_objects`` (of 1 MiB) as one act with their creation."""

    settings: Settings
    object_size_bytes: int
    objects: int
    act_objects: int
    mib_objects: int
    objects_in_parallel: tuple[int, ...]
    repeats: int
    work_dir: Path
    quick: bool = False

    @property
    def needed_bytes(self) -> int:
        """On disk: what is stored in the repeats and the warm-up."""
        own = self.objects * len(self.objects_in_parallel) + _SMALL_ACTS * self.act_objects
        stored_bytes = self.object_size_bytes * own + _MIB * self.mib_objects
        return 8 * stored_bytes * (self.repeats + 1)


@dataclass(frozen=True, slots=True)
class _Act:
    """Objects of one size, put together by the first client and ``others``."""

    kind: str
    source: Path
    object_size_bytes: int
    objects: int
    others: tuple[OtherClient, ...] = ()


def run_small(options: SmallOptions, on_step: OnStep) -> BenchResult:
    """Raises whatever stops the network or the client; IntegrityHashMismatch when bytes differ."""
    with opened_site(options.settings, options.work_dir, options.needed_bytes, on_step) as site:
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

    sides = [partial(put, at_once) for at_once in options.objects_in_parallel]
    found = interleaved(options.repeats + 1, sides)
    with _acts(site, options, source) as acts:
        act_costs = interleaved(
            options.repeats + 1, [partial(_put_act, network, act, on_step) for act in acts]
        )
    rows: list[Row] = []
    for at_once, costs in zip(options.objects_in_parallel, found, strict=True):
        case = Case(
            "small objects",
            object_size_bytes=options.object_size_bytes,
            objects_in_parallel=at_once,
            durable=site.settings.durable,
        )
        rows += small_rows(case, options.objects, costs)
    for act, of_act in zip(acts, act_costs, strict=True):
        case = Case(
            act.kind, object_size_bytes=act.object_size_bytes, durable=site.settings.durable
        )
        rows += act_rows(case, act.objects, of_act)
    spilled_bytes = network.spilled_bytes() - spilled_before
    return result_of(
        "small",
        options.quick,
        environment,
        rows,
        _summary(rows, options.object_size_bytes),
        max(cost.peak_memory_bytes for costs in found for cost in costs),
        spilled_bytes,
    )


@contextmanager
def _acts(site: Site, options: SmallOptions, source: Path) -> Iterator[tuple[_Act, ...]]:
    network, size_bytes, objects = site.network, options.object_size_bytes, options.act_objects
    mib = site.root / "mib-payload"
    make_payload(mib, _MIB)
    with (
        network.another_client(of_another_user=False) as same_user,
        network.another_client(of_another_user=True) as another_user,
    ):
        yield (
            _Act(_ONE_USER, source, size_bytes, objects),
            _Act(_TWO_CLIENTS, source, size_bytes, objects, (same_user,)),
            _Act(_TWO_USERS, source, size_bytes, objects, (another_user,)),
            _Act(_ONE_USER, mib, _MIB, options.mib_objects),
        )


def _put_act(network: MeasuredNetwork, act: _Act, on_step: OnStep, number: int) -> ActCost:
    cost = network.put_acts(act.source, act.objects, act.others)
    rate = act.objects / cost.seconds
    what = f"{act.kind}, {act.object_size_bytes} bytes, {'repeat' if number else 'warm-up'}"
    on_step(f"{what}: {rate:.0f} objects/s")
    return cost


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
        Row(case, _CREATED, "objects/s", rates),
        per_object_ms(_CPU_OF_SERVERS, lambda cost: cost.cpu.servers_s),
        per_object_ms(_CPU_OF_CLIENT, lambda cost: cost.cpu.client_s),
    ]


def _times(cost: PutCost, seconds: Callable[[ObjectTimes], float]) -> Spread:
    """Over the objects of one repeat, in milliseconds."""
    return Spread.of([1e3 * seconds(times) for times in cost.times.objects], higher_is_better=False)


def _to_answer_s(times: ObjectTimes) -> float:
    return times.answered_at - times.uploading_at


def _to_seal_s(times: ObjectTimes) -> float:
    return times.sealed_at - times.uploading_at


def _summary(rows: Sequence[Row], object_size_bytes: int) -> dict[str, Any]:
    """The best median over the numbers of objects at once; of one user's act, and of objects of
    1 MiB."""

    def best(metric: str) -> float:
        return max(statistics.median(row.values) for row in rows if row.metric == metric)

    def act(metric: str, size_bytes: int) -> float:
        return next(
            statistics.median(row.values)
            for row in rows
            if (row.metric, row.case.kind) == (metric, _ONE_USER)
            and row.case.object_size_bytes == size_bytes
        )

    return {
        "put_to_sealed_objects_s": best("put to sealed"),
        "put_answered_objects_s": best("put answered"),
        "created_objects_s": best("created before"),
        "created_put_and_sealed_objects_s": act(_CREATED, object_size_bytes),
        "created_put_and_sealed_mib_objects_s": act(_CREATED, _MIB),
        "servers_cpu_ms_per_object": act(_CPU_OF_SERVERS, object_size_bytes),
        "client_cpu_ms_per_object": act(_CPU_OF_CLIENT, object_size_bytes),
    }
