from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from greenray.protocol.errors import (
    AlreadyUploaded,
    IllegalTransition,
    InvalidInput,
    SecondaryTimeout,
    StaleJob,
)
from greenray.protocol.job import (
    TRANSITIONS,
    UPLOADER_STATES,
    EventKind,
    JobContext,
    JobError,
    JobEvent,
    JobState,
    ReplacedSecondary,
    StateChange,
    UploadAdmission,
    admit_upload,
    apply,
    check_and_apply,
    is_claimable,
    next_attempt_at,
    retry_delay_s,
    transition_table_markdown,
)
from tests.support.protocol_values import (
    SECONDARIES,
    approval_of,
    job_after,
    new_job,
    receipt_of,
    replicating_job,
)

_ERROR = JobError("store-error", "the disk is gone", True)
_ALL_RECEIPTS = tuple(
    JobEvent.secondary_finished(receipt_of(r, address)) for r, address in enumerate(SECONDARIES)
)


def _in_state(state: JobState, **fields: Any) -> JobContext:
    return replace(new_job(), state=state, **fields)


def _complete(kind: EventKind) -> JobEvent:
    """An event of the kind with all the fields that it needs."""
    match kind:
        case EventKind.APPROVALS_COLLECTED:
            return JobEvent.approvals_collected((approval_of("sp"),))
        case EventKind.SECONDARY_FINISHED:
            return JobEvent.secondary_finished(receipt_of(0, "sp"))
        case EventKind.SECONDARY_REPLACED:
            return JobEvent.secondary_replaced(0, "sp", "secondary-timeout")
        case EventKind.SIGN_FINISHED:
            return JobEvent.sign_finished("AB12")
        case (
            EventKind.UPLOAD_FAILED
            | EventKind.REPLICATE_FAILED
            | EventKind.SIGN_FAILED
            | EventKind.SEAL_FAILED
        ):
            return JobEvent.failed(kind, _ERROR)
        case _:
            return JobEvent(kind)


# --- the way of a job -----------------------------------------------------------------------------


def test_job_goes_from_upload_to_sealed_and_is_final() -> None:
    job = replicating_job(
        JobEvent.approvals_collected(tuple(approval_of(a) for a in SECONDARIES)),
        *_ALL_RECEIPTS,
        EventKind.REPLICATE_FINISHED,
        EventKind.SIGN_STARTED,
        JobEvent.sign_finished("AB12"),
        EventKind.SEAL_WATCH_STARTED,
        JobEvent.seal_finished(77, "AB12"),
    )
    assert [change.state.value for change in job.history] == [1, 2, 7, 8, 10, 11, 13, 14]
    assert (job.final, job.seal_tx_hash, job.seal_height) == (True, "AB12", 77)
    assert [r.operator_address for r in job.secondaries] == list(SECONDARIES)


def test_history_says_when_each_state_began() -> None:
    job = apply(new_job(), JobEvent(EventKind.UPLOAD_STARTED), 12.5)
    assert job.history == (StateChange(JobState.UPLOAD_OBJECT_DOING, 12.5),)


def test_event_outside_the_table_is_refused_in_every_state() -> None:
    for state in JobState:
        for kind in EventKind:
            if (state, kind) not in TRANSITIONS:
                with pytest.raises(IllegalTransition, match=kind.value):
                    apply(_in_state(state), _complete(kind), 0.0)


@pytest.mark.parametrize("kind", EventKind)
def test_final_job_takes_no_event(kind: EventKind) -> None:
    for state in (s for s, k in TRANSITIONS if k is kind):
        with pytest.raises(IllegalTransition, match="final"):
            apply(_in_state(state, final=True), _complete(kind), 0.0)


def test_every_state_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) == set(JobState) - {JobState.INIT_UNSPECIFIED}


def test_sealed_transaction_may_be_an_earlier_one() -> None:
    watching = _in_state(JobState.SEAL_OBJECT_TX_DOING, seal_tx_hash="NEW")
    assert apply(watching, JobEvent.seal_finished(5, "OLD"), 0.0).seal_tx_hash == "OLD"
    assert apply(watching, JobEvent.seal_finished(5, None), 0.0).seal_tx_hash == "NEW"


# --- errors and retries ---------------------------------------------------------------------------


def test_failure_keeps_its_reason_and_its_schedule() -> None:
    timeout = JobError.of(SecondaryTimeout("no answer within 5 s", "sp1"))
    job = replicating_job(JobEvent.failed(EventKind.REPLICATE_FAILED, timeout, 99.0))
    assert job.error == JobError("secondary-timeout", "sp1: no answer within 5 s", True)
    assert job.next_attempt_at == 99.0


def test_retry_clears_the_error_counts_the_attempt_and_asks_for_new_approvals() -> None:
    job = replicating_job(
        JobEvent.approvals_collected((approval_of("a"),)),
        JobEvent.secondary_finished(receipt_of(3, "a")),
        JobEvent.failed(EventKind.REPLICATE_FAILED, _ERROR, 99.0),
        EventKind.RETRY_DUE,
    )
    assert job.state is JobState.REPLICATE_OBJECT_DOING
    assert (job.attempt, job.error, job.next_attempt_at, job.approvals) == (1, None, 0.0, ())
    assert job.secondaries == (receipt_of(3, "a"),)


@pytest.mark.parametrize("state", [JobState.SIGN_OBJECT_ERROR, JobState.SEAL_OBJECT_ERROR])
def test_failed_seal_is_signed_again(state: JobState) -> None:
    approvals = (approval_of("a"),)
    job = apply(_in_state(state, approvals=approvals), JobEvent(EventKind.RETRY_DUE), 0.0)
    assert (job.state, job.attempt) == (JobState.SIGN_OBJECT_DOING, 1)
    assert job.approvals == approvals


def test_given_up_job_is_final_and_keeps_its_error() -> None:
    job = _in_state(JobState.SEAL_OBJECT_ERROR, error=_ERROR, next_attempt_at=9.0)
    given_up = apply(job, JobEvent(EventKind.GIVEN_UP), 0.0)
    assert (given_up.state, given_up.final) == (JobState.SEAL_OBJECT_ERROR, True)
    assert (given_up.error, given_up.next_attempt_at) == (_ERROR, 0.0)


def test_upload_without_an_owner_says_so_and_can_be_resumed() -> None:
    job = job_after(EventKind.UPLOAD_STARTED, EventKind.OWNER_LOST)
    assert job.state is JobState.UPLOAD_OBJECT_ERROR
    assert job.error is not None
    assert job.error.reason == "owner-lost"
    resumed = apply(job, JobEvent(EventKind.UPLOAD_RESUMED), 0.0)
    assert (resumed.state, resumed.error) == (JobState.UPLOAD_OBJECT_DOING, None)


def test_retry_delays_double_up_to_the_cap_and_jitter_spreads_the_upper_half() -> None:
    assert [retry_delay_s(attempt, 0.0) for attempt in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert retry_delay_s(0, 0.5) == 0.75
    assert retry_delay_s(10**6, 0.0) == 150.0
    assert retry_delay_s(3, 0.0, base_s=0.1, cap_s=0.4) == 0.2


@pytest.mark.parametrize("wrong", [(-1, 0.0, 1, 1), (0, 1.0, 1, 1), (0, -0.1, 1, 1), (0, 0, 0, 1)])
def test_retry_delay_of_nonsense_is_refused(wrong: tuple[int, float, float, float]) -> None:
    with pytest.raises(InvalidInput):
        retry_delay_s(*wrong)


def test_next_attempt_ends_at_the_deadline() -> None:
    job = replace(new_job(), attempt=3, deadline_at=100.0)
    assert next_attempt_at(job, 90.0, 0.0) == 94.0
    assert next_attempt_at(job, 96.0, 0.0) is None


# --- secondaries ----------------------------------------------------------------------------------


def test_receipts_are_kept_in_index_order_and_written_again_they_replace() -> None:
    job = replicating_job(
        JobEvent.secondary_finished(receipt_of(4, "a")),
        JobEvent.secondary_finished(receipt_of(1, "b")),
        JobEvent.secondary_finished(receipt_of(4, "c")),
    )
    assert job.secondaries == (receipt_of(1, "b"), receipt_of(4, "c"))
    assert job.receipt(1) == receipt_of(1, "b")
    assert job.receipt(0) is None


def test_one_provider_cannot_hold_two_indices() -> None:
    job = replicating_job(JobEvent.secondary_finished(receipt_of(0, "a")))
    with pytest.raises(IllegalTransition, match="holds redundancy index 0 already"):
        apply(job, JobEvent.secondary_finished(receipt_of(1, "a")), 0.0)


@pytest.mark.parametrize("index", [-1, 6])
def test_redundancy_index_outside_the_object_is_refused(index: int) -> None:
    with pytest.raises(IllegalTransition, match="outside"):
        replicating_job(JobEvent.secondary_finished(receipt_of(index, "a")))
    with pytest.raises(IllegalTransition, match="outside"):
        replicating_job(JobEvent.secondary_replaced(index, "a", "secondary-lied"))


def test_finished_index_cannot_fail() -> None:
    job = replicating_job(JobEvent.secondary_finished(receipt_of(0, "a")))
    with pytest.raises(IllegalTransition, match="is finished"):
        apply(job, JobEvent.secondary_replaced(0, "a", "secondary-lied"), 0.0)


def test_replication_is_not_finished_before_all_receipts_are_there() -> None:
    with pytest.raises(IllegalTransition, match=r"\[5\]"):
        replicating_job(*_ALL_RECEIPTS[:5], EventKind.REPLICATE_FINISHED)


def test_replaced_secondary_belongs_to_the_approval_round_it_failed_in() -> None:
    first = JobEvent.approvals_collected((approval_of("a"),))
    job = replicating_job(first, JobEvent.secondary_replaced(2, "a", "secondary-timeout", "late"))
    assert job.replaced_in_round == (ReplacedSecondary(2, "a", "secondary-timeout", "late", 1),)

    again = apply(job, first, 0.0)
    assert again.replaced_in_round == ()
    assert again.replaced == job.replaced


# --- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EventKind)
def test_event_with_what_it_needs_survives_pickling(kind: EventKind) -> None:
    event = _complete(kind)
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (EventKind.UPLOAD_FAILED, "error"),
        (EventKind.REPLICATE_FAILED, "error"),
        (EventKind.APPROVALS_COLLECTED, "approvals"),
        (EventKind.SECONDARY_FINISHED, "receipt"),
        (EventKind.SECONDARY_REPLACED, "replaced"),
    ],
)
def test_event_without_what_it_needs_is_refused(kind: EventKind, field: str) -> None:
    with pytest.raises(InvalidInput, match=f"{kind.value} needs {field}"):
        JobEvent(kind)


def test_event_with_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has no use for seal_height"):
        JobEvent(EventKind.UPLOAD_STARTED, seal_height=1)
    with pytest.raises(InvalidInput, match="has no use for next_attempt_at"):
        JobEvent(EventKind.GIVEN_UP, next_attempt_at=0.0)


# --- claims and admission -------------------------------------------------------------------------


def test_write_of_an_earlier_owner_is_refused() -> None:
    job = _in_state(JobState.UPLOAD_OBJECT_DONE, epoch=3)
    event = JobEvent(EventKind.REPLICATE_STARTED)
    assert check_and_apply(job, 3, JobState.UPLOAD_OBJECT_DONE, event, 0.0).epoch == 3
    with pytest.raises(StaleJob, match="epoch 2"):
        check_and_apply(job, 2, JobState.UPLOAD_OBJECT_DONE, event, 0.0)
    with pytest.raises(StaleJob, match="SIGN_OBJECT_DOING"):
        check_and_apply(job, 3, JobState.SIGN_OBJECT_DOING, event, 0.0)


@pytest.mark.parametrize("state", JobState)
def test_unowned_due_job_is_claimable_unless_it_is_the_uploaders(state: JobState) -> None:
    assert is_claimable(_in_state(state), 0.0) is (state not in UPLOADER_STATES)


def test_job_is_claimable_when_due_and_not_held() -> None:
    held = _in_state(JobState.SIGN_OBJECT_DONE, owner="a", lease_expires_at=10.0)
    assert not is_claimable(held, 9.9)
    assert is_claimable(held, 10.0)
    due = _in_state(JobState.SEAL_OBJECT_ERROR, next_attempt_at=5.0)
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


# --- the table as a document ----------------------------------------------------------------------


def test_markdown_table_has_one_row_per_transition() -> None:
    lines = transition_table_markdown().splitlines()
    assert lines[:2] == ["| from | event | to |", "|---|---|---|"]
    assert len(lines) == 2 + len(TRANSITIONS)
    assert "| 11 SIGN_OBJECT_DONE | seal_watch_started | 13 SEAL_OBJECT_TX_DOING |" in lines
    assert "| 9 REPLICATE_OBJECT_ERROR | given_up | stays |" in lines
