from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from greenray.protocol.errors import (
    AlreadyUploaded,
    ChainLags,
    IllegalTransition,
    InvalidInput,
    SealAccountWithoutFunds,
    SecondaryTimeout,
    StaleJob,
    VoidReceipt,
)
from greenray.protocol.job import (
    JobContext,
    JobError,
    JobState,
    Replacement,
    StateChange,
)
from greenray.protocol.job_claims import (
    LONGEST_PAUSE_S,
    UploadAdmission,
    admit_upload,
    is_claimable,
    next_look_at,
    next_retry_at,
    retry_delay_s,
)
from greenray.protocol.job_events import (
    AFTER_PARKING_S,
    EVENTS,
    ApprovalsCollected,
    GivenUp,
    JobEvent,
    ObjectRemoved,
    OwnerLost,
    ReceiptsVoided,
    ReplicateFailed,
    ReplicateFinished,
    ReplicateStarted,
    RetryDue,
    SealFailed,
    SealFinished,
    SealWatchStarted,
    SecondaryFinished,
    SecondaryReplaced,
    SignFailed,
    SignFinished,
    SignStarted,
    UploadFailed,
    UploadFinished,
    UploadResumed,
    UploadStarted,
)
from greenray.protocol.job_table import (
    HISTORY_KEPT,
    STATES,
    TASK_NODE_STATES,
    TRANSITIONS,
    UPLOADER_STATES,
    EndState,
    Step,
    TaskNodeState,
    apply,
    check_and_apply,
    transition_table_markdown,
)
from greenray.protocol.replication_plan import ReplicationPlan
from tests.support.protocol_values import (
    HELLO,
    SECONDARIES,
    approval_of,
    job_after,
    new_job,
    receipt_of,
    replicating_job,
)

_ERROR = JobError("store-error", "the disk is gone", True)
_RECEIPTS_OF_ALL = tuple(receipt_of(r, address) for r, address in enumerate(SECONDARIES))
_ALL_RECEIPTS = tuple(map(SecondaryFinished, _RECEIPTS_OF_ALL))


def _in_state(state: JobState, **fields: Any) -> JobContext:
    return replace(new_job(), state=state, **fields)


_EXAMPLES: tuple[JobEvent, ...] = (
    UploadStarted(),
    UploadFinished(),
    UploadFailed(_ERROR),
    UploadResumed(),
    OwnerLost(),
    ReplicateStarted(),
    ApprovalsCollected((approval_of("sp"),)),
    SecondaryFinished(receipt_of(0, "sp")),
    SecondaryReplaced(0, "sp", "secondary-timeout"),
    ReplicateFinished(),
    ReplicateFailed(_ERROR, 99.0),
    SignStarted(),
    SignFinished("AB12"),
    SignFailed(_ERROR, 99.0),
    SealWatchStarted(),
    SealFinished(77, "AB12"),
    SealFailed(_ERROR, 99.0),
    RetryDue(),
    GivenUp(),
    ObjectRemoved(JobError("object-gone", "deleted", False)),
    ReceiptsVoided((VoidReceipt(0, "sp", is_gone=False, why="another key"),)),
)
_each_event = pytest.mark.parametrize("event", _EXAMPLES, ids=lambda event: event.name)


# --- the way of a job -----------------------------------------------------------------------------


def test_job_goes_from_upload_to_sealed_and_is_final() -> None:
    job = replicating_job(
        ApprovalsCollected(tuple(approval_of(a) for a in SECONDARIES)),
        *_ALL_RECEIPTS,
        ReplicateFinished(),
        SignStarted(),
        SignFinished("AB12"),
        SealWatchStarted(),
        SealFinished(77, "AB12"),
    )
    assert [change.state.value for change in job.history] == [1, 2, 7, 8, 10, 11, 13, 14]
    assert (job.final, job.seal_tx_hash, job.seal_height) == (True, "AB12", 77)
    assert [r.operator_address for r in job.secondaries] == list(SECONDARIES)


def test_history_says_when_each_state_began() -> None:
    job = apply(new_job(), UploadStarted(), 12.5)
    assert job.history == (StateChange(JobState.UPLOAD_OBJECT_DOING, 12.5),)


def test_event_outside_the_table_is_refused_in_every_state() -> None:
    for state in JobState:
        for event in _EXAMPLES:
            if (state, type(event)) not in TRANSITIONS:
                with pytest.raises(IllegalTransition, match=event.name):
                    apply(_in_state(state), event, 0.0)


def test_the_job_of_a_removed_object_ends_wherever_it_stands() -> None:
    gone = JobError("object-gone", "it was deleted from the chain", False)
    for state in JobState:
        ended = apply(_in_state(state), ObjectRemoved(gone), 5.0)
        assert (ended.final, ended.error, ended.retry_at) == (True, gone, 0.0)
        assert not is_claimable(ended, 1e12)


def test_a_sealed_job_keeps_its_state_and_is_told_once_that_its_object_is_removed() -> None:
    gone = JobError("object-gone", "it was deleted from the chain", False)
    sealed = _in_state(JobState.SEAL_OBJECT_DONE, final=True)
    ended = apply(sealed, ObjectRemoved(gone), 5.0)
    assert (ended.state, ended.error) == (JobState.SEAL_OBJECT_DONE, gone)
    with pytest.raises(IllegalTransition, match="final"):
        apply(ended, ObjectRemoved(gone), 6.0)


@_each_event
def test_final_job_takes_no_event(event: JobEvent) -> None:
    for state in (s for s, kind in TRANSITIONS if kind is type(event)):
        if state is JobState.SEAL_OBJECT_DONE:
            continue  # of a sealed object its removal may be told
        with pytest.raises(IllegalTransition, match="final"):
            apply(_in_state(state, final=True), event, 0.0)


def test_every_state_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) == set(JobState) - {JobState.INIT_UNSPECIFIED}


def test_sealed_transaction_may_be_an_earlier_one() -> None:
    watching = _in_state(JobState.SEAL_OBJECT_TX_DOING, seal_tx_hash="NEW")
    assert apply(watching, SealFinished(5, "OLD"), 0.0).seal_tx_hash == "OLD"
    assert apply(watching, SealFinished(5, None), 0.0).seal_tx_hash == "NEW"


# --- errors and retries ---------------------------------------------------------------------------


def test_failure_keeps_its_reason_and_its_schedule() -> None:
    timeout = JobError.of(SecondaryTimeout("no answer within 5 s", "sp1"))
    job = replicating_job(ReplicateFailed(timeout, 99.0))
    assert job.error == JobError("secondary-timeout", "sp1: no answer within 5 s", True)
    assert job.retry_at == 99.0


def test_retry_clears_the_error_counts_itself_and_asks_for_new_approvals() -> None:
    job = replicating_job(
        ApprovalsCollected((approval_of("a"),)),
        SecondaryFinished(receipt_of(3, "a")),
        ReplicateFailed(_ERROR, 99.0),
        RetryDue(),
    )
    assert job.state is JobState.REPLICATE_OBJECT_DOING
    assert (job.retries, job.error, job.retry_at, job.approvals) == (1, None, 0.0, ())
    assert job.secondaries == (receipt_of(3, "a"),)


@pytest.mark.parametrize("state", [JobState.SIGN_OBJECT_ERROR, JobState.SEAL_OBJECT_ERROR])
def test_failed_seal_is_signed_again(state: JobState) -> None:
    approvals = (approval_of("a"),)
    job = apply(_in_state(state, approvals=approvals), RetryDue(), 0.0)
    assert (job.state, job.retries) == (JobState.SIGN_OBJECT_DOING, 1)
    assert job.approvals == approvals


def test_given_up_job_is_final_and_keeps_its_error() -> None:
    job = _in_state(JobState.SEAL_OBJECT_ERROR, error=_ERROR, retry_at=9.0)
    given_up = apply(job, GivenUp(), 0.0)
    assert (given_up.state, given_up.final) == (JobState.SEAL_OBJECT_ERROR, True)
    assert (given_up.error, given_up.retry_at) == (_ERROR, 0.0)


def test_upload_without_an_owner_says_so_and_can_be_resumed() -> None:
    job = job_after(UploadStarted(), OwnerLost())
    assert job.state is JobState.UPLOAD_OBJECT_ERROR
    assert job.error is not None
    assert job.error.reason == "owner-lost"
    resumed = apply(job, UploadResumed(), 0.0)
    assert (resumed.state, resumed.error) == (JobState.UPLOAD_OBJECT_DOING, None)


def test_retry_delays_double_up_to_the_cap_and_jitter_spreads_the_upper_half() -> None:
    assert [retry_delay_s(retries, 0.0) for retries in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert retry_delay_s(0, 0.5) == 0.75
    assert retry_delay_s(10**6, 0.0) == 150.0
    assert retry_delay_s(3, 0.0, base_s=0.1, cap_s=0.4) == 0.2


@pytest.mark.parametrize("wrong", [(-1, 0.0, 1, 1), (0, 1.0, 1, 1), (0, -0.1, 1, 1), (0, 0, 0, 1)])
def test_retry_delay_of_nonsense_is_refused(wrong: tuple[int, float, float, float]) -> None:
    with pytest.raises(InvalidInput):
        retry_delay_s(*wrong)


def test_next_retry_ends_at_the_deadline() -> None:
    job = replace(new_job(), retries=3, deadline_at=100.0)
    assert next_retry_at(job, 90.0, 0.0) == 94.0
    assert next_retry_at(job, 96.0, 0.0) is None


# --- secondaries ----------------------------------------------------------------------------------


def test_receipts_are_kept_in_index_order_and_written_again_they_replace() -> None:
    job = replicating_job(
        SecondaryFinished(receipt_of(4, "a")),
        SecondaryFinished(receipt_of(1, "b")),
        SecondaryFinished(receipt_of(4, "c")),
    )
    assert job.secondaries == (receipt_of(1, "b"), receipt_of(4, "c"))
    assert job.receipt(1) == receipt_of(1, "b")
    assert job.receipt(0) is None


def test_one_provider_cannot_hold_two_indices() -> None:
    job = replicating_job(SecondaryFinished(receipt_of(0, "a")))
    with pytest.raises(IllegalTransition, match="holds redundancy index 0 already"):
        apply(job, SecondaryFinished(receipt_of(1, "a")), 0.0)


@pytest.mark.parametrize("index", [-1, 6])
def test_redundancy_index_outside_the_object_is_refused(index: int) -> None:
    with pytest.raises(IllegalTransition, match="outside"):
        replicating_job(SecondaryFinished(receipt_of(index, "a")))
    with pytest.raises(IllegalTransition, match="outside"):
        replicating_job(SecondaryReplaced(index, "a", "secondary-lied"))


def test_finished_index_cannot_fail() -> None:
    job = replicating_job(SecondaryFinished(receipt_of(0, "a")))
    with pytest.raises(IllegalTransition, match="is finished"):
        apply(job, SecondaryReplaced(0, "a", "secondary-lied"), 0.0)


def test_replication_is_not_finished_before_all_receipts_are_there() -> None:
    with pytest.raises(IllegalTransition, match=r"\[5\]"):
        replicating_job(*_ALL_RECEIPTS[:5], ReplicateFinished())


def test_replaced_secondary_belongs_to_the_approval_round_it_failed_in() -> None:
    first = ApprovalsCollected((approval_of("a"),))
    job = replicating_job(first, SecondaryReplaced(2, "a", "secondary-timeout", "late"))
    assert job.replaced_in_round == (Replacement(2, "a", "secondary-timeout", "late", 1),)

    again = apply(job, first, 0.0)
    assert again.replaced_in_round == ()
    assert again.replaced == job.replaced


# --- events ---------------------------------------------------------------------------------------


def test_events_are_known_by_the_names_that_are_in_journals() -> None:
    assert {name: kind.__name__ for name, kind in EVENTS.items()} == {
        event.name: type(event).__name__ for event in _EXAMPLES
    }
    assert len({event.name for event in _EXAMPLES}) == len(EVENTS) == 21


@_each_event
def test_event_survives_pickling(event: JobEvent) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


@_each_event
def test_event_leaves_the_state_to_the_table(event: JobEvent) -> None:
    job = _in_state(JobState.REPLICATE_OBJECT_DOING, secondaries=_RECEIPTS_OF_ALL)
    if isinstance(event, SecondaryReplaced):
        job = replace(job, secondaries=())
    after = event.effect(job)
    assert (after.state, after.history) == (job.state, job.history)


def test_approval_round_without_an_approval_is_refused() -> None:
    with pytest.raises(InvalidInput, match="approvals_collected needs approvals"):
        ApprovalsCollected(())


# --- the rows of the states -----------------------------------------------------------------------


def test_state_has_exactly_one_owner() -> None:
    done = {JobState.SEAL_OBJECT_DONE}
    assert UPLOADER_STATES | TASK_NODE_STATES | done == set(STATES) == set(JobState)
    assert len(UPLOADER_STATES) + len(TASK_NODE_STATES) + len(done) == len(JobState)


def test_state_from_which_nothing_follows_is_the_end() -> None:
    followed = {state for (state, _), target in TRANSITIONS.items() if target is not state}
    assert {s for s, row in STATES.items() if isinstance(row, EndState)} == set(JobState) - followed


@pytest.mark.parametrize("state", sorted(TASK_NODE_STATES))
def test_failure_in_a_state_of_the_task_node_waits_in_an_error_state(state: JobState) -> None:
    row = STATES[state]
    assert isinstance(row, TaskNodeState)
    failed = apply(_in_state(state), row.failure(_ERROR, 99.0), 0.0)
    then = STATES[failed.state]
    assert isinstance(then, TaskNodeState)
    assert (then.step, then.failure) == (Step.RETRY, row.failure)
    assert (failed.error, failed.retry_at, failed.final) == (_ERROR, 99.0, False)
    assert not is_claimable(failed, 98.9)
    assert is_claimable(failed, 99.0)
    assert not is_claimable(failed, 99.0 - LONGEST_PAUSE_S)
    assert is_claimable(failed, 98.9 - LONGEST_PAUSE_S), "no pause is that long"


def test_retry_that_cannot_begin_counts_as_one() -> None:
    job = _in_state(JobState.SIGN_OBJECT_ERROR, error=_ERROR, retries=2)
    failed = apply(job, SignFailed(_ERROR, 99.0), 0.0)
    assert (failed.state, failed.retries) == (JobState.SIGN_OBJECT_ERROR, 3)


@pytest.mark.parametrize("state", [JobState.SIGN_OBJECT_DOING, JobState.SEAL_OBJECT_TX_DOING])
def test_void_receipts_are_asked_for_again_and_those_who_are_gone_are_replaced(
    state: JobState,
) -> None:
    job = _in_state(
        state,
        secondaries=_RECEIPTS_OF_ALL,
        approvals=tuple(approval_of(a) for a in (*SECONDARIES, "spare")),
        approval_round=2,
    )
    void = (
        VoidReceipt(1, SECONDARIES[1], is_gone=False, why="another key"),
        VoidReceipt(4, SECONDARIES[4], is_gone=True, why="it is not in service"),
    )
    after = apply(job, ReceiptsVoided(void), 0.0)
    assert after.state is JobState.REPLICATE_OBJECT_DOING
    assert [r.redundancy_index for r in after.secondaries] == [0, 2, 3, 5]
    assigned = ReplicationPlan.of(after).assignments()
    holders = {index: approval.sp_operator_address for index, approval in assigned.items()}
    assert holders == {1: SECONDARIES[1], 4: "spare"}
    assert after.replaced_in_round[-1].reason == "secondary-out-of-service"


# --- parked jobs ----------------------------------------------------------------------------------


def test_parked_job_counts_no_retries_and_its_pauses_neither_grow_nor_end() -> None:
    parked = JobError.of(SealAccountWithoutFunds("no coins"))
    job = _in_state(JobState.SIGN_OBJECT_DOING, retries=2, deadline_at=10.0)
    for _ in range(5):
        job = apply(job, SignFailed(parked, next_look_at(1e6, 0.5, 10.0)), 1e6)
        assert (job.retries, job.retry_at) == (2, 1e6 + 7.5)
        job = apply(job, RetryDue(), 1e6)
    assert job.retries == 2


def test_parked_job_that_fails_for_another_reason_counts_again() -> None:
    parked = JobError.of(ChainLags("old"))
    job = _in_state(JobState.SEAL_OBJECT_ERROR, error=parked, retries=2)
    job = apply(job, RetryDue(), 0.0)
    job = apply(job, SignFailed(_ERROR, 99.0), 0.0)
    assert apply(job, RetryDue(), 0.0).retries == 3


def test_parked_job_has_time_for_retries_when_it_goes_on_after_its_deadline() -> None:
    now = 1e6
    parked = JobError.of(SealAccountWithoutFunds("no coins"))
    job = _in_state(JobState.SIGN_OBJECT_DOING, deadline_at=10.0)
    job = apply(job, SignFailed(parked, next_look_at(now, 0.0, 10.0)), now)
    job = apply(job, RetryDue(), now + 10)
    assert next_retry_at(job, now + 10, 0.0) == now + 10.5
    assert next_retry_at(job, now + 2 * AFTER_PARKING_S, 0.0) is None


def test_history_of_a_job_that_waits_for_days_keeps_its_beginning_and_its_latest_changes() -> None:
    parked = JobError.of(SealAccountWithoutFunds("no coins"))
    job = _in_state(JobState.SIGN_OBJECT_DOING)
    for look in range(1_000):
        job = apply(job, SignFailed(parked, look + 1.0), float(look))
        job = apply(job, RetryDue(), look + 0.5)
    times = [change.at for change in job.history]
    assert len(times) == HISTORY_KEPT
    assert times[:10] == [look / 2 for look in range(10)]
    assert times[-2:] == [999.0, 999.5]
    assert times == sorted(times)


def test_parking_takes_no_time_away() -> None:
    parked = JobError.of(ChainLags("old"))
    job = _in_state(JobState.SIGN_OBJECT_DOING, deadline_at=1e6)
    assert apply(job, SignFailed(parked, 7.0), 0.0).deadline_at == 1e6


# --- claims and admission -------------------------------------------------------------------------


def test_write_of_an_earlier_owner_is_refused() -> None:
    job = _in_state(JobState.UPLOAD_OBJECT_DONE, epoch=3)
    event = ReplicateStarted()
    assert check_and_apply(job, 3, JobState.UPLOAD_OBJECT_DONE, event, 0.0).epoch == 3
    with pytest.raises(StaleJob, match="epoch 2"):
        check_and_apply(job, 2, JobState.UPLOAD_OBJECT_DONE, event, 0.0)
    with pytest.raises(StaleJob, match="SIGN_OBJECT_DOING"):
        check_and_apply(job, 3, JobState.SIGN_OBJECT_DOING, event, 0.0)


@pytest.mark.parametrize("state", JobState)
def test_unowned_due_job_is_claimable_when_it_is_the_task_nodes(state: JobState) -> None:
    assert is_claimable(_in_state(state), 0.0) is (state in TASK_NODE_STATES)


def test_job_is_claimable_when_due_and_not_held() -> None:
    held = _in_state(JobState.SIGN_OBJECT_DONE, owner="a", lease_expires_at=10.0)
    assert not is_claimable(held, 9.9)
    assert is_claimable(held, 10.0)
    due = _in_state(JobState.SEAL_OBJECT_ERROR, retry_at=5.0)
    assert not is_claimable(due, 4.9)
    assert is_claimable(due, 5.0)
    assert not is_claimable(replace(due, final=True), 5.0)


def test_object_without_a_job_gets_one() -> None:
    assert admit_upload(None, 0.0) is UploadAdmission.CREATE


def test_failed_upload_is_resumed() -> None:
    failed = _in_state(JobState.UPLOAD_OBJECT_ERROR, owner="a", lease_expires_at=10.0)
    assert admit_upload(failed, 0.0) is UploadAdmission.RESUME


@pytest.mark.parametrize("state", [JobState.INIT_UNSPECIFIED, JobState.UPLOAD_OBJECT_DOING])
def test_running_upload_is_taken_over_only_when_its_lease_ran_out(state: JobState) -> None:
    running = _in_state(state, owner="a", lease_expires_at=10.0)
    with pytest.raises(AlreadyUploaded, match="running"):
        admit_upload(running, 9.9)
    assert admit_upload(running, 10.0) is UploadAdmission.TAKE_OVER


@pytest.mark.parametrize("state", sorted(set(JobState) - UPLOADER_STATES))
def test_stored_payload_is_not_uploaded_again(state: JobState) -> None:
    with pytest.raises(AlreadyUploaded, match=state.name):
        admit_upload(_in_state(state), 0.0)


def test_given_up_upload_is_not_resumed() -> None:
    with pytest.raises(AlreadyUploaded, match="given up"):
        admit_upload(_in_state(JobState.UPLOAD_OBJECT_ERROR, final=True), 0.0)


def test_upload_of_another_object_with_the_id_supersedes_the_job_whatever_its_state() -> None:
    other = replace(HELLO, create_at=HELLO.create_at + 1).identity
    for state in JobState:
        for final in (False, True):
            job = _in_state(state, final=final, owner="a", lease_expires_at=10.0)
            assert admit_upload(job, 0.0, other) is UploadAdmission.SUPERSEDE


# --- the table as a document ----------------------------------------------------------------------


def test_markdown_table_has_one_row_per_transition() -> None:
    lines = transition_table_markdown().splitlines()
    assert lines[:2] == ["| from | event | to |", "|---|---|---|"]
    assert len(lines) == 2 + len(TRANSITIONS)
    assert "| 11 SIGN_OBJECT_DONE | seal_watch_started | 13 SEAL_OBJECT_TX_DOING |" in lines
    assert "| 9 REPLICATE_OBJECT_ERROR | given_up | stays |" in lines
