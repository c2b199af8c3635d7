"""The JSON that ``status --timeline --json`` prints: the states of a job from the journal, and the
stages of its batches from what processes remember. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, zip_longest
from typing import Any

from greenray.protocol.errors import NoTrace
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.job_table import UPLOADER_STATES
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.timeline.collection import CollectedTrace
from greenray.timeline.cpu_samples import CpuSample, core_use
from greenray.timeline.stage_trace import Stage, StageInterval, TraceClock, TracePart

_CPU_STEP_NS = 40_000_000
_ENCODE_WORKER = "encode worker"

_Place = tuple[Stage, int]
"""A stage and the redundancy index of its column."""


def job_timeline(
    object_info: ObjectInfo,
    job: JobContext | None,
    trace: CollectedTrace,
    here: TraceClock,
    hosted: Collection[str],
) -> dict[str, Any]:
    """JSON-ready; times in seconds since ``began_at`` (unix seconds).

    Args:
        here: any clock of the machine whose time is shown.
        hosted: operator addresses of the SPs whose Receivers are among the processes.

    Raises: NoTrace.
    """
    intervals = [
        (name, part, interval) for name, part in trace.parts.items() for interval in part.intervals
    ]
    if job is None:
        raise NoTrace(
            "no payload of the object has come to this provider",
            object_info.name,
            "Put its payload first.",
        )
    if not intervals:
        raise NoTrace(
            "no process remembers a stage of the object",
            object_info.name,
            "Stages are kept in memory, until a restart or many later objects; the states of the "
            f"job are in: greenray status {object_info.name}",
        )
    created_ns = int(job.created_at * 1e9) - here.wall_offset_ns
    zero_ns = min(
        created_ns, min(here.translate(i.begin_ns, part.clock) for _, part, i in intervals)
    )
    scale = _Scale(here, zero_ns)
    return {
        "bucket": object_info.bucket_name,
        "object": object_info.object_name,
        "object_id": object_info.id,
        "payload_size_bytes": object_info.payload_size,
        "state": job.state.name,
        "final": job.final,
        "batches": _layout(job).batch_count,
        "began_at": (zero_ns + here.wall_offset_ns) / 1e9,
        "one_clock": all(p.clock.boot_id == here.boot_id for _, p, _ in intervals),
        "states": _states(job, scale),
        "secondaries": [
            {
                "redundancy_index": receipt.redundancy_index,
                "operator_address": receipt.operator_address,
                "hosted": receipt.operator_address in hosted,
            }
            for receipt in job.secondaries
        ],
        "stages": sorted(
            (_stage(name, part, interval, scale) for name, part, interval in intervals),
            key=lambda stage: (stage["start_s"], stage["end_s"]),
        ),
        "cpu": _cpu(trace.parts, scale),
        "missing": _missing(job, [interval for _, _, interval in intervals], hosted),
        "silent": list(trace.silent),
    }


class _Scale:
    """Seconds on the timeline."""

    def __init__(self, here: TraceClock, zero_ns: int) -> None:
        self.here = here
        self._zero_ns = zero_ns

    def of_clock(self, at_ns: int, clock: TraceClock) -> float:
        return round((self.here.translate(at_ns, clock) - self._zero_ns) / 1e9, 6)

    def of_unix_time(self, at_s: float) -> float:
        return round((at_s * 1e9 - self.here.wall_offset_ns - self._zero_ns) / 1e9, 6)


def _layout(job: JobContext) -> PayloadLayout:
    return PayloadLayout.of(job.object_info, job.params, job.batch_segments)


def _states(job: JobContext, scale: _Scale) -> list[dict[str, Any]]:
    """``end_s`` of the last one is None."""
    begins = [(JobState.INIT_UNSPECIFIED, job.created_at), *((c.state, c.at) for c in job.history)]
    return [
        {
            "state": state.name,
            "start_s": scale.of_unix_time(at),
            "end_s": None if following is None else scale.of_unix_time(following[1]),
        }
        for (state, at), following in zip_longest(begins, begins[1:])
    ]


def _stage(name: str, part: TracePart, interval: StageInterval, scale: _Scale) -> dict[str, Any]:
    return {
        "stage": interval.stage.value,
        "redundancy_index": interval.redundancy_index,
        "operator_address": interval.sp_address,
        "batch": interval.batch_index,
        "start_s": scale.of_clock(interval.begin_ns, part.clock),
        "end_s": scale.of_clock(interval.end_ns, part.clock),
        "size_bytes": interval.size_bytes,
        "process": name if interval.pid == part.pid else _ENCODE_WORKER,
        "pid": interval.pid,
        "node": part.node,
        "failed": interval.failed,
    }


def _cpu(parts: Mapping[str, TracePart], scale: _Scale) -> list[dict[str, Any]]:
    """By node; several processes of one may have taken samples."""
    samples: dict[str, list[CpuSample]] = {}
    of_node: dict[str, TracePart] = {}
    for part in parts.values():
        if part.cpu:
            samples.setdefault(part.clock.boot_id, []).extend(part.cpu)
            of_node[part.clock.boot_id] = part
    return [
        {
            "node": of_node[boot_id].node,
            "use": [
                {
                    "start_s": scale.of_clock(use.begin_ns, of_node[boot_id].clock),
                    "end_s": scale.of_clock(use.end_ns, of_node[boot_id].clock),
                    "busy_shares": [round(share, 3) for share in use.busy_shares],
                }
                for use in core_use(taken, _CPU_STEP_NS)
            ],
        }
        for boot_id, taken in samples.items()
    ]


def _missing(
    job: JobContext, intervals: Collection[StageInterval], hosted: Collection[str]
) -> list[dict[str, Any]]:
    """Stages that the journal says have happened, and that no process remembers; ``batches`` is
    empty for what is done once."""
    found: dict[_Place, set[int]] = {}
    for interval in intervals:
        batches = found.setdefault((interval.stage, interval.redundancy_index), set())
        if interval.batch_index is not None:
            batches.add(interval.batch_index)
    all_batches = set(range(_layout(job).batch_count))
    missing = [
        (place, sorted(all_batches - found.get(place, set())))
        for place in _batch_stages(job, hosted)
        if all_batches - found.get(place, set())
    ]
    once = [(place, list[int]()) for place in _single_stages(job, hosted) if place not in found]
    return [
        {"stage": stage.value, "redundancy_index": index, "batches": batches}
        for (stage, index), batches in chain(missing, once)
    ]


def _batch_stages(job: JobContext, hosted: Collection[str]) -> Iterator[_Place]:
    """What every batch has been through, according to the journal."""
    layout = _layout(job)
    if job.state not in UPLOADER_STATES:
        yield from ((stage, SEGMENTS) for stage in (Stage.RECEIVED, Stage.HASHED, Stage.WRITTEN))
    if any(r.redundancy_index >= layout.k for r in job.secondaries) and not layout.replica:
        yield Stage.ENCODED, SEGMENTS
    for receipt in job.secondaries:
        yield Stage.SENT, receipt.redundancy_index
        if receipt.operator_address in hosted:
            for stage in (Stage.HASHED, Stage.WRITTEN, Stage.STORED):
                yield stage, receipt.redundancy_index


def _single_stages(job: JobContext, hosted: Collection[str]) -> Iterator[_Place]:
    if job.state not in UPLOADER_STATES:
        yield Stage.SIGNED, SEGMENTS
    if job.secondaries:
        yield Stage.APPROVED, SEGMENTS
    for receipt in job.secondaries:
        yield Stage.OPENED, receipt.redundancy_index
        yield Stage.RECEIPT, receipt.redundancy_index
        if receipt.operator_address in hosted:
            yield Stage.SIGNED, receipt.redundancy_index
    if job.state is JobState.SEAL_OBJECT_DONE:
        yield Stage.SUBMITTED, SEGMENTS
        if job.seal_tx_hash is not None:  # else another's transaction has sealed the object
            yield Stage.RESERVED, SEGMENTS
            yield Stage.BROADCAST, SEGMENTS
        yield Stage.SEALED, SEGMENTS
