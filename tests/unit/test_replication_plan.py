from __future__ import annotations

from collections.abc import Sequence

import pytest

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import SecondariesExhausted, TooFewApprovals
from greenray.protocol.job import JobError, Replacement
from greenray.protocol.job_events import (
    ApprovalsCollected,
    ReplicateFailed,
    RetryDue,
    SecondaryFinished,
    SecondaryReplaced,
)
from greenray.protocol.replication_plan import ReplicationPlan
from tests.support.protocol_values import HELLO, approval_of, receipt_of, replicating_job

_N = 6


def _approvals(addresses: str) -> tuple[Approval, ...]:
    return tuple(approval_of(address) for address in addresses)


def _holders(plan: ReplicationPlan) -> str:
    """The addresses by index, '-' for an index that is finished."""
    assignments = plan.assignments()
    return "".join(
        assignments[i].sp_operator_address if i in assignments else "-" for i in range(_N)
    )


def _plan(
    addresses: str, receipts: Sequence[str] = (), failures: Sequence[str] = ()
) -> ReplicationPlan:
    """``receipts`` and ``failures`` as "index address"."""
    return ReplicationPlan.make(
        _approvals(addresses),
        _N,
        [receipt_of(int(text[0]), text[1]) for text in receipts],
        [Replacement(int(text[0]), text[1], "secondary-timeout") for text in failures],
    )


def test_index_r_takes_the_rth_approval_and_the_rest_are_spares() -> None:
    plan = _plan("abcdefgh")
    assert _holders(plan) == "abcdef"
    assert [a.sp_operator_address for a in plan.spares] == ["g", "h"]


def test_failed_index_gets_the_next_unused_spare_in_order() -> None:
    assert _holders(_plan("abcdefgh", failures=["4e", "1b"])) == "ahcdgf"
    assert _holders(_plan("abcdefgh", failures=["4e", "4g"])) == "abcdhf"


def test_finished_index_leaves_the_others_where_they_are() -> None:
    assert _holders(_plan("abcdefg", receipts=["2c"])) == "ab-def"
    assert _holders(_plan("abcdefgh", receipts=["2g"], failures=["2c", "4e"])) == "ab-dhf"


def test_failure_without_a_spare_exhausts_the_secondaries() -> None:
    plan = _plan("abcdef", failures=["3d"])
    assert plan.exhausted == (3,)
    with pytest.raises(SecondariesExhausted, match="redundancy index 3"):
        plan.assignments()
    with pytest.raises(SecondariesExhausted, match="redundancy index 0, 3"):
        _plan("abcdef", failures=["3d", "0a"]).assignments()


def test_exhausted_index_does_not_take_the_others_away() -> None:
    assert sorted(_plan("abcdef", failures=["3d"]).assigned) == [0, 1, 2, 4, 5]


def test_fewer_approvals_than_indices_name_who_is_missing_and_why() -> None:
    with pytest.raises(TooFewApprovals) as refused:
        ReplicationPlan.make(
            _approvals("abcde"), _N, not_accepted=[("f", "no-answer"), ("g", "expired")]
        )
    assert str(refused.value).startswith("5 usable approvals for 6 redundancy indices")
    assert "(f: no-answer; g: expired)" in str(refused.value)


def test_refusals_and_second_approvals_of_one_provider_are_not_usable() -> None:
    refusal = Approval(HELLO, "x", 1, "full")
    plan = ReplicationPlan.make([refusal, *_approvals("aabcdefa")], _N)
    assert _holders(plan) == "abcdef"
    assert plan.spares == ()


def test_failure_written_twice_takes_one_spare() -> None:
    plan = _plan("abcdefgh", failures=["1b", "1b"])
    assert _holders(plan) == "agcdef"
    assert len(plan.spares) == 1


def test_secondaries_with_a_receipt_are_not_used_again_in_a_new_round() -> None:
    assert _holders(_plan("abxde", receipts=["0a", "3x", "5y"])) == "-bd-e-"


def test_new_round_needs_approvals_only_for_what_is_missing() -> None:
    assert _holders(_plan("z", receipts=["0a", "1b", "2c", "3d", "4e"])) == "-----z"


def test_complete_object_needs_nobody() -> None:
    receipts = [f"{i}{a}" for i, a in enumerate("abcdef")]
    assert _plan("", receipts=receipts).assignments() == {}


def test_provider_that_failed_is_used_again_only_when_a_new_round_lists_it() -> None:
    job = replicating_job(
        ApprovalsCollected(_approvals("abcdef")),
        SecondaryFinished(receipt_of(0, "a")),
        SecondaryReplaced(1, "b", "secondary-timeout"),
    )
    with pytest.raises(SecondariesExhausted, match=HELLO.name):
        ReplicationPlan.of(job).assignments()

    retried = replicating_job(
        ApprovalsCollected(_approvals("abcdef")),
        SecondaryFinished(receipt_of(0, "a")),
        SecondaryReplaced(1, "b", "secondary-timeout"),
        ReplicateFailed(JobError("r", "m", True), 9.0),
        RetryDue(),
        ApprovalsCollected(_approvals("fedcba")),
    )
    assert _holders(ReplicationPlan.of(retried)) == "-fedcb"
