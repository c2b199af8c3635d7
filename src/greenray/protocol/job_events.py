"""What can happen to a job: one class per event, with what it says and what it changes.

Which state an event leads to is in ``greenray.protocol.job_table``, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, get_args

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import (
    IllegalTransition,
    InvalidInput,
    SecondaryOutOfService,
    UploadOwnerLost,
    VoidReceipt,
)
from greenray.protocol.job import (
    JobContext,
    JobError,
    JobState,
    Replacement,
    SecondaryReceipt,
)


@dataclass(frozen=True, slots=True)
class _Event:
    name: ClassVar[str]
    """In the journal's audit trail: stays, whatever the class is called."""

    def effect(self, job: JobContext) -> JobContext:
        """``job`` with what the event says, still in its state.

        Raises: IllegalTransition, when the event contradicts the receipts that the job has.
        """
        return job


# --- uploads -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UploadStarted(_Event):
    name = "upload_started"


@dataclass(frozen=True, slots=True)
class UploadFinished(_Event):
    name = "upload_finished"


@dataclass(frozen=True, slots=True)
class UploadFailed(_Event):
    """Not scheduled again: the client puts the object again, or does not."""

    name = "upload_failed"
    error: JobError

    def effect(self, job: JobContext) -> JobContext:
        return replace(job, error=self.error, retry_at=0.0)


@dataclass(frozen=True, slots=True)
class UploadResumed(_Event):
    name = "upload_resumed"

    def effect(self, job: JobContext) -> JobContext:
        # What was sent ahead under the old approvals may be bytes of another payload.
        return replace(job, error=None, retry_at=0.0, approvals=())


@dataclass(frozen=True, slots=True)
class OwnerLost(_Event):
    name = "owner_lost"

    def effect(self, job: JobContext) -> JobContext:
        lost = UploadOwnerLost(
            f"{job.owner or 'the upload'} ended", job.where, "Put the object again"
        )
        return replace(job, error=JobError.of(lost), retry_at=0.0)


# --- steps of the task node ----------------------------------------------------------------------


AFTER_PARKING_S = 3600.0
"""What a job that waited for something outside of it has at least for retries afterwards: the
first small failure must not end it because its deadline has passed meanwhile."""


@dataclass(frozen=True, slots=True)
class StepFailed(_Event):
    """What every failed step of the task node says. One that parks the job moves its deadline.

    ``retry_at``: when it is tried again (unix seconds); None when it will not be, and the
    job is given up next.
    """

    error: JobError
    retry_at: float | None = None

    def effect(self, job: JobContext) -> JobContext:
        # A retry that could not even begin has been one: the next pause is longer.
        counts = job.error is not None and not self.error.parks
        retries = job.retries + 1 if counts else job.retries
        at = self.retry_at or 0.0
        deadline_at = job.deadline_at
        if self.error.parks:
            deadline_at = max(deadline_at, at + AFTER_PARKING_S)
        return replace(job, retries=retries, error=self.error, retry_at=at, deadline_at=deadline_at)


@dataclass(frozen=True, slots=True)
class ReplicateStarted(_Event):
    name = "replicate_started"


@dataclass(frozen=True, slots=True)
class ApprovalsCollected(_Event):
    """One approval round. Raises: InvalidInput, without any approval."""

    name = "approvals_collected"
    approvals: tuple[Approval, ...]

    def __post_init__(self) -> None:
        if not self.approvals:
            raise InvalidInput(f"event {self.name} needs approvals")

    def effect(self, job: JobContext) -> JobContext:
        return replace(job, approvals=self.approvals, approval_round=job.approval_round + 1)


@dataclass(frozen=True, slots=True)
class SecondaryFinished(_Event):
    name = "secondary_finished"
    receipt: SecondaryReceipt

    def effect(self, job: JobContext) -> JobContext:
        return replace(job, secondaries=_with_receipt(job, self.receipt))


@dataclass(frozen=True, slots=True)
class SecondaryReplaced(_Event):
    """The secondary at an index failed under the present approvals; ``reason`` is its error's."""

    name = "secondary_replaced"
    redundancy_index: int
    operator_address: str
    reason: str
    message: str = ""

    def effect(self, job: JobContext) -> JobContext:
        index = self.redundancy_index
        _check_index(job, index)
        if job.receipt(index) is not None:
            raise IllegalTransition(
                f"redundancy index {index} is finished and cannot fail", job.where
            )
        replaced = Replacement(
            index, self.operator_address, self.reason, self.message, job.approval_round
        )
        return replace(job, replaced=(*job.replaced, replaced))


@dataclass(frozen=True, slots=True)
class ReplicateFinished(_Event):
    name = "replicate_finished"

    def effect(self, job: JobContext) -> JobContext:
        missing = [i for i in range(job.params.n) if job.receipt(i) is None]
        if missing:
            raise IllegalTransition(
                f"replication cannot be finished without receipts of redundancy indices {missing}",
                job.where,
            )
        return job


@dataclass(frozen=True, slots=True)
class ReplicateFailed(StepFailed):
    name = "replicate_failed"


@dataclass(frozen=True, slots=True)
class SignStarted(_Event):
    name = "sign_started"


@dataclass(frozen=True, slots=True)
class SignFinished(_Event):
    """No hash: the object turned out sealed by a transaction that the journal does not know."""

    name = "sign_finished"
    seal_tx_hash: str | None

    def effect(self, job: JobContext) -> JobContext:
        return replace(job, seal_tx_hash=self.seal_tx_hash)


@dataclass(frozen=True, slots=True)
class SignFailed(StepFailed):
    name = "sign_failed"


@dataclass(frozen=True, slots=True)
class ReceiptsVoided(_Event):
    """The chain takes these receipts no more. Their groups are asked for again: of the same
    secondary, or of a spare where that one is gone."""

    name = "receipts_voided"
    void: tuple[VoidReceipt, ...]

    def effect(self, job: JobContext) -> JobContext:
        indices = {receipt.redundancy_index for receipt in self.void}
        left = tuple(r for r in job.secondaries if r.redundancy_index not in indices)
        replaced = tuple(
            Replacement(
                receipt.redundancy_index,
                receipt.operator_address,
                SecondaryOutOfService.reason,
                receipt.why,
                job.approval_round,
            )
            for receipt in self.void
            if receipt.is_gone
        )
        return replace(job, secondaries=left, replaced=(*job.replaced, *replaced))


@dataclass(frozen=True, slots=True)
class SealWatchStarted(_Event):
    name = "seal_watch_started"


@dataclass(frozen=True, slots=True)
class SealFinished(_Event):
    """``seal_tx_hash``: of the transaction that sealed, which may be an earlier one; None when it
    is not known."""

    name = "seal_finished"
    seal_height: int | None
    seal_tx_hash: str | None

    def effect(self, job: JobContext) -> JobContext:
        return replace(
            job,
            final=True,
            error=None,
            seal_height=self.seal_height,
            seal_tx_hash=self.seal_tx_hash or job.seal_tx_hash,
        )


@dataclass(frozen=True, slots=True)
class SealFailed(StepFailed):
    name = "seal_failed"


# --- after a failure -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryDue(_Event):
    name = "retry_due"

    def effect(self, job: JobContext) -> JobContext:
        # Old approvals may have expired and their SPs have just failed: ask again.
        replicates = job.state is JobState.REPLICATE_OBJECT_ERROR
        approvals = () if replicates else job.approvals
        was_parked = job.error is not None and job.error.parks
        retries = job.retries if was_parked else job.retries + 1
        return replace(job, retries=retries, error=None, retry_at=0.0, approvals=approvals)


@dataclass(frozen=True, slots=True)
class GivenUp(_Event):
    """The job keeps the error that it has."""

    name = "given_up"

    def effect(self, job: JobContext) -> JobContext:
        return replace(job, final=True, retry_at=0.0)


@dataclass(frozen=True, slots=True)
class ObjectRemoved(_Event):
    """The chain has the object no more, wherever the job stands; ``error`` says what became of
    it."""

    name = "object_removed"
    error: JobError

    def effect(self, job: JobContext) -> JobContext:
        return replace(job, final=True, error=self.error, retry_at=0.0)


JobEvent = (
    UploadStarted
    | UploadFinished
    | UploadFailed
    | UploadResumed
    | OwnerLost
    | ReplicateStarted
    | ApprovalsCollected
    | SecondaryFinished
    | SecondaryReplaced
    | ReplicateFinished
    | ReplicateFailed
    | SignStarted
    | SignFinished
    | SignFailed
    | SealWatchStarted
    | SealFinished
    | SealFailed
    | RetryDue
    | GivenUp
    | ObjectRemoved
    | ReceiptsVoided
)

EVENTS: Mapping[str, type[JobEvent]] = MappingProxyType({e.name: e for e in get_args(JobEvent)})
"""Every event by its name."""


def _with_receipt(job: JobContext, receipt: SecondaryReceipt) -> tuple[SecondaryReceipt, ...]:
    """The job's receipts with ``receipt`` in its place; each index and each SP at most once."""
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


def _check_index(job: JobContext, redundancy_index: int) -> None:
    if not 0 <= redundancy_index < job.params.n:
        raise IllegalTransition(
            f"redundancy index {redundancy_index} is outside 0..{job.params.n - 1}", job.where
        )
