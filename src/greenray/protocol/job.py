"""The job of one object on its primary SP: states, events, and the only function that changes it.

State numbers are those of protocol 02 §2, names are the specification's. The table below is the
whole truth: an event that is not in it for the job's state raises ``IllegalTransition``.
Time arrives as an argument (unix seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum, IntEnum
from types import MappingProxyType

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import (
    AlreadyUploaded,
    GreenrayError,
    IllegalTransition,
    InvalidInput,
    OwnerLost,
    StaleJob,
)
from greenray.protocol.objects import ObjectInfo, StorageParams


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
        (_S.UPLOAD_OBJECT_DOING, _E.APPROVALS_COLLECTED): _S.UPLOAD_OBJECT_DOING,
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

UPLOADER_STATES = frozenset({_S.INIT_UNSPECIFIED, _S.UPLOAD_OBJECT_DOING, _S.UPLOAD_OBJECT_ERROR})
"""States that belong to the uploader and the client; all others are the task node's."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job is in an _ERROR state."""

    reason: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: GreenrayError) -> JobError:
        return cls(error.reason, str(error), error.retryable)


@dataclass(frozen=True, slots=True)
class SecondaryReceipt:
    """One finished secondary: its integrity hash and the signature of its approval key, verified.
    Only ``greenray.protocol.integrity.verify_receipt`` and the journal make it."""

    redundancy_index: int
    operator_address: str
    integrity_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ReplacedSecondary:
    """A secondary that failed at its index, and why.

    ``approval_round`` is stamped by ``apply``: the round whose approval the secondary failed.
    """

    redundancy_index: int
    operator_address: str
    reason: str
    message: str = ""
    approval_round: int = 0


@dataclass(frozen=True, slots=True)
class StateChange:
    state: JobState
    at: float


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What happened. Only the fields that belong to the kind may be set.

    Raises:
        InvalidInput: a field that the kind needs is missing, or one that it has no use for is set.
    """

    kind: EventKind
    error: JobError | None = None
    next_attempt_at: float | None = None
    approvals: tuple[Approval, ...] = ()
    receipt: SecondaryReceipt | None = None
    replaced: ReplacedSecondary | None = None
    seal_tx_hash: str | None = None
    seal_height: int | None = None

    def __post_init__(self) -> None:
        needed, optional = _EVENT_FIELDS.get(self.kind, (frozenset(), frozenset()))
        given = {
            f.name
            for f in fields(self)
            if f.name != "kind" and getattr(self, f.name) not in (None, (), "")
        }
        missing, useless = needed - given, given - needed - optional
        if missing or useless:
            problems = [f"needs {name}" for name in sorted(missing)]
            problems += [f"has no use for {name}" for name in sorted(useless)]
            raise InvalidInput(f"event {self.kind.value} {', '.join(problems)}")

    @classmethod
    def failed(
        cls, kind: EventKind, error: JobError, next_attempt_at: float | None = None
    ) -> JobEvent:
        """One of the ``..._FAILED`` kinds; without ``next_attempt_at`` the job is due at once."""
        return cls(kind, error=error, next_attempt_at=next_attempt_at)

    @classmethod
    def approvals_collected(cls, approvals: tuple[Approval, ...]) -> JobEvent:
        return cls(EventKind.APPROVALS_COLLECTED, approvals=approvals)

    @classmethod
    def secondary_finished(cls, receipt: SecondaryReceipt) -> JobEvent:
        return cls(EventKind.SECONDARY_FINISHED, receipt=receipt)

    @classmethod
    def secondary_replaced(
        cls, redundancy_index: int, operator_address: str, reason: str, message: str = ""
    ) -> JobEvent:
        replaced = ReplacedSecondary(redundancy_index, operator_address, reason, message)
        return cls(EventKind.SECONDARY_REPLACED, replaced=replaced)

    @classmethod
    def sign_finished(cls, seal_tx_hash: str | None) -> JobEvent:
        """No hash: the object turned out sealed by a transaction that the journal does not know."""
        return cls(EventKind.SIGN_FINISHED, seal_tx_hash=seal_tx_hash)

    @classmethod
    def seal_finished(cls, seal_height: int | None, seal_tx_hash: str | None) -> JobEvent:
        """``seal_tx_hash`` is the transaction that sealed, which may be an earlier attempt's."""
        return cls(EventKind.SEAL_FINISHED, seal_height=seal_height, seal_tx_hash=seal_tx_hash)


_FAILURE = (frozenset({"error"}), frozenset({"next_attempt_at"}))
_EVENT_FIELDS: Mapping[EventKind, tuple[frozenset[str], frozenset[str]]] = MappingProxyType(
    {
        _E.UPLOAD_FAILED: _FAILURE,
        _E.REPLICATE_FAILED: _FAILURE,
        _E.SIGN_FAILED: _FAILURE,
        _E.SEAL_FAILED: _FAILURE,
        _E.OWNER_LOST: (frozenset(), frozenset({"error"})),
        _E.GIVEN_UP: (frozenset(), frozenset({"error"})),
        _E.APPROVALS_COLLECTED: (frozenset({"approvals"}), frozenset()),
        _E.SECONDARY_FINISHED: (frozenset({"receipt"}), frozenset()),
        _E.SECONDARY_REPLACED: (frozenset({"replaced"}), frozenset()),
        _E.SIGN_FINISHED: (frozenset(), frozenset({"seal_tx_hash"})),
        _E.SEAL_FINISHED: (frozenset(), frozenset({"seal_tx_hash", "seal_height"})),
    }
)
"""Which fields an event needs, and which it may have besides; other kinds carry nothing."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """Everything that is known about one upload; the row of the job store.

    ``epoch`` counts claims: a write by an earlier owner carries an old epoch and is refused.
    ``approval_round`` counts the approval rounds whose approvals were kept; ``approvals`` are
    those of the latest, empty when the next step is to ask for new ones.
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
    approval_round: int = 0
    approvals: tuple[Approval, ...] = ()
    secondaries: tuple[SecondaryReceipt, ...] = ()
    replaced: tuple[ReplacedSecondary, ...] = ()
    seal_tx_hash: str | None = None
    seal_height: int | None = None
    history: tuple[StateChange, ...] = field(default=())

    @property
    def object_id(self) -> int:
        return self.object_info.id

    @property
    def replaced_in_round(self) -> tuple[ReplacedSecondary, ...]:
        """Those that failed under the present approvals, in the order of their failures."""
        return tuple(r for r in self.replaced if r.approval_round == self.approval_round)

    @property
    def where(self) -> str:
        """The job in an error message."""
        return f"job {self.job_id} of {self.object_info.name}"

    def receipt(self, redundancy_index: int) -> SecondaryReceipt | None:
        return next((r for r in self.secondaries if r.redundancy_index == redundancy_index), None)


def apply(job: JobContext, event: JobEvent, now: float) -> JobContext:
    """The job after ``event``; ``now`` in unix seconds.

    Raises:
        IllegalTransition: the event is not in the table for the job's state, the job is final, or
            what the event says contradicts the receipts that the job has.
    """
    target = TRANSITIONS.get((job.state, event.kind))
    if target is None or job.final:
        final = " (final)" if job.final else ""
        raise IllegalTransition(
            f"event {event.kind.value} in state {job.state.name}{final}", job.where
        )
    changed = target is not job.state
    history = (*job.history, StateChange(target, now)) if changed else job.history
    after = replace(job, state=target, history=history)
    match event.kind:
        case EventKind.APPROVALS_COLLECTED:
            return replace(after, approvals=event.approvals, approval_round=job.approval_round + 1)
        case EventKind.SECONDARY_FINISHED:
            return replace(after, secondaries=_with_receipt(job, event.receipt))
        case EventKind.SECONDARY_REPLACED:
            return replace(after, replaced=_with_replaced(job, event.replaced))
        case EventKind.REPLICATE_FINISHED:
            _check_complete(job)
            return after
        case EventKind.RETRY_DUE:
            after = replace(after, attempt=job.attempt + 1, error=None, next_attempt_at=0.0)
            # Old approvals may have expired and their SPs have just failed: ask again.
            replicates = target is JobState.REPLICATE_OBJECT_DOING
            return replace(after, approvals=()) if replicates else after
        case EventKind.UPLOAD_RESUMED:
            # What was sent ahead under the old approvals may be bytes of another payload.
            return replace(after, error=None, next_attempt_at=0.0, approvals=())
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
            return replace(after, final=True, error=event.error or job.error, next_attempt_at=0.0)
        case EventKind.OWNER_LOST:
            lost = OwnerLost(
                f"{job.owner or 'the upload'} ended", job.where, "Put the object again"
            )
            return replace(after, error=event.error or JobError.of(lost), next_attempt_at=0.0)
        case _ if target in ERROR_STATES:
            return replace(after, error=event.error, next_attempt_at=event.next_attempt_at or 0.0)
        case _:
            return after


def _with_receipt(
    job: JobContext, receipt: SecondaryReceipt | None
) -> tuple[SecondaryReceipt, ...]:
    """The job's receipts with ``receipt`` in its place; each index and each SP at most once."""
    if receipt is None:
        raise IllegalTransition("a finished secondary without a receipt", job.where)
    _check_index(job, receipt.redundancy_index)
    others = [r for r in job.secondaries if r.redundancy_index != receipt.redundancy_index]
    for other in others:
        if other.operator_address == receipt.operator_address:
            raise IllegalTransition(
                f"{receipt.operator_address} holds redundancy index {other.redundancy_index} "
                f"already and cannot hold {receipt.redundancy_index} too",
                job.where,
            )
    return tuple(sorted((*others, receipt), key=lambda r: r.redundancy_index))


def _with_replaced(
    job: JobContext, replaced: ReplacedSecondary | None
) -> tuple[ReplacedSecondary, ...]:
    if replaced is None:
        raise IllegalTransition("a replaced secondary without its record", job.where)
    _check_index(job, replaced.redundancy_index)
    if job.receipt(replaced.redundancy_index) is not None:
        raise IllegalTransition(
            f"redundancy index {replaced.redundancy_index} is finished and cannot fail", job.where
        )
    return (*job.replaced, replace(replaced, approval_round=job.approval_round))


def _check_index(job: JobContext, redundancy_index: int) -> None:
    if not 0 <= redundancy_index < job.params.n:
        raise IllegalTransition(
            f"redundancy index {redundancy_index} is outside 0..{job.params.n - 1}", job.where
        )


def _check_complete(job: JobContext) -> None:
    missing = [i for i in range(job.params.n) if job.receipt(i) is None]
    if missing:
        raise IllegalTransition(
            f"replication cannot be finished without receipts of redundancy indices {missing}",
            job.where,
        )


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


def is_claimable(job: JobContext, now: float) -> bool:
    """Whether a task node may take the job: not final, due, and nobody's or its lease ran out.

    States 0, 1 and 3 belong to the uploader and the client; they are never replicated.
    """
    if job.final or job.state in UPLOADER_STATES:
        return False
    return job.next_attempt_at <= now and not is_owned(job, now)


def is_owned(job: JobContext, now: float) -> bool:
    """Whether some process holds the job: it has an owner and the lease has not run out."""
    return bool(job.owner) and now < job.lease_expires_at


class UploadAdmission(Enum):
    """How an upload of an object may begin."""

    CREATE = "create"
    """There is no job: make one in INIT_UNSPECIFIED, then UPLOAD_STARTED."""
    RESUME = "resume"
    """The last upload failed: UPLOAD_RESUMED."""
    TAKE_OVER = "take-over"
    """The last upload's owner is gone: OWNER_LOST, then UPLOAD_RESUMED."""


def admit_upload(existing: JobContext | None, now: float) -> UploadAdmission:
    """How an upload may begin, given the job that the object has (protocol 02 §3.3).

    Raises:
        AlreadyUploaded: the payload is stored, another upload of it is running, or it was given up.
    """
    if existing is None:
        return UploadAdmission.CREATE
    if existing.state not in UPLOADER_STATES:
        raise AlreadyUploaded(
            f"the payload is stored already (state {existing.state.name})", existing.where
        )
    if existing.final:
        raise AlreadyUploaded(
            "the upload was given up", existing.where, "Create the object again under a new id"
        )
    if existing.state is JobState.UPLOAD_OBJECT_ERROR:
        return UploadAdmission.RESUME
    if is_owned(existing, now):
        raise AlreadyUploaded(
            "another upload of this object is running",
            existing.where,
            "Wait for it to end, then put the object again",
        )
    return UploadAdmission.TAKE_OVER


def retry_delay_s(attempt: int, jitter: float, base_s: float = 1.0, cap_s: float = 300.0) -> float:
    """Seconds before attempt ``attempt + 1``: exponential, ``jitter`` in [0, 1) spreads it over the
    upper half, so that many jobs that failed together do not come back together.

    Raises:
        InvalidInput: a negative attempt, a jitter outside [0, 1), or a base or cap of 0 or less.
    """
    if attempt < 0 or not 0.0 <= jitter < 1.0 or base_s <= 0 or cap_s <= 0:
        raise InvalidInput(
            f"no retry delay for attempt {attempt}, jitter {jitter}, {base_s} s to {cap_s} s"
        )
    # Beyond 2**30 the cap has long been reached; the bound keeps the power finite.
    full_s = min(cap_s, base_s * 2.0 ** min(attempt, 30))
    return full_s * (0.5 + jitter / 2)


def next_attempt_at(
    job: JobContext, now: float, jitter: float, base_s: float = 1.0, cap_s: float = 300.0
) -> float | None:
    """When to try the failed step again (unix seconds); None: past the deadline, give up."""
    at = now + retry_delay_s(job.attempt, jitter, base_s, cap_s)
    return at if at < job.deadline_at else None


def transition_table_markdown() -> str:
    """The transition table as a Markdown table, for docs/architecture.md."""
    rows = [
        f"| {source:d} {source.name} | {kind.value} | "
        f"{'stays' if source is target else f'{target:d} {target.name}'} |"
        for (source, kind), target in TRANSITIONS.items()
    ]
    return "\n".join(["| from | event | to |", "|---|---|---|", *rows]) + "\n"
