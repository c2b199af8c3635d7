"""What a timeline can be asked, and how it looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from greenray.protocol.errors import ComponentUnavailable, NoTrace
from greenray.protocol.job_events import SecondaryFinished
from greenray.timeline.collection import CollectedTrace, TraceCollector
from greenray.timeline.cpu_samples import CpuSample
from greenray.timeline.job_timeline import job_timeline
from greenray.timeline.object_timeline import ObjectTimeline
from greenray.timeline.picture import picture
from greenray.timeline.stage_trace import Stage, StageInterval, TraceClock, TracePart
from greenray.timeline.values import Timeline, covered_shares, joined
from tests.support.protocol_values import (
    HELLO,
    PRIMARY,
    SECONDARIES,
    receipt_of,
    replicating_job,
)
from tests.support.timelines import stage, timeline_document

SECOND = 10**9
HERE = TraceClock("this boot", 0)


@pytest.fixture
def timeline() -> Timeline:
    return Timeline.from_json(timeline_document())


# --- questions -----------------------------------------------------------------------------------


def test_spans_that_meet_are_one() -> None:
    assert joined([(5, 6), (0, 2), (1, 3), (3, 4)]) == ((0, 4), (5, 6))
    assert joined([]) == ()


def test_shares_of_parts_add_up_to_the_spans() -> None:
    assert covered_shares([(0.0, 1.0), (1.5, 4.0)], 4.0, 4) == [1.0, 0.5, 1.0, 1.0]
    assert covered_shares([(0.25, 0.5)], 4.0, 4) == [0.25, 0.0, 0.0, 0.0]
    assert covered_shares([(0.0, 0.0)], 0.0, 2) == [0.0, 0.0]


def test_rows_go_from_the_primary_to_each_secondary_and_the_seal(timeline: Timeline) -> None:
    labels = [row.label for row in timeline.rows]
    assert labels == ["received", "hashed", "sent 0", "stored 0", "sent 1", "sealed"]
    hashed = timeline.rows[1]
    assert (hashed.busy_s, hashed.summed_s, hashed.size_bytes) == (3.0, 4.0, 2_000_000)
    assert [row.failures for row in timeline.rows] == [0, 0, 0, 0, 1, 0]
    assert timeline.end_s == 10.0


def test_the_idle_share_is_of_all_cores_between_two_moments(timeline: Timeline) -> None:
    assert timeline.idle_share() == pytest.approx(0.75)
    assert timeline.idle_share(0, 5) == pytest.approx(0.5)
    assert timeline.idle_share(4, 6) == pytest.approx(0.75)
    assert Timeline.from_json(timeline_document(cpu=[])).idle_share() is None


def test_gaps_are_what_no_work_covers_and_name_what_was_waited_for(timeline: Timeline) -> None:
    gaps = [(g.start_s, g.end_s, g.waiting, g.idle_share) for g in timeline.gaps()]
    assert gaps == [
        (0.0, 2.0, ("received",), 0.5),
        (8.0, 10.0, ("sealed",), 1.0),
        (5.0, 6.0, ("sent 0", "sent 1"), 1.0),
    ]
    assert len(timeline.gaps(at_least_s=1.5)) == 2


# --- looks ---------------------------------------------------------------------------------------


def test_the_picture_has_a_bar_for_every_row_and_for_idle_cores(timeline: Timeline) -> None:
    lines = picture(timeline, 23 + 18 + 20).splitlines()
    assert lines[0] == "photos/<cat>.jpg: SEAL_OBJECT_DONE, object 5, 1.907 MiB in 2 batches"
    bars = {line[:22].strip(): line[23:43] for line in lines if len(line) > 23}
    assert bars["received"] == "████" + " " * 16
    assert bars["hashed"] == " " * 4 + "██████" + " " * 10
    assert bars["sent 1"].strip() == "███"
    assert bars["idle cores"] == "▒" * 10 + "█" * 10
    assert any(line.startswith("hashed") and line.endswith("3.000        1") for line in lines)
    assert any("sent 1" in line and "1 failed" in line for line in lines)
    assert "75% of 2" in picture(timeline, 61)
    assert "  2.000 s from 8.000 s, 100% of the cores idle, waiting: sealed" in lines


def test_the_picture_is_as_wide_as_it_may_be(timeline: Timeline) -> None:
    assert max(map(len, picture(timeline, 200).splitlines()[1:8])) == 200


def test_what_is_not_known_is_said() -> None:
    document = timeline_document(
        one_clock=False,
        cpu=[],
        silent=["receiver-1"],
        missing=[
            {"stage": "stored", "redundancy_index": 1, "batches": list(range(12))},
            {"stage": "broadcast", "redundancy_index": -1, "batches": []},
        ],
        secondaries=[{"redundancy_index": 1, "operator_address": "0x", "hosted": False}],
    )
    text = picture(Timeline.from_json(document), 100)
    assert "idle cores" not in text
    for said in (
        "how busy the cores were is not known",
        "placed by their unix time",
        "secondary 1 is not hosted here",
        "did not answer: receiver-1",
        "  stored 1: 12 of the batches (0, 1, 2, 3, 4, 5, 6, 7, ...)",
        "  broadcast\n",
    ):
        assert said in f"{text}\n"


def test_a_notebook_shows_stages_and_gaps(tmp_path: Path) -> None:
    timeline = ObjectTimeline.from_json(timeline_document())
    html = timeline._repr_html_()
    assert "photos/&lt;cat&gt;.jpg" in html
    assert "75% of the cores idle" in html
    assert "waiting" in html
    assert timeline.picture(80) == picture(timeline, 80)
    written = json.loads(timeline.save_perfetto(tmp_path / "x.json").read_text())
    assert written["otherData"]["object"] == "photos/<cat>.jpg"


# --- the document --------------------------------------------------------------------------------


def interval(
    stage: Stage, begin_s: float, end_s: float, *, index: int = -1, batch: int | None = 0
) -> StageInterval:
    address = PRIMARY if index < 0 else SECONDARIES[index]
    begin_ns, end_ns = int(begin_s * SECOND), int(end_s * SECOND)
    return StageInterval(1, stage, address, index, batch, begin_ns, end_ns, 5, 10, False)


def part(
    *intervals: StageInterval, clock: TraceClock = HERE, cpu: tuple[CpuSample, ...] = ()
) -> TracePart:
    return TracePart(10, "node", clock, intervals, cpu)


def test_an_object_without_a_job_or_without_a_stage_has_no_timeline() -> None:
    with pytest.raises(NoTrace, match="no payload"):
        job_timeline(HELLO, None, CollectedTrace({}), HERE, ())
    with pytest.raises(NoTrace, match=r"restart.*greenray status test-bucket/test-object"):
        job_timeline(HELLO, replicating_job(), CollectedTrace({"task_node": part()}), HERE, ())


def test_processes_of_another_machine_are_placed_by_unix_time() -> None:
    elsewhere = TraceClock("another boot", -100 * SECOND)
    parts = {
        "uploader-0": part(interval(Stage.RECEIVED, 1, 2)),
        "receiver-1": part(interval(Stage.STORED, 104, 105, index=0), clock=elsewhere),
    }
    document = job_timeline(HELLO, replicating_job(), CollectedTrace(parts), HERE, ())
    assert not document["one_clock"]
    spans = {s["stage"]: (s["start_s"], s["end_s"]) for s in document["stages"]}
    assert spans == {"received": (1.0, 2.0), "stored": (4.0, 5.0)}
    assert document["began_at"] == 0.0
    assert [s["start_s"] for s in document["states"]] == [0.0, 1.0, 2.0, 3.0]


def test_only_what_the_journal_says_has_happened_is_missed() -> None:
    receipts = [receipt_of(i, SECONDARIES[i]) for i in (0, 4)]
    job = replicating_job(*map(SecondaryFinished, receipts))
    parts = {"uploader-0": part(interval(Stage.RECEIVED, 1, 2), interval(Stage.HASHED, 2, 3))}
    trace = CollectedTrace(parts, ("receiver-1",))
    document = job_timeline(HELLO, job, trace, HERE, {SECONDARIES[0]})
    missing = {(m["stage"], m["redundancy_index"]): m["batches"] for m in document["missing"]}
    assert missing == {
        ("written", -1): [0],
        ("signed", -1): [],
        ("approved", -1): [],
        ("encoded", -1): [0],
        ("sent", 0): [0],
        ("hashed", 0): [0],
        ("written", 0): [0],
        ("stored", 0): [0],
        ("signed", 0): [],
        ("opened", 0): [],
        ("receipt", 0): [],
        # Not hosted here: only what the sender saw could be there.
        ("sent", 4): [0],
        ("opened", 4): [],
        ("receipt", 4): [],
    }
    assert [s["hosted"] for s in document["secondaries"]] == [True, False]
    assert document["silent"] == ["receiver-1"]


def test_work_of_another_process_is_that_of_an_encode_worker() -> None:
    work = StageInterval(1, Stage.ENCODED, PRIMARY, -1, 0, 0, SECOND, 5, 4711, False)
    trace = CollectedTrace({"task_node": part(work)})
    [shown] = job_timeline(HELLO, replicating_job(), trace, HERE, ())["stages"]
    assert (shown["process"], shown["pid"]) == ("encode worker", 4711)


def test_cores_are_shown_for_every_machine_and_once_for_its_processes() -> None:
    def samples(*at_s: float) -> tuple[CpuSample, ...]:
        return tuple(CpuSample(int(t * SECOND), (int(t * 50),), (int(t * 100),)) for t in at_s)

    elsewhere = TraceClock("another boot", 0)
    parts = {
        "uploader-0": part(interval(Stage.READ, 1, 2), cpu=samples(1, 2)),
        "task_node": part(interval(Stage.READ, 1, 2), cpu=samples(1.01, 2.01, 3)),
        "uploader-1": part(clock=elsewhere, cpu=samples(1, 3)),
    }
    nodes = job_timeline(HELLO, replicating_job(), CollectedTrace(parts), HERE, ())["cpu"]
    assert [[(u["start_s"], u["end_s"]) for u in node["use"]] for node in nodes] == [
        [(1.0, 2.0), (2.0, 3.0)],
        [(1.0, 3.0)],
    ]
    assert {share for node in nodes for u in node["use"] for share in u["busy_shares"]} == {0.5}


async def test_who_does_not_answer_is_named_and_the_others_count() -> None:
    class Known:
        async def trace_of(self, object_id: int) -> TracePart:
            return part(interval(Stage.READ, 1, 2))

    class Away:
        async def trace_of(self, object_id: int) -> TracePart:
            raise ComponentUnavailable("its process is gone", "receiver-0")

    found = await TraceCollector({"task_node": Known(), "receiver-0": Away()}).collect(1)
    assert (list(found.parts), found.silent) == (["task_node"], ("receiver-0",))


def test_every_stage_has_a_row() -> None:
    stages = [stage(s.value, index, 0, 1.0, 2.0) for s in Stage for index in (-1, 0)]
    shown = Timeline.from_json(timeline_document(stages=stages)).rows
    assert {row.stage for row in shown} == set(Stage)
