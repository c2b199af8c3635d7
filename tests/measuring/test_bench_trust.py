"""Results say when they are worth less: a busy machine, machines that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenray.api.benchmarks import BenchTable
from greenray.bench.compare import compare
from greenray.bench.records import BenchResult, Case, Row, read_results
from greenray.bench.report import Results, render
from greenray.bench.trust import busy_mark, differing_fields, load_text, machine_marks
from greenray.cli.bench_output import show, show_comparison

PUBLISHED = Path(__file__).parents[2] / "docs" / "performance"
ALONE: dict[str, Any] = {
    "cores": 2,
    "load_average_before": 4.0,
    "other_programs_cores": 0.02,
    "stolen_cores": 0.0,
}
BUSY = {**ALONE, "other_programs_cores": 0.8}
STOLEN = {**ALONE, "stolen_cores": 0.3}


def document(bench: str = "ec", quick: bool = False, **environment: Any) -> dict[str, Any]:
    row = Row(Case("encode"), "payload", "MB/s", (1.0, 2.0, 3.0))
    around = {"measured_at": "2026-01-02T03:04:05+00:00", **environment}
    return BenchResult(bench, quick, around, [row], {}).to_json()


def test_a_run_alone_on_its_machine_has_no_mark_whatever_load_it_made_itself() -> None:
    assert busy_mark(ALONE) == ""


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (BUSY, "other programs took 0.8 of 2 cores"),
        (STOLEN, "other virtual machines 0.3"),
        ({"cores": 2, "load_average_before": 4.0}, "load 4.0 on 2 cores when it began"),
    ],
)
def test_a_run_beside_others_is_marked_with_what_they_took(
    environment: dict[str, Any], told: str
) -> None:
    assert busy_mark(environment).startswith("busy machine: ")
    assert told in busy_mark(environment)


def test_of_old_results_only_the_load_before_is_known() -> None:
    assert busy_mark({"cores": 2, "load_average_before": 0.1}) == ""
    assert load_text({"cores": 2, "load_average_before": 0.1}) == "load 0.1 before"
    assert load_text({}) == "its load is not recorded"


def test_the_load_is_told_also_of_a_run_that_was_alone() -> None:
    text = load_text({**ALONE, "load_average_after": 3.5, "run_s": 312.4})
    assert text.endswith("; the run took 312 s")
    assert "load 4.0 before; 3.5 after" in text
    assert "other programs took 0.02 of 2 cores" in text


def test_the_report_tells_the_load_of_each_result_and_calls_a_busy_machine_busy() -> None:
    text = render(Results([document("ec", **ALONE), document("hash", **BUSY)]))
    ec, hash_section = text.split("## SHA-256")
    assert "Measured at: load 4.0 before" in ec
    assert "Busy machine" not in ec
    assert "**Busy machine: other programs took 0.8 of 2 cores" in hash_section
    assert "idle machine" not in text


def test_the_table_has_the_mark_and_a_warning_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(document(**BUSY))
    shown = capsys.readouterr()
    assert "busy machine: other programs took 0.8 of 2 cores" in shown.out
    assert shown.err.startswith("warning: busy machine")
    show(document(**ALONE))
    shown = capsys.readouterr()
    assert "busy" not in shown.out + shown.err


def test_a_notebook_s_table_and_picture_have_the_mark() -> None:
    row = Row(Case("encode", "threads", workers=1), "payload", "MB/s", (1.0, 2.0, 3.0))
    around = {"processor": "A", "kernel": "Linux", "measured_at": "2026-01-02"}
    busy, alone = (
        BenchTable.of(BenchResult("ec", False, {**around, **of}, [row], {})) for of in (BUSY, ALONE)
    )
    assert "busy machine: other programs took 0.8 of 2 cores" in busy._repr_html_()
    assert "busy" not in alone._repr_html_()
    assert "busy machine" in busy.plot().figure.get_supxlabel()
    assert "busy machine" not in alone.plot().figure.get_supxlabel()


def test_compare_s_table_points_to_its_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    faster = Row(Case("encode"), "payload", "MB/s", (10.0, 20.0, 30.0))
    after = BenchResult("ec", False, {"processor": "B"}, [faster], {}).to_json()
    show_comparison(compare([document(processor="A")], [after]))
    shown = capsys.readouterr().out
    assert shown.startswith("warning: ec: two kinds of machine")
    assert "ec: processor: A / B" in shown
    assert "read the warnings above first" in shown
    show_comparison(compare([document(processor="B")], [after]))
    assert "warning" not in capsys.readouterr().out


def test_results_of_several_machines_are_told_apart_where_they_are_read_together() -> None:
    one = document("ec", processor="A", memory_bytes=25_274_793_984)
    other = document("hash", processor="B", memory_bytes=25_276_502_016)
    assert machine_marks([one, other]) == [
        "results of several machines, processor: A (ec); B (hash)"
    ]
    assert "**Warning: results of several machines" in render(Results([one, other]))
    assert machine_marks([one, document("hash", processor="A")]) == []


def test_two_kinds_of_processor_are_a_warning_of_compare() -> None:
    here = document(processor="A", processor_features=["avx2"], **ALONE)
    there = document(processor="A", processor_features=["avx2", "gfni"], **ALONE)
    [warning] = compare([here], [there]).warnings
    assert warning == (
        "ec: two kinds of machine, so what differs may be theirs: "
        "processor_features avx2 / avx2, gfni"
    )
    assert compare([here], [here]).warnings == ()


def test_what_the_report_sets_beside_another_machine_s_results_has_the_warning() -> None:
    before, now = document(processor="A"), document(processor="B")
    text = render(Results([now]), Results([before]))
    assert "**Warning: ec: two kinds of machine" in text


def test_compare_warns_of_busy_and_of_quick_runs() -> None:
    warnings = compare([document(**ALONE)], [document(quick=True, **BUSY)]).warnings
    assert len(warnings) == 2
    assert "in the second, busy machine: other programs took 0.8" in warnings[0]
    assert warnings[1] == "ec: the second is a quick run"


def test_fields_that_differ_are_named_down_to_the_innermost() -> None:
    first = {"versions": {"ray": "1", "numpy": "2"}, "settings": {"writes": {"durable": True}}}
    second = {"versions": {"ray": "3", "numpy": "2"}, "settings": {"writes": {"durable": False}}}
    assert differing_fields(first, {**second, "measured_at": "later"}) == [
        ("settings.writes.durable", True, False),
        ("versions.ray", "1", "3"),
    ]
    assert differing_fields({"cores": 2}, {}) == [("cores", 2, None)]


def test_published_results_can_be_read_compared_and_set_in_a_report() -> None:
    documents = read_results(PUBLISHED)
    assert {"ec", "gateway", "pipeline"} <= {document["bench"] for document in documents}
    assert not [c for c in compare(documents, documents).changes if c.verdict.value == "better"]
    assert all(load_text(document["environment"]) for document in documents)
