"""What each stage of the upload path costs on this machine: CPU time of its processes, measured.

Uploaders, Receivers and encode tasks have processes of their own, so that the system's accounting
tells these stages apart; what a network has one of is one stage, "home". Two kinds of objects,
large and small ones, give the cost per GB and per object; what the same processes spend when
nothing happens is taken off. The embedded chain is left out: a real one runs elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import psutil

from greenray.capacity.cpu_clock import process_cpu_s
from greenray.capacity.planning import Place, StageCost
from greenray.protocol.errors import InvalidInput

_GB = 1e9

_ENCODE = "encode tasks"
_HOME = "home"
_RAYLET = "Ray on each node"
_RAY = "Ray's control"
_EMBEDDED_CHAIN = "greenray.chain.local"
_HOSTS: Mapping[str, tuple[str, Place]] = MappingProxyType(
    {
        "Uploader": ("Uploader and Gateway", Place.NODE),
        "Receiver": ("Receivers", Place.NODE),
        "Home": (_HOME, Place.CLUSTER),
        "DashboardAgent": (_RAYLET, Place.NODE),
        "RuntimeEnvAgent": (_RAYLET, Place.NODE),
    }
)
"""By what Ray shows as the process's name (``node_config.host_title``)."""
_PLACES: Mapping[str, Place] = MappingProxyType(
    {
        **dict(_HOSTS.values()),
        _ENCODE: Place.ANYWHERE,
        _RAY: Place.CLUSTER,
    }
)


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """CPU seconds of a process since it began; of each of its threads by thread id."""

    stage: str
    cpu_s: float
    threads_s: Mapping[int, float]


Use = Mapping[int, ProcessUse]
"""By process id."""


def network_use(pid: int) -> Use:
    """Of all processes below ``pid``, which runs a network, that belong to a stage."""
    found: dict[int, ProcessUse] = {}
    for process in psutil.Process(pid).children(recursive=True):
        try:
            stage = stage_of(process.cmdline(), process.name())
            if stage is not None:
                found[process.pid] = _use_of(process, stage)
        except psutil.NoSuchProcess:
            continue
    return found


def _use_of(process: psutil.Process, stage: str) -> ProcessUse:
    threads_s = {t.id: t.user_time + t.system_time for t in process.threads()}  # in ticks
    return ProcessUse(stage, process_cpu_s(process), threads_s)


def stage_of(command: list[str], name: str) -> str | None:
    """The stage of a process by its command line, as Ray sets it; None: of the embedded chain."""
    if _EMBEDDED_CHAIN in command:
        return None
    title = command[0] if command else name
    if title.startswith("ray::"):
        host = title.removeprefix("ray::").split(".")[0]
        return _HOSTS[host][0] if host in _HOSTS else _ENCODE
    if any(part.endswith("default_worker.py") for part in command):
        return _ENCODE
    return _RAYLET if name == "raylet" else _RAY


@dataclass(frozen=True, slots=True)
class StageUse:
    """``cpu_s`` of all processes; ``serial_s``: the sum of their busiest threads'."""

    cpu_s: float = 0.0
    serial_s: float = 0.0
    processes: int = 0


def spent(before: Use, after: Use) -> dict[str, StageUse]:
    """By stage. Processes that were not there before are left out: what they cost is their start,
    which a warm-up is for."""
    found: dict[str, StageUse] = {}
    for pid in before.keys() & after.keys():
        old, new = before[pid], after[pid]
        busiest_s = max(
            (s - old.threads_s.get(thread, 0.0) for thread, s in new.threads_s.items()), default=0.0
        )
        of_stage = found.get(new.stage, StageUse())
        found[new.stage] = StageUse(
            of_stage.cpu_s + new.cpu_s - old.cpu_s,
            of_stage.serial_s + busiest_s,
            of_stage.processes + 1,
        )
    return found


@dataclass(frozen=True, slots=True)
class Spell:
    """What was spent while ``objects`` with ``payload_bytes`` in all went from put to sealed."""

    seconds: float
    objects: int
    payload_bytes: int
    stages: Mapping[str, StageUse] = field(default_factory=dict)

    def beyond(self, idle: Spell, stage: str) -> StageUse:
        """Less what is spent in as much idle time."""
        share = self.seconds / idle.seconds
        busy, rest = self.stages.get(stage, StageUse()), idle.stages.get(stage, StageUse())
        return StageUse(
            max(0.0, busy.cpu_s - share * rest.cpu_s),
            max(0.0, busy.serial_s - share * rest.serial_s),
            busy.processes,
        )


def spell_during(pid: int, work: Callable[[], object], objects: int, payload_bytes: int) -> Spell:
    """What the network that the process ``pid`` runs spends while ``work`` puts so many objects,
    of so many bytes together, and waits for their seals."""
    before, began_at = network_use(pid), time.monotonic()
    work()
    seconds = time.monotonic() - began_at
    return Spell(seconds, objects, payload_bytes, spent(before, network_use(pid)))


def stage_costs(idle: Spell, large: Spell, small: Spell) -> tuple[StageCost, ...]:
    """Cost per GB and per object of every stage, dearest per GB first.

    Raises InvalidInput when the objects are of one size, so that the two cannot be told apart.
    """
    large_gb, small_gb = large.payload_bytes / _GB, small.payload_bytes / _GB
    determinant = large_gb * small.objects - small_gb * large.objects
    if determinant <= 0 or idle.seconds <= 0:
        raise InvalidInput("the large objects must be larger than the small ones", "stage costs")

    def fitted(of_large: float, of_small: float) -> tuple[float, float]:
        """(per GB, per object); noise is not let below zero."""
        per_gb = (of_large * small.objects - of_small * large.objects) / determinant
        per_object = (large_gb * of_small - small_gb * of_large) / determinant
        return max(0.0, per_gb), max(0.0, per_object)

    costs = []
    for name in large.stages:
        in_large, in_small = large.beyond(idle, name), small.beyond(idle, name)
        cpu_s_per_gb, cpu_s_per_object = fitted(in_large.cpu_s, in_small.cpu_s)
        serial_s_per_gb, serial_s_per_object = fitted(in_large.serial_s, in_small.serial_s)
        costs.append(
            StageCost(
                name,
                _PLACES[name],
                cpu_s_per_gb,
                cpu_s_per_object,
                serial_s_per_gb,
                serial_s_per_object,
                in_large.processes if _PLACES[name] is Place.NODE else 1,
            )
        )
    return tuple(sorted(costs, key=lambda cost: -cost.cpu_s_per_gb))
