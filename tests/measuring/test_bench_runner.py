"""Rounds, warm-up, and what a run used as a whole."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenray.bench.accounting import ProcessTrees
from greenray.bench.records import Case, Row
from greenray.bench.runner import Meter, Repeats, Work, interleaved, result_of
from greenray.bench.table import HEADINGS, table_rows
from greenray.capacity.environment import cores


def meter() -> Meter:
    return Meter(ProcessTrees([os.getpid()]))


def test_sides_take_turns_and_are_told_the_round() -> None:
    calls: list[str] = []

    def side(name: str, number: int) -> int:
        calls.append(f"{name}{number}")
        return number * 10

    found = interleaved(3, [lambda n: side("a", n), lambda n: side("b", n)])
    assert calls == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert found == [[0, 10, 20], [0, 10, 20]]


def test_every_work_has_as_many_repeats_as_asked_for_and_its_cpu_time() -> None:
    counts: list[int] = []
    rows = meter().measure([Work(Case("x"), counts.append, 1000)], Repeats(4, slot_s=0.001))
    assert counts[:2] == [1, 1], "the warm-up comes first"
    assert len(counts) == 2 + 4
    assert [(row.metric, row.unit, len(row.values)) for row in rows] == [
        ("payload", "MB/s", 4),
        ("CPU", "s/GB", 4),
    ]


def test_work_is_reset_after_every_run_outside_of_its_time() -> None:
    order: list[str] = []
    work = Work(Case("x"), lambda count: order.append("run"), 1, lambda: order.append("reset"))
    meter().measure([work], Repeats(2, slot_s=0.0))
    assert order == ["run", "reset"] * 4


def test_work_on_one_core_has_it_in_threads_that_are_there_already_and_leaves_all() -> None:
    before = cores()
    with ThreadPoolExecutor(1) as pool:
        seen: list[tuple[int, int]] = []

        def look(count: int) -> None:
            seen.append((cores(), pool.submit(cores).result()))

        pool.submit(cores).result()
        meter().measure([Work(Case("x"), look, 1, cores=1)], Repeats(1, slot_s=0.0))
        look(1)
    assert seen[2:] == [(1, 1), (before, before)]


def test_memory_of_the_warm_up_counts_as_the_peak() -> None:
    held: list[bytearray] = []
    measuring = meter()
    gc.collect()  # what other tests left behind is not given back in between
    before = measuring.trees.memory_bytes()
    work = Work(Case("x"), lambda count: held.append(bytearray(b"x" * (32 << 20))), 1)
    measuring.measure([work], Repeats(1, slot_s=0.0))
    assert measuring.peak_memory_bytes > before + (60 << 20)


@pytest.mark.parametrize(("spilled_bytes", "failures"), [(0, 0), (7, 1)])
def test_a_spill_fails_the_run(spilled_bytes: int, failures: int) -> None:
    result = result_of("ec", False, {}, [], {"best": 1}, 5, spilled_bytes)
    assert len(result.failures) == failures
    assert result.summary == {"best": 1, "peak_memory_bytes": 5, "spilled_bytes": spilled_bytes}
    assert [row.metric for row in result.rows] == ["peak memory", "spilled"]


def test_cpu_time_stands_behind_the_first_row_of_its_case() -> None:
    case = Case("PUT")
    rows = [
        Row(case, "payload", "MB/s", (200.0,)),
        Row(case, "CPU", "s/GB", (3.0,), higher_is_better=False),
        Row(case, "ratio", "ratio", (0.5,)),
    ]
    result = result_of("gateway", False, {}, rows, {}, 0, 0)
    shown = table_rows(result.to_json()["rows"])
    assert HEADINGS[-1] == "CPU s/GB"
    assert [(line[1], line[-1]) for line in shown[:2]] == [("payload", "3"), ("ratio", "")]
