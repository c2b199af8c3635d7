"""Who may have a job, and when: uploads, claims and the pauses between retries. Time arrives as an
argument (unix seconds)."""

from __future__ import annotations

from enum import Enum

from greenray.protocol.errors import AlreadyUploaded, EndLost, IllegalTransition, InvalidInput
from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_events import JobEvent, UploadFailed, UploadFinished, UploadStarted
from greenray.protocol.job_table import TASK_NODE_STATES, UPLOADER_STATES
from greenray.protocol.objects import ObjectIdentity

LONGEST_PAUSE_S = 1800.0
"""No job waits longer for its next try: a time that is further away was read from a clock that was
ahead, and has been set right since."""


def is_due(at: float, now: float) -> bool:
    """Whether the time ``at`` of a retry, or of a look, has come."""
    return not now < at <= now + LONGEST_PAUSE_S


def is_claimable(job: JobContext, now: float) -> bool:
    """Whether a task node may take the job: in a state of its own, not final, due, and nobody's or
    its lease ran out."""
    if job.final or job.state not in TASK_NODE_STATES:
        return False
    return is_due(job.retry_at, now) and not is_owned(job, now)


def is_owned(job: JobContext, now: float) -> bool:
    """Whether some process holds the job: it has an owner and the lease has not run out."""
    return bool(job.owner) and now < job.lease_expires_at


class UploadAdmission(Enum):
    """How an upload of an object may begin."""

    CREATE = "create"
    """There is no job: make one in INIT_UNSPECIFIED, then UploadStarted."""
    RESUME = "resume"
    """The last upload failed: UploadResumed."""
    TAKE_OVER = "take-over"
    """The last upload's owner is gone: OwnerLost, then UploadResumed."""
    SUPERSEDE = "supersede"
    """The job is another object's, whose id the chain has given away: ObjectRemoved (unless it
    is final), then a new one as for CREATE, with later fences."""


def admit_upload(
    existing: JobContext | None, now: float, identity: ObjectIdentity | None = None
) -> UploadAdmission:
    """How an upload may begin, given the newest job of its object id (protocol 02 §3.3).

    ``identity``: of the object, as the chain has it now; None: the job's own.

    Raises:
        AlreadyUploaded: the payload is stored, another upload of it is running, or it was given up
            (in blocks that the chain has lost: see ``events_of_lost_end``).
    """
    if existing is None:
        return UploadAdmission.CREATE
    if identity not in (None, existing.object_info.identity):
        return UploadAdmission.SUPERSEDE
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


def events_of_lost_end(job: JobContext) -> tuple[JobEvent, ...]:
    """What happens to another job for the object of this one, which has ended in blocks that the
    chain has lost: it goes on with the payload when it was sealed, and waits for the payload when
    it was given up, or its object removed, since its pieces may be gone.

    Raises: IllegalTransition, the job has not ended.
    """
    if not job.final:
        raise IllegalTransition(f"a job in {job.state.name} is not begun again", job.where)
    if job.state is JobState.SEAL_OBJECT_DONE and job.error is None:
        return UploadStarted(), UploadFinished()
    lost = EndLost(
        f"the chain has lost the blocks in which it ended ({job.state.name})",
        job.where,
        "Put the object again",
    )
    return UploadStarted(), UploadFailed(JobError.of(lost))


def retry_delay_s(retries: int, jitter: float, base_s: float = 1.0, cap_s: float = 300.0) -> float:
    """Seconds before the next retry, after ``retries`` of them: exponential, ``jitter`` in [0, 1)
    spreads it over the upper half, so that many jobs that failed together do not come back
    together.

    Raises:
        InvalidInput: a negative count, a jitter outside [0, 1), or a base or cap of 0 or less.
    """
    if retries < 0 or not 0.0 <= jitter < 1.0 or base_s <= 0 or cap_s <= 0:
        raise InvalidInput(
            f"no retry delay after {retries} retries, jitter {jitter}, {base_s} s to {cap_s} s"
        )
    # Beyond 2**30 the cap has long been reached; the bound keeps the power finite.
    full_s = min(cap_s, base_s * 2.0 ** min(retries, 30))
    return full_s * (0.5 + jitter / 2)


def next_retry_at(
    job: JobContext, now: float, jitter: float, base_s: float = 1.0, cap_s: float = 300.0
) -> float | None:
    """When to try the failed step again (unix seconds); None: past the deadline, give up."""
    at = now + retry_delay_s(job.retries, jitter, base_s, cap_s)
    return at if at < job.deadline_at else None


def next_look_at(now: float, jitter: float, every_s: float) -> float:
    """When to look whether what a parked job waits for has come (unix seconds). The pauses do not
    grow, and no deadline ends them."""
    return now + every_s * (0.5 + jitter / 2)
