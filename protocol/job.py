"""The job of one object on its primary SP: states, events, and the only function that changes it.

State numbers are those of protocol 02 §2, names are the specification's. The table below is the
whole truth: an event that is not in it for the job's state raises ``IllegalTransition``.
Time arrives as an argument (unix seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from types import MappingProxyType

from protocol.approvals import Approval
from protocol.errors import IllegalTransition, StaleJob
from protocol.objects import ObjectInfo, StorageParams


class JobState(IntEnum):
    INIT_UNSPECIFIED = 0
    UPLOAD_OBJECT_DOING = 1
    UPLOAD_OBJECT_DONE = 2
    UPLOAD_OBJECT_ERROR = 3
    REPLICATE_OBJECT_DOING = 7
    REPLICATE_OBJECT_DONE = 8
    REPLICATE_OBJECT_ERROR = 9
    SIGN_OBJECT_DOING = 10
    SIGN_OBJECT_DONE = 11
    SIGN_OBJECT_ERROR = 12
    SEAL_OBJECT_TX_DOING = 13
    SEAL_OBJECT_DONE = 14
    SEAL_OBJECT_ERROR = 15


class EventKind(Enum):
    UPLOAD_STARTED = "upload_started"
    UPLOAD_FINISHED = "upload_finished"
    UPLOAD_FAILED = "upload_failed"
    UPLOAD_RESUMED = "upload_resumed"
    OWNER_LOST = "owner_lost"
    REPLICATE_STARTED = "replicate_started"
    APPROVALS_COLLECTED = "approvals_collected"
    SECONDARY_FINISHED = "secondary_finished"
    SECONDARY_REPLACED = "secondary_replaced"
    REPLICATE_FINISHED = "replicate_finished"
    REPLICATE_FAILED = "replicate_failed"
    SIGN_STARTED = "sign_started"
    SIGN_FINISHED = "sign_finished"
    SIGN_FAILED = "sign_failed"
    SEAL_WATCH_STARTED = "seal_watch_started"
    SEAL_FINISHED = "seal_finished"
    SEAL_FAILED = "seal_failed"
    RETRY_DUE = "retry_due"
    GIVEN_UP = "given_up"


_S = JobState
_E = EventKind

TRANSITIONS: Mapping[tuple[JobState, EventKind], JobState] = MappingProxyType(
    {
        (_S.INIT_UNSPECIFIED, _E.UPLOAD_STARTED): _S.UPLOAD_OBJECT_DOING,
        (_S.INIT_UNSPECIFIED, _E.UPLOAD_FAILED): _S.UPLOAD_OBJECT_ERROR,
        (_S.INIT_UNSPECIFIED, _E.OWNER_LOST): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DOING, _E.UPLOAD_FINISHED): _S.UPLOAD_OBJECT_DONE,
        (_S.UPLOAD_OBJECT_DOING, _E.UPLOAD_FAILED): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DOING, _E.OWNER_LOST): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_ERROR, _E.UPLOAD_RESUMED): _S.UPLOAD_OBJECT_DOING,
        (_S.UPLOAD_OBJECT_ERROR, _E.GIVEN_UP): _S.UPLOAD_OBJECT_ERROR,
        (_S.UPLOAD_OBJECT_DONE, _E.REPLICATE_STARTED): _S.REPLICATE_OBJECT_DOING,
        (_S.UPLOAD_OBJECT_DONE, _E.REPLICATE_FAILED): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_DOING, _E.APPROVALS_COLLECTED): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DOING, _E.SECONDARY_FINISHED): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DOING, _E.SECONDARY_REPLACED): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_DOING, _E.REPLICATE_FINISHED): _S.REPLICATE_OBJECT_DONE,
        (_S.REPLICATE_OBJECT_DOING, _E.REPLICATE_FAILED): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_ERROR, _E.RETRY_DUE): _S.REPLICATE_OBJECT_DOING,
        (_S.REPLICATE_OBJECT_ERROR, _E.GIVEN_UP): _S.REPLICATE_OBJECT_ERROR,
        (_S.REPLICATE_OBJECT_DONE, _E.SIGN_STARTED): _S.SIGN_OBJECT_DOING,
        (_S.SIGN_OBJECT_DOING, _E.SIGN_FINISHED): _S.SIGN_OBJECT_DONE,
        (_S.SIGN_OBJECT_DOING, _E.SIGN_FAILED): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_ERROR, _E.RETRY_DUE): _S.SIGN_OBJECT_DOING,
        (_S.SIGN_OBJECT_ERROR, _E.GIVEN_UP): _S.SIGN_OBJECT_ERROR,
        (_S.SIGN_OBJECT_DONE, _E.SEAL_WATCH_STARTED): _S.SEAL_OBJECT_TX_DOING,
        (_S.SEAL_OBJECT_TX_DOING, _E.SEAL_FINISHED): _S.SEAL_OBJECT_DONE,
        (_S.SEAL_OBJECT_TX_DOING, _E.SEAL_FAILED): _S.SEAL_OBJECT_ERROR,
        (_S.SEAL_OBJECT_ERROR, _E.RETRY_DUE): _S.SIGN_OBJECT_DOING,
        (_S.SEAL_OBJECT_ERROR, _E.GIVEN_UP): _S.SEAL_OBJECT_ERROR,
    }
)

ERROR_STATES = frozenset(
    {
        _S.UPLOAD_OBJECT_ERROR,
        _S.REPLICATE_OBJECT_ERROR,
        _S.SIGN_OBJECT_ERROR,
        _S.SEAL_OBJECT_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job is in an _ERROR state."""

    reason: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class SecondaryReceipt:
    """One finished secondary: its integrity hash and the signature of its approval key."""

    redundancy_index: int
    operator_address: str
    integrity_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ReplacedSecondary:
    """A secondary that failed at its index, and why."""

    redundancy_index: int
    operator_address: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class StateChange:
    state: JobState
    at: float


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What happened. Only the fields that belong to the kind are set."""

    kind: EventKind
    error: JobError | None = None
    next_attempt_at: float | None = None
    approvals: tuple[Approval, ...] = ()
    receipt: SecondaryReceipt | None = None
    replaced: ReplacedSecondary | None = None
    seal_tx_hash: str | None = None
    seal_height: int | None = None


@dataclass(frozen=True, slots=True)
class JobContext:
    """Everything that is known about one upload; the row of the job store.

    ``epoch`` counts claims: a write by an earlier owner carries an old epoch and is refused.
    ``final`` means that nobody will touch the job again (sealed, or given up).
    """

    job_id: int
    sp_address: str
    object_info: ObjectInfo
    params: StorageParams
    batch_segments: int
    created_at: float
    deadline_at: float
    state: JobState = JobState.INIT_UNSPECIFIED
    epoch: int = 0
    owner: str = ""
    lease_expires_at: float = 0.0
    attempt: int = 0
    next_attempt_at: float = 0.0
    final: bool = False
    error: JobError | None = None
    approvals: tuple[Approval, ...] = ()
    secondaries: tuple[SecondaryReceipt, ...] = ()
    replaced: tuple[ReplacedSecondary, ...] = ()
    seal_tx_hash: str | None = None
    seal_height: int | None = None
    history: tuple[StateChange, ...] = field(default=())

    @property
    def object_id(self) -> int:
        return self.object_info.id

    def receipt(self, redundancy_index: int) -> SecondaryReceipt | None:
        return next((r for r in self.secondaries if r.redundancy_index == redundancy_index), None)


def apply(job: JobContext, event: JobEvent, now: float) -> JobContext:
    """The job after ``event``.

    Raises:
        IllegalTransition: the event is not in the table for the job's state, or the job is final.
    """
    target = TRANSITIONS.get((job.state, event.kind))
    if target is None or job.final:
        raise IllegalTransition(
            f"event {event.kind.value} in state {job.state.name}{' (final)' if job.final else ''}",
            f"job {job.job_id} of {job.object_info.name}",
        )
    changed = target is not job.state
    history = (*job.history, StateChange(target, now)) if changed else job.history
    after = replace(job, state=target, history=history)
    match event.kind:
        case EventKind.APPROVALS_COLLECTED:
            # New approvals start a new plan: what failed under the old ones stays on record.
            return replace(after, approvals=event.approvals)
        case EventKind.SECONDARY_FINISHED:
            assert event.receipt is not None
            index = event.receipt.redundancy_index
            others = tuple(r for r in job.secondaries if r.redundancy_index != index)
            ordered = sorted((*others, event.receipt), key=lambda r: r.redundancy_index)
            return replace(after, secondaries=tuple(ordered))
        case EventKind.SECONDARY_REPLACED:
            assert event.replaced is not None
            return replace(after, replaced=(*job.replaced, event.replaced))
        case EventKind.RETRY_DUE:
            return replace(after, attempt=job.attempt + 1, error=None, next_attempt_at=0.0)
        case EventKind.UPLOAD_RESUMED:
            return replace(after, error=None, next_attempt_at=0.0)
        case EventKind.SIGN_FINISHED:
            return replace(after, seal_tx_hash=event.seal_tx_hash)
        case EventKind.SEAL_FINISHED:
            return replace(
                after,
                final=True,
                error=None,
                seal_height=event.seal_height,
                seal_tx_hash=event.seal_tx_hash or job.seal_tx_hash,
            )
        case EventKind.GIVEN_UP:
            return replace(after, final=True, next_attempt_at=0.0)
        case _ if target in ERROR_STATES:
            return replace(after, error=event.error, next_attempt_at=event.next_attempt_at or 0.0)
        case _:
            return after


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
            f"job {job.job_id} of {job.object_info.name}",
        )
    return apply(job, event, now)


def is_claimable(job: JobContext, now: float) -> bool:
    """Whether a task node may take the job: not final, due, and nobody's or its lease ran out.

    States 0, 1 and 3 belong to the uploader and the client; they are never replicated.
    """
    if job.final or job.state in (
        JobState.INIT_UNSPECIFIED,
        JobState.UPLOAD_OBJECT_DOING,
        JobState.UPLOAD_OBJECT_ERROR,
    ):
        return False
    return job.next_attempt_at <= now and (not job.owner or job.lease_expires_at <= now)


def retry_delay_s(attempt: int, jitter: float, base_s: float = 1.0, cap_s: float = 300.0) -> float:
    """Exponential back-off; ``jitter`` in [0, 1) spreads it over the upper half."""
    full = min(cap_s, base_s * 2.0 ** min(attempt, 30))
    return full * (0.5 + jitter / 2)
