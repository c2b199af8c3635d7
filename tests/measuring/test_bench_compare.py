"""The rule by which ``greenray bench compare`` tells a change from noise."""

from __future__ import annotations

from typing import Any

import pytest

from greenray.bench.compare import MIN_REPEATS, RULE, Verdict, compare
from greenray.bench.records import BenchResult, Case, Row

CASE = Case("encode", codec="isal", workers=2)


def document(
    *values: float, case: Case = CASE, higher: bool = True, **environment: Any
) -> dict[str, Any]:
    row = Row(case, "payload", "MB/s", values, higher)
    around = {"cores": 2, "measured_at": "now", "load_average_before": values[0], **environment}
    return BenchResult("ec", False, around, [row], {}).to_json()


def verdict(before: dict[str, Any], after: dict[str, Any]) -> Verdict:
    [change] = compare([before], [after]).changes
    return change.verdict


BEFORE = document(100.0, 102.0, 104.0)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((120.0, 122.0, 130.0), Verdict.BETTER),
        ((80.0, 85.0, 90.0), Verdict.WORSE),
        ((104.0, 130.0, 140.0), Verdict.SAME),  # one repeat inside the other's range
        ((105.0, 106.0, 107.0), Verdict.SAME),  # apart, but by less than five percent
        ((100.0, 102.0, 104.0), Verdict.SAME),
        ((200.0, 210.0), Verdict.TOO_FEW_REPEATS),
    ],
)
def test_a_change_is_one_beyond_the_range_of_the_repeats(
    after: tuple[float, ...], expected: Verdict
) -> None:
    assert verdict(BEFORE, document(*after)) is expected


def test_less_is_better_where_the_row_says_so() -> None:
    before = document(100.0, 102.0, 104.0, higher=False)
    assert verdict(before, document(80.0, 82.0, 84.0, higher=False)) is Verdict.BETTER
    assert verdict(before, document(180.0, 182.0, 184.0, higher=False)) is Verdict.WORSE


def test_change_is_that_of_the_medians() -> None:
    [change] = compare([BEFORE], [document(51.0, 51.0, 51.0)]).changes
    assert (change.before, change.after, change.change) == (102.0, 51.0, -0.5)


def test_rows_of_one_run_only_are_named() -> None:
    other = document(1.0, 1.0, 1.0, case=Case("encode", codec="zfec", workers=2))
    verdicts = [change.verdict for change in compare([BEFORE], [other]).changes]
    assert verdicts == [Verdict.ONLY_BEFORE, Verdict.ONLY_AFTER]


def test_nothing_can_be_said_of_nothing_before() -> None:
    [change] = compare([document(0.0, 0.0, 0.0)], [document(0.0, 0.0, 0.0)]).changes
    assert (change.verdict, change.change) == (Verdict.SAME, None)


def test_what_differs_around_the_runs_is_shown_but_not_when_they_were() -> None:
    after = document(1.0, 1.0, 1.0, cores=4, measured_at="later")
    assert compare([BEFORE], [after]).environment == {"ec: cores": (2, 4)}


def test_document_counts_the_verdicts_and_states_the_rule() -> None:
    summary = compare([BEFORE], [document(120.0, 122.0, 130.0)]).to_json()["summary"]
    assert (summary["better"], summary["worse"], summary["rule"]) == (1, 0, RULE)
    assert str(MIN_REPEATS) in RULE
