"""A timeline as values: what ``status --timeline --json`` says, and what can be asked of it.

Times are seconds since the timeline's beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from greenray.protocol.document_form import NULL, misfit
from greenray.protocol.errors import InvalidInput
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.timeline.stage_trace import Stage

WAITING = frozenset(
    {Stage.RECEIVED, Stage.OPENED, Stage.SENT, Stage.RECEIPT, Stage.SUBMITTED, Stage.SEALED}
)
"""Stages in which whoever keeps the interval waits for others; in all others it works itself."""

_PRIMARY_ROWS = (
    Stage.RECEIVED,
    Stage.HASHED,
    Stage.WRITTEN,
    Stage.KEPT_HOT,
    Stage.SIGNED,
    Stage.APPROVED,
    Stage.READ,
    Stage.ENCODED,
)
_SECONDARY_ROWS = (Stage.SENT, Stage.STORED)
_SECONDARIES_ROWS = (Stage.OPENED, Stage.HASHED, Stage.WRITTEN, Stage.SIGNED, Stage.RECEIPT)
_SEAL_ROWS = (Stage.SUBMITTED, Stage.RESERVED, Stage.BROADCAST, Stage.SEALED)

_STATE_NAMES = frozenset(state.name for state in JobState)
_STAGES = frozenset(stage.value for stage in Stage)
_STAGE = {
    "stage": _STAGES,
    "redundancy_index": int,
    "operator_address": str,
    "batch": (NULL, int),
    "start_s": float,
    "end_s": float,
    "size_bytes": int,
    "process": str,
    "pid": int,
    "node": str,
    "failed": bool,
}
"""In the order of ``StageSpan``."""
_FORM = {
    "bucket": str,
    "object": str,
    "object_id": int,
    "payload_size_bytes": int,
    "state": _STATE_NAMES,
    "final": bool,
    "batches": int,
    "began_at": float,
    "one_clock": bool,
    "states": [{"state": _STATE_NAMES, "start_s": float, "end_s": (NULL, float)}],
    "secondaries": [{"redundancy_index": int, "operator_address": str, "hosted": bool}],
    "stages": [_STAGE],
    "cpu": [{"node": str, "use": [{"start_s": float, "end_s": float, "busy_shares": [float]}]}],
    "missing": [{"stage": _STAGES, "redundancy_index": int, "batches": [int]}],
    "silent": [str],
}

Span = tuple[float, float]
"""From and to, in seconds."""


@dataclass(frozen=True, slots=True)
class StateSpan:
    """``end_s`` is None for the state that the job is in."""

    state: JobState
    start_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One stage of one batch (``batch`` None: once for the object, or the replicate group).

    ``operator_address``: the SP for or by which it was done; ``redundancy_index`` -1: the primary.
    """

    stage: Stage
    redundancy_index: int
    operator_address: str
    batch: int | None
    start_s: float
    end_s: float
    size_bytes: int
    process: str
    pid: int
    node: str
    failed: bool


@dataclass(frozen=True, slots=True)
class CpuSpan:
    """``busy_shares``: by core, 0 to 1."""

    start_s: float
    end_s: float
    busy_shares: tuple[float, ...]

    @property
    def idle_cores(self) -> float:
        return len(self.busy_shares) - sum(self.busy_shares)


@dataclass(frozen=True, slots=True)
class NodeCpu:
    node: str
    use: tuple[CpuSpan, ...]


@dataclass(frozen=True, slots=True)
class TimelineSecondary:
    """``hosted``: its own stages are known as well, not only what the sender saw."""

    redundancy_index: int
    operator_address: str
    hosted: bool


@dataclass(frozen=True, slots=True)
class MissingStage:
    """What has happened, but no process remembers; no ``batches``: it is done once."""

    stage: Stage
    redundancy_index: int
    batches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StageRow:
    """All intervals of one stage at one place. ``busy_s``: in how much time at least one of them
    was in progress; ``summed_s``: of all of them together."""

    label: str
    spans: tuple[StageSpan, ...]

    @property
    def stage(self) -> Stage:
        return self.spans[0].stage

    @property
    def busy(self) -> tuple[Span, ...]:
        return joined((span.start_s, span.end_s) for span in self.spans)

    @property
    def busy_s(self) -> float:
        return sum(end - start for start, end in self.busy)

    @property
    def summed_s(self) -> float:
        return sum(span.end_s - span.start_s for span in self.spans)

    @property
    def size_bytes(self) -> int:
        return sum(span.size_bytes for span in self.spans)

    @property
    def failures(self) -> int:
        return sum(span.failed for span in self.spans)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing was worked on. ``waiting``: the rows that were in progress;
    ``idle_share``: of all cores, None where it is not known."""

    start_s: float
    end_s: float
    waiting: tuple[str, ...]
    idle_share: float | None

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Timeline:
    """How one object went through its primary and secondaries. ``began_at``: unix seconds.

    ``one_clock``: all processes share a machine's clock; otherwise those of other machines are
    placed by unix time. ``silent``: processes that did not answer.
    """

    bucket_name: str
    object_name: str
    object_id: int
    payload_size_bytes: int
    state: JobState
    final: bool
    batches: int
    began_at: float
    one_clock: bool
    states: tuple[StateSpan, ...]
    secondaries: tuple[TimelineSecondary, ...]
    stages: tuple[StageSpan, ...]
    cpu: tuple[NodeCpu, ...]
    missing: tuple[MissingStage, ...]
    silent: tuple[str, ...]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Raises InvalidInput: it is no timeline."""
        problem = misfit(document, _FORM, "job-timeline")
        if problem is not None:
            raise InvalidInput(f"the timeline cannot be read: {problem}")
        return cls(
            bucket_name=document["bucket"],
            object_name=document["object"],
            object_id=document["object_id"],
            payload_size_bytes=document["payload_size_bytes"],
            state=JobState[document["state"]],
            final=document["final"],
            batches=document["batches"],
            began_at=document["began_at"],
            one_clock=document["one_clock"],
            states=tuple(
                StateSpan(JobState[s["state"]], s["start_s"], s["end_s"])
                for s in document["states"]
            ),
            secondaries=tuple(
                TimelineSecondary(s["redundancy_index"], s["operator_address"], s["hosted"])
                for s in document["secondaries"]
            ),
            stages=tuple(
                StageSpan(Stage(s["stage"]), *(s[name] for name in _STAGE if name != "stage"))
                for s in document["stages"]
            ),
            cpu=tuple(
                NodeCpu(
                    node["node"],
                    tuple(
                        CpuSpan(u["start_s"], u["end_s"], tuple(u["busy_shares"]))
                        for u in node["use"]
                    ),
                )
                for node in document["cpu"]
            ),
            missing=tuple(
                MissingStage(Stage(m["stage"]), m["redundancy_index"], tuple(m["batches"]))
                for m in document["missing"]
            ),
            silent=tuple(document["silent"]),
        )

    @property
    def name(self) -> str:
        """``bucket/object``"""
        return f"{self.bucket_name}/{self.object_name}"

    @property
    def end_s(self) -> float:
        """When the last thing happened that is known."""
        ends = [span.end_s for span in self.stages] + [state.start_s for state in self.states]
        return max(ends)

    def __str__(self) -> str:
        return f"{self.name}: {self.end_s:.3f} s, {len(self.stages)} stages, {self.state.name}"

    # --- rows ------------------------------------------------------------------------------------

    @property
    def rows(self) -> tuple[StageRow, ...]:
        """From the first stage to the last: the primary's, each secondary's, the seal."""
        return tuple(row for row in self._all_rows() if row.spans)

    def _all_rows(self) -> Iterator[StageRow]:
        indices = sorted({s.redundancy_index for s in self.stages} - {SEGMENTS})
        for stage in _PRIMARY_ROWS:
            yield self._row(stage.value, stage, [SEGMENTS])
        for index in indices:
            for stage in _SECONDARY_ROWS:
                yield self._row(f"{stage.value} {index}", stage, [index])
        for stage in _SECONDARIES_ROWS:
            yield self._row(f"{stage.value} 0-{indices[-1] if indices else 0}", stage, indices)
        for stage in _SEAL_ROWS:
            yield self._row(stage.value, stage, [SEGMENTS])

    def _row(self, label: str, stage: Stage, indices: Sequence[int]) -> StageRow:
        spans = [s for s in self.stages if s.stage is stage and s.redundancy_index in indices]
        return StageRow(label, tuple(spans))

    # --- cores -----------------------------------------------------------------------------------

    def idle_share(self, start_s: float = 0.0, end_s: float | None = None) -> float | None:
        """Of all cores of all nodes with samples, between two moments; None without samples."""
        limit_s = self.end_s if end_s is None else end_s
        idle = cores = 0.0
        for node in self.cpu:
            for use in node.use:
                seconds = min(use.end_s, limit_s) - max(use.start_s, start_s)
                if seconds > 0:
                    idle += seconds * use.idle_cores
                    cores += seconds * len(use.busy_shares)
        return idle / cores if cores else None

    def gaps(self, at_least_s: float = 0.0) -> tuple[Gap, ...]:
        """When nothing was worked on, by length, the longest first."""
        rows = self.rows
        working = joined(span for row in rows if row.stage not in WAITING for span in row.busy)
        moments = [0.0, *(moment for span in working for moment in span), self.end_s]
        between = zip(moments[::2], moments[1::2], strict=True)
        gaps = [
            Gap(start, end, self._waiting(rows, start, end), self.idle_share(start, end))
            for start, end in between
            if end - start > at_least_s
        ]
        return tuple(sorted(gaps, key=lambda gap: -gap.seconds))

    def _waiting(self, rows: Iterable[StageRow], start_s: float, end_s: float) -> tuple[str, ...]:
        middle_s = (start_s + end_s) / 2
        return tuple(
            row.label
            for row in rows
            if row.stage in WAITING and any(a <= middle_s <= b for a, b in row.busy)
        )


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order that do not meet, and cover the same time."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def covered_shares(spans: Sequence[Span], end_s: float, parts: int) -> list[float]:
    """The share, 0 to 1, of each of ``parts`` equal parts of the timeline that ``spans`` (as
    ``joined`` makes them) cover."""
    part_s = end_s / parts
    shares = [0.0] * parts
    if not part_s:
        return shares
    for start, end in spans:
        first, last = int(start / part_s), min(parts - 1, int(end / part_s))
        for part in range(min(first, parts - 1), last + 1):
            seconds = min(end, (part + 1) * part_s) - max(start, part * part_s)
            shares[part] += max(0.0, seconds) / part_s
    return shares
