"""A timeline in the trace event format, which ui.perfetto.dev and chrome://tracing open.

One process for each SP, one thread for each stage; what overlaps in one stage goes to further
threads, because slices of a thread must lie inside one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from greenray.files.whole_file import is_full, write_whole
from greenray.protocol.errors import NoSpaceLeft, StoreError
from greenray.protocol.layout import SEGMENTS
from greenray.timeline.values import NodeCpu, StageSpan, Timeline

_JOB_PID = 1
_FIRST_SP_PID = 2
_FIRST_NODE_PID = 1000

Event = dict[str, Any]


def perfetto_document(timeline: Timeline) -> dict[str, Any]:
    """JSON object format: ``traceEvents`` with times in microseconds."""
    return {
        "displayTimeUnit": "ms",
        "otherData": {
            "object": timeline.name,
            "object_id": timeline.object_id,
            "payload_size_bytes": timeline.payload_size_bytes,
            "began_at": timeline.began_at,
        },
        "traceEvents": [*_states(timeline), *_sps(timeline), *_nodes(timeline.cpu)],
    }


def write_perfetto(timeline: Timeline, path: Path) -> None:
    """The file appears whole or not at all. Raises NoSpaceLeft, StoreError."""
    text = json.dumps(perfetto_document(timeline))
    try:
        write_whole(path, text.encode())
    except OSError as error:
        kind = NoSpaceLeft if is_full(error) else StoreError
        raise kind(
            f"the trace cannot be written ({error.strerror})", str(path), "Name another file"
        ) from error


def _states(timeline: Timeline) -> Iterator[Event]:
    yield from _process(_JOB_PID, f"job of {timeline.name}")
    yield from _thread(_JOB_PID, 1, "state")
    for state in timeline.states:
        end_s = timeline.end_s if state.end_s is None else state.end_s
        yield _slice(_JOB_PID, 1, state.state.name, state.start_s, end_s, "state", {})


def _sps(timeline: Timeline) -> Iterator[Event]:
    places = sorted({(s.redundancy_index, s.operator_address) for s in timeline.stages})
    for pid, (index, address) in enumerate(places, _FIRST_SP_PID):
        role = "primary" if index == SEGMENTS else f"secondary {index}"
        yield from _process(pid, f"{role} {address}")
        spans = [
            span
            for span in timeline.stages
            if (span.redundancy_index, span.operator_address) == (index, address)
        ]
        yield from _of_sp(pid, spans)


def _of_sp(pid: int, spans: Sequence[StageSpan]) -> Iterator[Event]:
    tid = 0
    for stage in dict.fromkeys(span.stage for span in spans):
        lanes = _lanes(span for span in spans if span.stage is stage)
        for number, lane in enumerate(lanes, 1):
            tid += 1
            yield from _thread(pid, tid, stage.value if number == 1 else f"{stage.value} {number}")
            for span in lane:
                yield _stage(pid, tid, span)


def _lanes(spans: Iterable[StageSpan]) -> list[list[StageSpan]]:
    """In each of them one span ends before the next begins."""
    lanes: list[list[StageSpan]] = []
    for span in sorted(spans, key=lambda s: s.start_s):
        free = next((lane for lane in lanes if lane[-1].end_s <= span.start_s), None)
        if free is None:
            lanes.append([span])
        else:
            free.append(span)
    return lanes


def _stage(pid: int, tid: int, span: StageSpan) -> Event:
    name = span.stage.value if span.batch is None else f"{span.stage.value} {span.batch}"
    args: Event = {
        "operator_address": span.operator_address,
        "process": f"{span.process} ({span.pid})",
        "node": span.node,
    }
    if span.batch is not None:
        args |= {"batch": span.batch, "size_bytes": span.size_bytes}
    if span.redundancy_index != SEGMENTS:
        args["redundancy_index"] = span.redundancy_index
    if span.failed:
        args["failed"] = True
    return _slice(pid, tid, name, span.start_s, span.end_s, "stage", args)


def _nodes(nodes: Sequence[NodeCpu]) -> Iterator[Event]:
    """Counters hold until the next value, so the last one is followed by a zero."""
    for pid, node in enumerate(nodes, _FIRST_NODE_PID):
        yield from _process(pid, f"cores of {node.node}")
        for use in node.use:
            yield _counter(pid, "idle cores", use.start_s, round(use.idle_cores, 3))
            for core, share in enumerate(use.busy_shares):
                yield _counter(pid, f"core {core} busy", use.start_s, share)
        if node.use:
            last = node.use[-1]
            yield _counter(pid, "idle cores", last.end_s, 0)
            for core in range(len(last.busy_shares)):
                yield _counter(pid, f"core {core} busy", last.end_s, 0)


def _slice(
    pid: int, tid: int, name: str, start_s: float, end_s: float, category: str, args: Event
) -> Event:
    start_us = _us(start_s)
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": pid,
        "tid": tid,
        "ts": start_us,
        "dur": _us(end_s) - start_us,
        "args": args,
    }


def _counter(pid: int, name: str, at_s: float, value: float) -> Event:
    return {"ph": "C", "name": name, "pid": pid, "ts": _us(at_s), "args": {"value": value}}


def _process(pid: int, name: str) -> Iterator[Event]:
    yield _metadata("process_name", pid, 0, {"name": name})
    yield _metadata("process_sort_index", pid, 0, {"sort_index": pid})


def _thread(pid: int, tid: int, name: str) -> Iterator[Event]:
    yield _metadata("thread_name", pid, tid, {"name": name})
    yield _metadata("thread_sort_index", pid, tid, {"sort_index": tid})


def _metadata(what: str, pid: int, tid: int, args: Event) -> Event:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
