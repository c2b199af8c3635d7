"""What a process remembers of the stages it worked on."""

from __future__ import annotations

import os
import time

import pytest

from greenray.protocol.layout import SEGMENTS
from greenray.timeline.stage_trace import Stage, StageTrace, Stopwatch, TraceClock

SECOND = 10**9


def test_a_stage_is_kept_when_it_has_ended_and_only_for_its_object() -> None:
    trace = StageTrace()
    before_ns = time.monotonic_ns()
    with trace.of(7, "0xsp", 3).during(Stage.STORED, 2, 1000):
        assert trace.part(7).intervals == ()
    [interval] = trace.part(7).intervals
    assert before_ns <= interval.begin_ns <= interval.end_ns <= time.monotonic_ns()
    assert (interval.stage, interval.sp_address) == (Stage.STORED, "0xsp")
    assert (interval.redundancy_index, interval.batch_index, interval.size_bytes) == (3, 2, 1000)
    assert (interval.pid, interval.failed) == (os.getpid(), False)
    assert trace.part(8).intervals == ()


def test_a_stage_that_ends_with_an_error_is_kept_as_failed() -> None:
    trace = StageTrace()
    with pytest.raises(ValueError, match="no"), trace.of(1, "sp").during(Stage.SENT):
        raise ValueError("no")
    [interval] = trace.part(1).intervals
    assert interval.failed
    assert (interval.redundancy_index, interval.batch_index) == (SEGMENTS, None)


def test_a_timed_call_counts_from_when_it_is_called() -> None:
    trace = StageTrace()
    call = trace.of(1, "sp").timed(Stage.HASHED, 0, 4, len)
    made_ns = time.monotonic_ns()
    assert call("four") == 4
    [interval] = trace.part(1).intervals
    assert interval.begin_ns >= made_ns


def test_the_oldest_intervals_go_when_there_are_too_many() -> None:
    trace = StageTrace(capacity=10)
    for object_id in range(1000):
        trace.of(object_id, "sp").add(Stage.READ, 0, 1, begin_ns=0)
    kept = [object_id for object_id in range(1000) if trace.part(object_id).intervals]
    assert kept == list(range(990, 1000))


def test_clocks_of_one_machine_are_one_and_others_meet_in_unix_time() -> None:
    here = TraceClock("this boot", 100 * SECOND)
    again = TraceClock("this boot", 101 * SECOND)  # somebody set the clock
    elsewhere = TraceClock("another boot", 40 * SECOND)
    assert here.translate(5, again) == 5
    assert here.translate(70 * SECOND, elsewhere) == 10 * SECOND
    assert elsewhere.translate(10 * SECOND, here) == 70 * SECOND


def test_work_elsewhere_is_kept_by_the_clock_of_who_keeps_it() -> None:
    trace = StageTrace()
    work = Stopwatch.start().read()
    work.add_to(trace.of(1, "sp"), Stage.ENCODED, 0, 10)
    [interval] = trace.part(1).intervals
    assert (interval.begin_ns, interval.end_ns) == (work.begin_ns, work.end_ns)
