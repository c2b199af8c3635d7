"""What is done about a process that has died or does not answer, and when nothing helps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from greenray.client.network_health import NetworkHealth, NetworkState
from greenray.cluster.supervision.settings import SupervisionSettings

WINDOW_S = 60.0
"""In which the failures of one component are counted."""

_STOPPED_S = 1.0
"""Two rounds see it: what a shell stops and lets go on at once is left alone."""


class Kind(Enum):
    """Who starts a component again."""

    ACTOR = "Ray does, when its process is gone"
    WORKER = "Ray does, when there is work; nobody waits for its answers"
    SERVER = "nobody: GCS, raylet and its agents cannot be without each other"
    CHAIN = "the network does, when its process is gone"
    NODE = "somebody else does: a chain that is not ours"


class LifeSign(Enum):
    """In words that follow the component's name."""

    ANSWERS = "answers"
    SILENT = "does not answer"
    STOPPED = "is stopped"
    AWAY = "has died"


class Remedy(Enum):
    NONE = "nothing, or wait"
    KILL = "its process, so that whoever starts it again does"
    RENEW = "all of Ray, with all actors"


@dataclass(frozen=True, slots=True)
class Vital:
    """How a component was found; ``bad_for_s``: for how long it has not answered, as far as it was
    looked at."""

    name: str
    kind: Kind
    condition: LifeSign
    bad_for_s: float = 0.0

    @property
    def is_well(self) -> bool:
        return self.condition is LifeSign.ANSWERS

    def __str__(self) -> str:
        return f"{self.name} {self.condition.value}"


def remedy(vital: Vital, settings: SupervisionSettings) -> Remedy:
    """What to do about a component now."""
    if vital.is_well or vital.kind is Kind.NODE:
        return Remedy.NONE
    if vital.condition is LifeSign.AWAY:
        is_late = vital.kind is Kind.ACTOR and vital.bad_for_s >= settings.start_s
        return Remedy.RENEW if vital.kind is Kind.SERVER or is_late else Remedy.NONE
    patience_s = _STOPPED_S if vital.condition is LifeSign.STOPPED else settings.silence_s
    if vital.bad_for_s < patience_s:
        return Remedy.NONE
    return Remedy.RENEW if vital.kind is Kind.SERVER else Remedy.KILL


@dataclass(frozen=True, slots=True)
class ComponentFailure:
    """``at_s``: on a clock that never goes back. ``cause``: a sentence."""

    component: str
    at_s: float
    cause: str


def recent(failures: Sequence[ComponentFailure], now_s: float) -> tuple[ComponentFailure, ...]:
    """Those that count still."""
    return tuple(f for f in failures if now_s - f.at_s <= WINDOW_S)


def too_many(failures: Sequence[ComponentFailure], settings: SupervisionSettings) -> str | None:
    """Why to give up, of recent failures in the order in which they came; None: go on."""
    if not failures:
        return None
    last = failures[-1]
    count = sum(failure.component == last.component for failure in failures)
    if count <= settings.failures_per_minute:
        return None
    return f"{last.component} failed {count} times within {WINDOW_S:g} s, at last: {last.cause}"


def health_of(vitals: Sequence[Vital], renewing: str = "") -> NetworkHealth:
    """``renewing``: why Ray is being started anew, while it is."""
    troubles = tuple(str(vital) for vital in vitals if not vital.is_well)
    if renewing:
        troubles = (f"Ray and all actors are started anew, since {renewing}", *troubles)
    return NetworkHealth(NetworkState.DEGRADED if troubles else NetworkState.RUNNING, troubles)
