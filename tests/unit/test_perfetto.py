"""The exported trace follows the rules of the trace event format."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from greenray.protocol.errors import StoreError
from greenray.timeline.perfetto import perfetto_document, write_perfetto
from greenray.timeline.values import Timeline
from tests.support.timelines import stage, timeline_document

US = 1_000_000


@pytest.fixture
def timeline() -> Timeline:
    return Timeline.from_json(timeline_document())


def check_format(document: dict[str, Any]) -> None:
    """What every viewer relies on."""
    json.dumps(document, allow_nan=False)
    assert document["displayTimeUnit"] in ("ms", "ns")
    named: set[tuple[int, int]] = set()
    processes: set[int] = set()
    slices: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in document["traceEvents"]:
        assert isinstance(event["pid"], int)
        assert isinstance(event["args"], dict)
        match event["ph"]:
            case "M":
                assert event["name"] in {
                    "process_name",
                    "process_sort_index",
                    "thread_name",
                    "thread_sort_index",
                }
                if event["name"] == "process_name":
                    assert event["pid"] not in processes
                    processes.add(event["pid"])
                if event["name"] == "thread_name":
                    assert (event["pid"], event["tid"]) not in named
                    named.add((event["pid"], event["tid"]))
                (value,) = event["args"].values()
                assert isinstance(value, int if event["name"].endswith("sort_index") else str)
            case "X":
                assert isinstance(event["ts"], int)
                assert event["ts"] >= 0
                assert event["dur"] >= 0
                assert event["name"]
                assert event["cat"]
                where = event["pid"], event["tid"]
                assert where in named
                slices[where].append((event["ts"], event["ts"] + event["dur"]))
            case "C":
                assert event["pid"] in processes
                assert event["ts"] >= 0
                assert all(isinstance(v, int | float) for v in event["args"].values())
            case other:
                pytest.fail(f"an event of kind {other}")
    for of_thread in slices.values():
        for (_, end), (start, _) in pairwise(sorted(of_thread)):
            assert end <= start


def test_the_trace_is_well_formed(timeline: Timeline) -> None:
    check_format(perfetto_document(timeline))


def test_every_span_is_a_slice_that_says_what_it_was(timeline: Timeline) -> None:
    events = perfetto_document(timeline)["traceEvents"]
    stages = [e for e in events if e["ph"] == "X" and e["cat"] == "stage"]
    assert len(stages) == len(timeline.stages)
    [sent] = [e for e in stages if e["name"] == "sent 0" and "failed" not in e["args"]]
    assert (sent["ts"], sent["dur"]) == (5 * US, 3 * US)
    assert sent["args"] == {
        "operator_address": "0xfirst",
        "process": "uploader-0 (17)",
        "node": "here",
        "batch": 0,
        "size_bytes": 1_000_000,
        "redundancy_index": 0,
    }
    [failed] = [e for e in stages if e["args"].get("failed")]
    assert failed["args"]["operator_address"] == "0xsecond"
    states = [e["name"] for e in events if e["ph"] == "X" and e["cat"] == "state"]
    assert states == ["UPLOAD_OBJECT_DOING", "SEAL_OBJECT_TX_DOING", "SEAL_OBJECT_DONE"]


def test_what_overlaps_in_one_stage_gets_threads_of_its_own() -> None:
    spans = [stage("hashed", -1, b, b * 0.5, b * 0.5 + 1.2) for b in range(6)]
    document = perfetto_document(Timeline.from_json(timeline_document(stages=spans)))
    check_format(document)
    threads = [e["args"]["name"] for e in document["traceEvents"] if e.get("name") == "thread_name"]
    assert threads == ["state", "hashed", "hashed 2", "hashed 3"]


def test_every_sp_is_a_process_and_a_replaced_secondary_is_another(timeline: Timeline) -> None:
    spans = [
        stage("sent", 0, 0, 1.0, 2.0, operator_address="0xgone", failed=True),
        stage("sent", 0, 0, 2.0, 3.0),
        stage("received", -1, 0, 0.0, 1.0),
    ]
    document = perfetto_document(Timeline.from_json(timeline_document(stages=spans)))
    check_format(document)
    names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"]
    assert names == [
        "job of photos/<cat>.jpg",
        "primary 0xprimary",
        "secondary 0 0xfirst",
        "secondary 0 0xgone",
        "cores of here",
    ]


def test_idle_cores_are_a_counter_that_ends(timeline: Timeline) -> None:
    events = perfetto_document(timeline)["traceEvents"]
    idle = [(e["ts"], e["args"]["value"]) for e in events if e["name"] == "idle cores"]
    assert idle == [(0, 1.0), (5 * US, 2.0), (10 * US, 0)]
    busy = [(e["ts"], e["args"]["value"]) for e in events if e["name"] == "core 0 busy"]
    assert busy == [(0, 1.0), (5 * US, 0.0), (10 * US, 0)]


def test_the_file_appears_whole_or_not_at_all(timeline: Timeline, tmp_path: Path) -> None:
    target = tmp_path / "trace.json"
    target.write_text("an older one")
    write_perfetto(timeline, target)
    assert json.loads(target.read_text()) == perfetto_document(timeline)
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(StoreError, match="Name another file"):
        write_perfetto(timeline, tmp_path)
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(StoreError, match="cannot be written"):
        write_perfetto(timeline, tmp_path / "no such folder" / "trace.json")
