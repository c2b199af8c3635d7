"""Which planned faults are due when a spot is passed, and what they do to an answer."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from greenray.chain.ports import Account
from greenray.protocol.errors import (
    ChainUnavailable,
    ComponentUnavailable,
    GreenrayError,
    JournalError,
    JournalFull,
    NoSpaceLeft,
    NoSuchPiece,
    StoreError,
)
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.seam.fault_points import FaultPoint
from tests.support.worlds.plan import FaultKind, PlannedFault, Spot

_COMMITS = (FaultPoint.COMMIT_BEGUN, FaultPoint.COMMIT_DONE)


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


_LIES: tuple[Callable[[UnverifiedReceipt], dict[str, Any]], ...] = (
    lambda receipt: {"integrity_hash": _flipped(receipt.integrity_hash)},
    lambda receipt: {"signature": _flipped(receipt.signature)},
    lambda receipt: {"operator_address": "0x" + "11" * 20},
)
"""What is false in a receipt."""


class FaultSchedule:
    """Counts the passings of all hosts, each spot for itself. Thread-safe."""

    def __init__(self, faults: tuple[PlannedFault, ...]) -> None:
        self._due: dict[tuple[Spot, int], list[PlannedFault]] = defaultdict(list)
        for fault in faults:
            self._due[fault.spot, fault.passing].append(fault)
        self._lock = threading.Lock()
        self._ceased = False
        self.passed: Counter[Spot] = Counter()
        self.happened: list[PlannedFault] = []

    def due(self, role: str, point: FaultPoint, where: str) -> list[PlannedFault]:
        """``where``: as the process says it."""
        due: list[PlannedFault] = []
        with self._lock:
            for name in names_in(point, where):
                spot = Spot(role, point, name)
                self.passed[spot] += 1
                if not self._ceased:
                    due += self._due.get((spot, self.passed[spot]), ())
            self.happened += due
        return due

    def cease(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._ceased = True


def names_in(point: FaultPoint, where: str) -> list[str]:
    """What passes, without the numbers of actors and objects."""
    if point in (FaultPoint.CALL_SENT, FaultPoint.CALL_ANSWERED):
        actor, _, method = where.partition(".")
        return [f"{actor.partition('-')[0]}.{method}"]
    if point in _COMMITS:
        return [write.split()[0] for write in where.split(", ")]
    return [where]


def error_of(fault: PlannedFault, where: str) -> GreenrayError:
    """What is raised where the fault is that something fails."""
    is_commit = fault.spot.point in _COMMITS
    match fault.kind:
        case FaultKind.LOSE if where.startswith("chain."):
            return ChainUnavailable("the world has lost it", where)
        case FaultKind.LOSE:
            return ComponentUnavailable("the world has lost it", where)
        case FaultKind.FULL:
            return (JournalFull if is_commit else NoSpaceLeft)("the world is full", where)
        case FaultKind.BREAK:
            return (JournalError if is_commit else StoreError)("the world's disk fails", where)
        case FaultKind.SHORT:
            return NoSuchPiece("the world does not find it", where)
        case _:
            raise ValueError(f"{fault.kind} is no error")


def falsified(fault: PlannedFault, value: Any) -> Any:
    """``value``, as the fault has it; what was read is changed where it lies."""
    match fault.kind, value:
        case FaultKind.LIE, UnverifiedReceipt():
            return replace(value, **_LIES[int(fault.amount)](value))
        case FaultKind.LAG, Account():
            return replace(value, sequence=max(0, value.sequence - int(fault.amount)))
        case FaultKind.LAG, int():
            return max(1, value - int(fault.amount))
        case FaultKind.FLIP, ((*_, buffers), _):
            memoryview(buffers[0])[0] ^= 1
            return value
        case _:
            raise ValueError(f"{fault.kind} of {type(value).__name__}")
