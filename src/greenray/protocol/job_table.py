"""What is true of each state, where each event leads, and the only function that changes a job.

Two tables, and they are the whole truth: ``STATES`` has one row per state, ``TRANSITIONS`` one per
legal event in a state; any other event raises ``IllegalTransition``. What an event changes besides
the state is with its class. Time arrives as an argument (unix seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import assert_never

from greenray.protocol.errors import IllegalTransition, StaleJob
from greenray.protocol.job import JobContext, JobState, StateChange
from greenray.protocol.job_events import (
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

# --- states --------------------------------------------------------------------------------------

# What a client is told (protocol 02 §4, v0.2 texts; clients compare them).
_NOT_STARTED = "object meta is created in the chain, but the upload has been not started yet"
_UPLOADING = "object payload is uploading to the primary SP"
_REPLICATING = "object payload is replicating to the secondary SPs in the background"
_SEALING = "object meta is sealing onto the chain in the background"
_SUCCEEDED = "object is succeed to upload"
_FAILED = "something is wrong in the upload process"


class Step(Enum):
    """What the task node does with a job in a state."""

    START_REPLICATING = "start replicating"
    REPLICATE = "replicate"
    START_SIGNING = "start signing"
    SIGN = "sign"
    START_WATCHING = "start watching"
    WATCH = "watch"
    RETRY = "retry"


StepFailure = type[ReplicateFailed] | type[SignFailed] | type[SealFailed]


@dataclass(frozen=True, slots=True)
class UploaderState:
    """The job is the uploader's and the client's; a task node never claims it."""

    progress: str


@dataclass(frozen=True, slots=True)
class TaskNodeState:
    """The job is the task node's.

    ``step`` is what it does next; an error in it, of whatever kind, is recorded as ``failure``.
    """

    step: Step
    failure: StepFailure
    progress: str


@dataclass(frozen=True, slots=True)
class EndState:
    """Nothing follows."""

    progress: str


StateRow = UploaderState | TaskNodeState | EndState


def _row(state: JobState) -> StateRow:
    match state:
        case JobState.INIT_UNSPECIFIED:
            return UploaderState(_UPLOADING)
        case JobState.UPLOAD_OBJECT_DOING:
            return UploaderState(_UPLOADING)
        case JobState.UPLOAD_OBJECT_DONE:
            return TaskNodeState(Step.START_REPLICATING, ReplicateFailed, _REPLICATING)
        case JobState.UPLOAD_OBJECT_ERROR:
            return UploaderState(_FAILED)
        case JobState.REPLICATE_OBJECT_DOING:
            return TaskNodeState(Step.REPLICATE, ReplicateFailed, _REPLICATING)
        case JobState.REPLICATE_OBJECT_DONE:
            return TaskNodeState(Step.START_SIGNING, SignFailed, _REPLICATING)
        case JobState.REPLICATE_OBJECT_ERROR:
            return TaskNodeState(Step.RETRY, ReplicateFailed, _FAILED)
        case JobState.SIGN_OBJECT_DOING:
            return TaskNodeState(Step.SIGN, SignFailed, _SEALING)
        case JobState.SIGN_OBJECT_DONE:
            return TaskNodeState(Step.START_WATCHING, SealFailed, _SEALING)
        case JobState.SIGN_OBJECT_ERROR:
            return TaskNodeState(Step.RETRY, SignFailed, _FAILED)
        case JobState.SEAL_OBJECT_TX_DOING:
            return TaskNodeState(Step.WATCH, SealFailed, _SEALING)
        case JobState.SEAL_OBJECT_DONE:
            return EndState(_SUCCEEDED)
        case JobState.SEAL_OBJECT_ERROR:
            return TaskNodeState(Step.RETRY, SealFailed, _FAILED)
        case _:
            assert_never(state)


STATES: Mapping[JobState, StateRow] = MappingProxyType({state: _row(state) for state in JobState})
"""Complete for the type checker: ``_row`` has a case for every state."""

UPLOADER_STATES = frozenset(s for s, row in STATES.items() if isinstance(row, UploaderState))
"""The payload is not stored yet."""

TASK_NODE_STATES = frozenset(s for s, row in STATES.items() if isinstance(row, TaskNodeState))


def progress_text(state: JobState | None, sealed: bool) -> str:
    """``state`` is None when the object has no job; ``sealed`` is what the chain says, and wins."""
    if sealed:
        return _SUCCEEDED
    return _NOT_STARTED if state is None else STATES[state].progress


# --- transitions ---------------------------------------------------------------------------------

_S = JobState

TRANSITIONS: Mapping[tuple[JobState, type[JobEvent]], JobState] = MappingProxyType(
    {
        (_S.INIT_UNSPECIFIED, UploadStarted): _S.UPLOAD_OBJECT_DOING,
        (_S.INIT_UNSPECIFIED, UploadFailed): _S.UPLOAD_OBJECT_ERROR,
        (_S.INIT_UNSPECIFIED, OwnerLost): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DOING, ApprovalsCollected): _S.UPLOAD_OBJECT_DOING,
        (_S.UPLOAD_OBJECT_DOING, UploadFinished): _S.UPLOAD_OBJECT_DONE,
        (_S.UPLOAD_OBJECT_DOING, UploadFailed): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DOING, OwnerLost): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_ERROR, UploadResumed): _S.UPLOAD_OBJECT_DOING,
        (_S.UPLOAD_OBJECT_ERROR, GivenUp): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DONE, ReplicateStarted): _S.REPLICATE_OBJECT_DOING,
        (_S.UPLOAD_OBJECT_DONE, ReplicateFailed): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_DOING, ApprovalsCollected): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DOING, SecondaryFinished): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DOING, SecondaryReplaced): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DOING, ReplicateFinished): _S.REPLICATE_OBJECT_DONE,
        (_S.REPLICATE_OBJECT_DOING, ReplicateFailed): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_ERROR, RetryDue): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_ERROR, ReplicateFailed): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_ERROR, GivenUp): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_DONE, SignStarted): _S.SIGN_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DONE, SignFailed): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_DOING, SignFinished): _S.SIGN_OBJECT_DONE,
        (_S.SIGN_OBJECT_DOING, ReceiptsVoided): _S.REPLICATE_OBJECT_DOING,
        (_S.SIGN_OBJECT_DOING, SignFailed): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_ERROR, RetryDue): _S.SIGN_OBJECT_DOING,
        (_S.SIGN_OBJECT_ERROR, SignFailed): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_ERROR, GivenUp): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_DONE, SealWatchStarted): _S.SEAL_OBJECT_TX_DOING,
        (_S.SIGN_OBJECT_DONE, SealFailed): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_TX_DOING, SealFinished): _S.SEAL_OBJECT_DONE,
        (_S.SEAL_OBJECT_TX_DOING, ReceiptsVoided): _S.REPLICATE_OBJECT_DOING,
        (_S.SEAL_OBJECT_TX_DOING, SealFailed): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_ERROR, RetryDue): _S.SIGN_OBJECT_DOING,
        (_S.SEAL_OBJECT_ERROR, SealFailed): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_ERROR, GivenUp): _S.SEAL_OBJECT_ERROR,
        (_S.INIT_UNSPECIFIED, ObjectRemoved): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DOING, ObjectRemoved): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_ERROR, ObjectRemoved): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DONE, ObjectRemoved): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_DOING, ObjectRemoved): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_ERROR, ObjectRemoved): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_DONE, ObjectRemoved): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_DOING, ObjectRemoved): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_ERROR, ObjectRemoved): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_DONE, ObjectRemoved): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_TX_DOING, ObjectRemoved): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_ERROR, ObjectRemoved): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_DONE, ObjectRemoved): _S.SEAL_OBJECT_DONE,
    }
)
"""A final job takes one event only: that its sealed object was removed."""

HISTORY_KEPT = 100
"""Changes of state in a job's history: the first ten, and the latest."""

_FIRST_KEPT = 10


def apply(job: JobContext, event: JobEvent, now: float) -> JobContext:
    """The job after ``event``; ``now`` in unix seconds.

    Raises:
        IllegalTransition: the event is not in the table for the job's state, the job is final, or
            what the event says contradicts the receipts that the job has.
    """
    target = TRANSITIONS.get((job.state, type(event)))
    if target is None or (job.final and not can_be_removed(job, event)):
        final = " (final)" if job.final else ""
        raise IllegalTransition(f"event {event.name} in state {job.state.name}{final}", job.where)
    after = event.effect(job)
    if target is job.state:
        return after
    return replace(after, state=target, history=_with_change(job, StateChange(target, now)))


def _with_change(job: JobContext, change: StateChange) -> tuple[StateChange, ...]:
    """A job that waits for days changes its state at every look: its row must not grow with it."""
    history = (*job.history, change)
    if len(history) <= HISTORY_KEPT:
        return history
    return (*history[:_FIRST_KEPT], *history[_FIRST_KEPT - HISTORY_KEPT :])


def can_be_removed(job: JobContext, event: JobEvent) -> bool:
    """Whether the event is the one that may follow the end of the job."""
    is_sealed = job.state is JobState.SEAL_OBJECT_DONE and job.error is None
    return is_sealed and isinstance(event, ObjectRemoved)


def check_and_apply(
    job: JobContext, epoch: int, expected_state: JobState, event: JobEvent, now: float
) -> JobContext:
    """``apply`` as a compare-and-set on (epoch, state).

    Raises:
        StaleJob: the row belongs to a later owner, or is in another state.
        IllegalTransition: as ``apply``.
    """
    if job.epoch != epoch or job.state is not expected_state:
        raise StaleJob(
            f"expected epoch {epoch} in {expected_state.name}, the row has epoch {job.epoch} in "
            f"{job.state.name}",
            job.where,
        )
    return apply(job, event, now)


# --- as a document -------------------------------------------------------------------------------


def state_table_markdown() -> str:
    """The rows of the states as a Markdown table, for docs/architecture.md."""
    rows = [f"| {state:d} {state.name} | {_row_markdown(row)} |" for state, row in STATES.items()]
    head = ["| state | whose | step | an error in it |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _row_markdown(row: StateRow) -> str:
    match row:
        case UploaderState():
            return "Uploader, client | |"
        case TaskNodeState(step, failure):
            return f"TaskNode | {step.value} | {failure.name}"
        case EndState():
            return "nobody | |"


def transition_table_markdown() -> str:
    """The transition table as a Markdown table, for docs/architecture.md."""
    rows = [
        f"| {source:d} {source.name} | {event.name} | "
        f"{'stays' if source is target else f'{target:d} {target.name}'} |"
        for (source, event), target in TRANSITIONS.items()
    ]
    return "\n".join(["| from | event | to |", "|---|---|---|", *rows]) + "\n"
