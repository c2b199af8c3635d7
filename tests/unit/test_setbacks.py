"""What of a job's status is a setback, and that each is told once."""

from __future__ import annotations

from typing import Any

import pytest

from greenray.client.setbacks import FailedStep, ReplacedSecondary, Setbacks
from greenray.protocol.job import JobState

ERROR = {"reason": "too-few-approvals", "message": "2 of\n6", "retryable": True}
REPLACED: dict[str, Any] = {
    "redundancy_index": 3,
    "operator_address": "0xab",
    "reason": "secondary-timeout",
    "message": "late",
}


def document(**changes: Any) -> dict[str, Any]:
    usual = {
        "state_number": int(JobState.REPLICATE_OBJECT_ERROR),
        "final": False,
        "attempt": 0,
        "replaced": [],
        "error": ERROR,
    }
    return {**usual, **changes}


def test_a_failed_step_is_told_once_for_each_retry() -> None:
    setbacks = Setbacks()
    told = [setbacks.new_in(document(attempt=attempt)) for attempt in (0, 0, 1, 1, 1, 2)]
    assert [len(new) for new in told] == [1, 0, 1, 0, 0, 1]
    expected = [
        FailedStep(JobState.REPLICATE_OBJECT_ERROR, attempt, "too-few-approvals", "2 of\n6")
        for attempt in range(3)
    ]
    assert setbacks.all == tuple(expected)


def test_each_replacement_is_told_also_when_it_is_like_an_earlier_one() -> None:
    setbacks = Setbacks()
    told = [
        setbacks.new_in(document(error=None, replaced=[REPLACED] * count)) for count in (1, 1, 3)
    ]
    assert told == [[ReplacedSecondary(**REPLACED)], [], [ReplacedSecondary(**REPLACED)] * 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"error": None},
        {"final": True},
        {"error": {**ERROR, "retryable": False}},
        {"state_number": int(JobState.UPLOAD_OBJECT_ERROR)},
    ],
    ids=["no error", "given up", "about to be given up", "an upload"],
)
def test_what_nobody_tries_again_is_no_setback(changes: dict[str, Any]) -> None:
    assert Setbacks().new_in(document(**changes)) == []


def test_a_setback_is_one_line() -> None:
    [failed] = Setbacks().new_in(document(attempt=2))
    assert str(failed) == (
        "REPLICATE_OBJECT_ERROR at retry 2, too-few-approvals: 2 of 6 (tried again)"
    )
    assert str(ReplacedSecondary(**REPLACED)) == "replaced at 3: 0xab, secondary-timeout: late"
