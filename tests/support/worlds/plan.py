"""What happens in a random world: pure values, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from typing import TypeVar

from greenray.protocol.layout import SEGMENTS
from greenray.seam.fault_points import FaultPoint

T = TypeVar("T")

SEGMENT_SIZE_BYTES = 4096
BATCH_SEGMENTS = 4

HOME, UPLOADER, RECEIVER = "home", "uploader", "receiver"
"""Hosts, by what they host; there are several Receivers."""


class FaultKind(Enum):
    KILL = "the host dies"
    KILL_ALL = "all hosts die"
    STOP = "the host stands still"
    LOSE = "the call or its answer is lost"
    FULL = "no space is left"
    BREAK = "the disk fails"
    FLIP = "a bit is read wrongly"
    SHORT = "what is read is not there"
    LIE = "a receipt is false"
    LAG = "the node is behind"
    MEMPOOL_FULL = "the node's mempool is full"
    MEMPOOL_LOST = "the node's mempool is lost"
    CLOCK_JUMP = "the host's clock jumps"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where faults can happen: ``name`` of what passes the point in the hosts of that role."""

    host: str
    point: FaultPoint
    name: str

    def __str__(self) -> str:
        return f"{self.host}: {self.point.value}, {self.name}"


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """At the how-manieth ``passing`` of the spot (from 1), counted over all hosts of that role.
    ``amount``: seconds of a stop or a jump, blocks of a lag, which lie."""

    kind: FaultKind
    spot: Spot
    passing: int
    amount: float = 0.0

    def __str__(self) -> str:
        amount = f" ({self.amount:g})" if self.amount else ""
        return f"{self.kind.name}{amount} at {self.spot}, passing {self.passing}"


class Behaviour(Enum):
    HONEST = "sends what it has announced"
    BREAKS_OFF = "breaks off in the middle, and comes again"
    SENDS_OTHER_BYTES = "sends other bytes than it has announced"


class Damage(Enum):
    """Of a column, once the object is sealed."""

    NONE = "none"
    FLIPPED = "a byte is flipped"
    CUT = "the second half is gone"
    REMOVED = "the file is gone"


@dataclass(frozen=True, slots=True)
class PlannedObject:
    client: int
    size_bytes: int
    replica: bool = False
    behaviour: Behaviour = Behaviour.HONEST
    damage: Damage = Damage.NONE
    damaged_index: int = SEGMENTS


@dataclass(frozen=True, slots=True)
class Plan:
    """``sps``: how many; ``k`` and ``m``: the shape."""

    seed: int
    sps: int
    k: int
    m: int
    objects: tuple[PlannedObject, ...]
    faults: tuple[PlannedFault, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.k}+{self.m} on {self.sps} storage providers"]
        for number, planned in enumerate(self.objects):
            kind = "replica" if planned.replica else "EC"
            lines.append(
                f"  object {number}: {planned.size_bytes} bytes, {kind}, of client "
                f"{planned.client}, which {planned.behaviour.value}; damage to index "
                f"{planned.damaged_index}: {planned.damage.value}"
            )
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


# --- where ---------------------------------------------------------------------------------------

_CHAIN = (
    ("chain.latest_height", 12),
    ("chain.account", 8),
    ("chain.head_object", 6),
    ("chain.transaction", 6),
    ("chain.broadcast_all", 5),
)
_HOME_CALLS = (
    ("receiver.open", 20),
    ("receiver.write_batch", 30),
    ("receiver.finish", 15),
    ("receiver.hold_group", 8),
    ("uploader.hot_columns", 8),
    ("uploader.release_batch", 8),
    ("uploader.wait_for_end", 4),
    *_CHAIN,
)
_UPLOADER_CALLS = (
    ("job_store.begin_upload", 5),
    ("job_store.finish_upload", 4),
    ("job_store.job_of", 10),
    ("signer.sign_as_approver", 10),
    ("task_node.wake", 4),
    ("task_node.follow_upload", 4),
    ("chain.head_object", 6),
    ("chain.storage_params", 6),
    ("receiver.read_piece", 15),
)
_RECEIVER_CALLS = (
    ("job_store.open_group", 15),
    ("job_store.acknowledge_batch", 25),
    ("job_store.finish_group", 15),
    ("job_store.get_integrity", 10),
    ("signer.sign_as_approver", 15),
    ("chain.head_object_by_id", 20),
)
_COMMITS = (
    ("begin_upload", 5),
    ("finish_upload", 4),
    ("apply", 25),
    ("claim_jobs", 5),
    ("open_group", 12),
    ("acknowledge_batch", 20),
    ("finish_group", 12),
    ("reserve_transaction", 4),
    ("mark_transaction", 3),
    ("release_job", 3),
)
_STORE_CALLS = (
    (UPLOADER, "create", 5),
    (UPLOADER, "append", 10),
    (UPLOADER, "sync", 4),
    (UPLOADER, "finish", 4),
    (RECEIVER, "create", 15),
    (RECEIVER, "append", 25),
    (RECEIVER, "sync", 25),
    (RECEIVER, "finish", 15),
    (HOME, "read_into", 3),
)
_READS = ((HOME, "read_into", 3), (UPLOADER, "read_into", 12), (RECEIVER, "read_into", 10))

_DYING = (FaultKind.KILL, FaultKind.KILL_ALL, FaultKind.STOP)


def _spots() -> Iterator[tuple[Spot, int, tuple[FaultKind, ...]]]:
    """Each with the passings that come surely enough, and what can happen there."""
    sent, answered = FaultPoint.CALL_SENT, FaultPoint.CALL_ANSWERED
    calls = ((HOME, _HOME_CALLS), (UPLOADER, _UPLOADER_CALLS), (RECEIVER, _RECEIVER_CALLS))
    for host, named in calls:
        for name, passings in named:
            for point in (sent, answered):
                yield Spot(host, point, name), passings, (*_DYING, FaultKind.LOSE)
    for name in ("receiver.finish", "receiver.hold_group"):
        yield Spot(HOME, answered, name), 8, (FaultKind.LIE,)
    for name in ("chain.latest_height", "chain.account"):
        yield Spot(HOME, answered, name), 12, (FaultKind.LAG,)
    yield Spot(HOME, sent, "chain.broadcast_all"), 4, (FaultKind.MEMPOOL_FULL,)
    yield Spot(HOME, answered, "chain.broadcast_all"), 4, (FaultKind.MEMPOOL_LOST,)
    for name, passings in _COMMITS:
        failing = (FaultKind.FULL, FaultKind.BREAK)
        yield Spot(HOME, FaultPoint.COMMIT_BEGUN, name), passings, (*_DYING, *failing)
        yield Spot(HOME, FaultPoint.COMMIT_DONE, name), passings, (*_DYING, FaultKind.BREAK)
    for host, name, passings in _STORE_CALLS:
        full = () if name == "read_into" else (FaultKind.FULL,)
        kinds = (*_DYING, FaultKind.BREAK, *full)
        yield Spot(host, FaultPoint.STORE_CALLED, name), passings, kinds
        yield Spot(host, FaultPoint.STORE_RETURNED, name), passings, _DYING
    for host, name, passings in _READS:
        kinds = (FaultKind.FLIP, FaultKind.SHORT)
        yield Spot(host, FaultPoint.STORE_RETURNED, name), passings, kinds
    yield Spot(UPLOADER, FaultPoint.ANSWER_LEAVING, "put_object"), 4, (*_DYING, FaultKind.LOSE)
    for host in (HOME, RECEIVER):
        yield Spot(host, FaultPoint.CLOCK_READ, "clock"), 30, (FaultKind.CLOCK_JUMP,)


SPOTS = frozenset(spot for spot, _, _ in _spots())
"""All spots that a plan can name."""

_WEIGHTS = {
    FaultKind.KILL: 6,
    FaultKind.KILL_ALL: 1,
    FaultKind.STOP: 4,
    FaultKind.LOSE: 6,
    FaultKind.FULL: 2,
    FaultKind.BREAK: 2,
    FaultKind.FLIP: 2,
    FaultKind.SHORT: 1,
    FaultKind.LIE: 2,
    FaultKind.LAG: 2,
    FaultKind.MEMPOOL_FULL: 1,
    FaultKind.MEMPOOL_LOST: 2,
    FaultKind.CLOCK_JUMP: 2,
}


# --- drawing -------------------------------------------------------------------------------------

_SHAPES = ((4, 2, 7), (4, 2, 9), (2, 1, 4), (2, 1, 6))
"""k, m and the number of storage providers."""

_EDGES = (
    1,
    SEGMENT_SIZE_BYTES - 1,
    SEGMENT_SIZE_BYTES,
    SEGMENT_SIZE_BYTES + 1,
    BATCH_SEGMENTS * SEGMENT_SIZE_BYTES - 1,
    BATCH_SEGMENTS * SEGMENT_SIZE_BYTES,
    BATCH_SEGMENTS * SEGMENT_SIZE_BYTES + 1,
    9 * SEGMENT_SIZE_BYTES + 100,
)
_LARGEST_BYTES = 14 * SEGMENT_SIZE_BYTES


def plan_of(seed: int) -> Plan:
    """The same for the same seed, on any machine."""
    draw = Random(seed)
    k, m, sps = draw.choice(_SHAPES)
    clients = draw.randint(2, 3)
    objects = tuple(
        _object_of(draw, client, k + m)
        for client in range(clients)
        for _ in range(draw.randint(1, 3))
    )
    return Plan(seed, sps, k, m, objects, tuple(_faults_of(draw, draw.randint(4, 12))))


def _object_of(draw: Random, client: int, n: int) -> PlannedObject:
    edge = draw.random() < 0.6
    behaviours = [Behaviour.HONEST] * 6 + [Behaviour.BREAKS_OFF, Behaviour.SENDS_OTHER_BYTES]
    return PlannedObject(
        client,
        draw.choice(_EDGES) if edge else draw.randint(1, _LARGEST_BYTES),
        draw.random() < 0.25,
        draw.choice(behaviours),
        draw.choice([Damage.NONE] * 3 + list(Damage)),
        draw.choice([SEGMENTS, draw.randrange(n)]),
    )


def _faults_of(draw: Random, count: int) -> Iterator[PlannedFault]:
    places = list(_spots())
    for _ in range(count):
        [kind] = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        spot, passings, _ = draw.choice([place for place in places if kind in place[2]])
        yield PlannedFault(kind, spot, draw.randint(1, passings), _amount_of(draw, kind))


def _amount_of(draw: Random, kind: FaultKind) -> float:
    match kind:
        case FaultKind.STOP:
            return draw.choice([0.1, 0.5, 2.0])
        case FaultKind.LIE:
            return draw.randrange(3)
        case FaultKind.LAG:
            return draw.choice([1, 5, 40])
        case FaultKind.CLOCK_JUMP:
            return draw.choice([-7200, -60, -3, 3, 60, 3500, 7200])
        case _:
            return 0.0


# --- shrinking -----------------------------------------------------------------------------------


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The plan without any fault, and any object, that it fails without as well; ``fails`` is asked
    about plans that are smaller by one of them."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(plan):
            if fails(candidate):
                plan, smaller = candidate, True
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    for left_out in range(len(plan.faults)):
        yield replace(plan, faults=_without(plan.faults, left_out))
    for left_out in range(len(plan.objects)):
        yield replace(plan, objects=_without(plan.objects, left_out))


def _without(values: tuple[T, ...], index: int) -> tuple[T, ...]:
    return values[:index] + values[index + 1 :]
