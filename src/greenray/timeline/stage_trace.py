"""When the stages of each object were worked on, kept by the process that worked on them.

Nothing of it is ever written, sent along or waited for: a process keeps its last intervals in
memory, and whoever draws a timeline asks every process for those of one object (decision 0013).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

from greenray.protocol.layout import SEGMENTS
from greenray.seam.travel import alone
from greenray.timeline.cpu_samples import CpuSample, CpuSampler

P = ParamSpec("P")
T = TypeVar("T")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_INTERVALS = 16_384
"""Of one process: about 4 MB, a thousand small objects or 30 GiB of large ones."""


class Stage(Enum):
    """What is done to a batch, or (from approved on) once for an object or a replicate group.

    Those of redundancy index -1 are done by the primary, others by or for that secondary.
    """

    RECEIVED = "received"
    """From the first byte of the batch until it is full: the client sets the pace."""
    HASHED = "hashed"
    WRITTEN = "written"
    """At a secondary: and synced."""
    KEPT_HOT = "kept hot"
    """Copied into the object space."""
    READ = "read"
    """From the PieceStore, because it was not hot (any more)."""
    ENCODED = "encoded"
    SENT = "sent"
    """As the sender sees it: until the secondary acknowledged the batch."""
    STORED = "stored"
    """As the Receiver sees it: hashed, written, synced, and recorded in its journal."""
    APPROVED = "approved"
    """One approval round."""
    OPENED = "opened"
    """As the sender sees it: until the secondary took the approval and the group is open."""
    SIGNED = "signed"
    """The integrity hash: the last sync, the signature, and the integrity record."""
    RECEIPT = "receipt"
    """As the sender sees it: asked for and verified."""
    SUBMITTED = "submitted"
    """The seal, as the TaskNode sees it: until the transaction is on its way."""
    RESERVED = "reserved"
    """The seal transaction: signed, and committed with its nonce to the journal."""
    BROADCAST = "broadcast"
    """The seal transaction: until the chain's node has taken it."""
    SEALED = "sealed"
    """From then on until the chain shows the object sealed."""


@dataclass(frozen=True, slots=True)
class StageInterval:
    """One stage of one batch, by the clock of the process that keeps it (``TraceClock``).

    ``sp_address``: the SP for or by which it was done. ``batch_index`` is None for what is done
    once. ``pid``: of the process that did it. ``failed``: it ended with an error.
    """

    object_id: int
    stage: Stage
    sp_address: str
    redundancy_index: int
    batch_index: int | None
    begin_ns: int
    end_ns: int
    size_bytes: int
    pid: int
    failed: bool


@dataclass(frozen=True, slots=True)
class TraceClock:
    """CLOCK_MONOTONIC of one machine since it was started: all processes there share it."""

    boot_id: str
    wall_offset_ns: int
    """What makes it unix time."""

    @classmethod
    def here(cls) -> TraceClock:
        return cls(_boot_id(), time.time_ns() - time.monotonic_ns())

    def translate(self, at_ns: int, clock: TraceClock) -> int:
        """A moment of ``clock`` by this one: exact on one machine, by unix time between two."""
        if clock.boot_id == self.boot_id:
            return at_ns
        return at_ns + clock.wall_offset_ns - self.wall_offset_ns


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux: there the clock is shared as well
        return os.uname().nodename


@dataclass(frozen=True, slots=True)
class TracePart:
    """What one process knows of one object. ``cpu``: samples of its machine while it worked."""

    pid: int
    node: str
    clock: TraceClock
    intervals: tuple[StageInterval, ...]
    cpu: tuple[CpuSample, ...]


class TraceSource(Protocol):
    """A process that keeps stages."""

    @alone
    async def trace_of(self, object_id: int) -> TracePart:
        """The stages of an object that are still kept; there may be none."""


class StageTrace:
    """The last intervals of one process. Threads may add to it."""

    def __init__(self, capacity: int = _INTERVALS) -> None:
        self._pid = os.getpid()
        self._intervals: deque[StageInterval] = deque(maxlen=capacity)
        self.cpu = CpuSampler()

    def of(self, object_id: int, sp_address: str, redundancy_index: int = SEGMENTS) -> ObjectStages:
        """Where the stages of one object, or of one replicate group of it, are added."""
        return ObjectStages(self._intervals, object_id, sp_address, redundancy_index, self._pid)

    def part(self, object_id: int) -> TracePart:
        intervals = tuple(i for i in tuple(self._intervals) if i.object_id == object_id)
        cpu: tuple[CpuSample, ...] = ()
        if intervals:
            begin_ns = min(i.begin_ns for i in intervals)
            cpu = self.cpu.samples(begin_ns, max(i.end_ns for i in intervals))
        return TracePart(self._pid, os.uname().nodename, TraceClock.here(), intervals, cpu)


@dataclass(frozen=True, slots=True)
class ObjectStages:
    """Adds the stages of one object, or of one replicate group of it, to a process's trace."""

    _intervals: deque[StageInterval]
    _object_id: int
    _sp_address: str
    _redundancy_index: int
    _pid: int

    def during(self, stage: Stage, batch_index: int | None = None, size_bytes: int = 0) -> _Running:
        """A context that is the stage: added when it is left, as failed if by an exception."""
        return _Running(self, stage, batch_index, size_bytes)

    def timed(
        self, stage: Stage, batch_index: int, size_bytes: int, call: Callable[P, T]
    ) -> Callable[P, T]:
        """``call``, which does the stage, for a thread: what it waits before does not count."""

        def work(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.during(stage, batch_index, size_bytes):
                return call(*args, **kwargs)

        return work

    def add(
        self,
        stage: Stage,
        batch_index: int | None,
        size_bytes: int,
        begin_ns: int,
        end_ns: int | None = None,
        *,
        pid: int | None = None,
        failed: bool = False,
    ) -> None:
        """A stage that has ended (None: now) by this machine's clock, in process ``pid`` (None:
        this one)."""
        self._intervals.append(
            StageInterval(
                self._object_id,
                stage,
                self._sp_address,
                self._redundancy_index,
                batch_index,
                begin_ns,
                time.monotonic_ns() if end_ns is None else end_ns,
                size_bytes,
                self._pid if pid is None else pid,
                failed,
            )
        )


class _Running:
    """A stage that is being worked on."""

    __slots__ = ("_batch_index", "_begin_ns", "_size_bytes", "_stage", "_stages")

    def __init__(
        self, stages: ObjectStages, stage: Stage, batch_index: int | None, size_bytes: int
    ) -> None:
        self._stages = stages
        self._stage = stage
        self._batch_index = batch_index
        self._size_bytes = size_bytes
        self._begin_ns = 0

    def __enter__(self) -> None:
        self._begin_ns = time.monotonic_ns()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stages.add(
            self._stage,
            self._batch_index,
            self._size_bytes,
            self._begin_ns,
            failed=error_type is not None,
        )


@dataclass(frozen=True, slots=True)
class WorkTime:
    """When a process that keeps no trace of its own (an encode task) did its work."""

    clock: TraceClock
    begin_ns: int
    end_ns: int
    pid: int

    def add_to(self, stages: ObjectStages, stage: Stage, batch_index: int, size_bytes: int) -> None:
        here = TraceClock.here()
        begin_ns = here.translate(self.begin_ns, self.clock)
        end_ns = here.translate(self.end_ns, self.clock)
        stages.add(stage, batch_index, size_bytes, begin_ns, end_ns, pid=self.pid)


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Made where work begins; ``read`` where it ends."""

    begin_ns: int

    @classmethod
    def start(cls) -> Stopwatch:
        return cls(time.monotonic_ns())

    def read(self) -> WorkTime:
        return WorkTime(TraceClock.here(), self.begin_ns, time.monotonic_ns(), os.getpid())
