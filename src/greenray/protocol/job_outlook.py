"""What an operator wants to know of a job: whether it is stuck, and what it waits for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_claims import is_due, is_owned
from greenray.protocol.job_table import STATES, UPLOADER_STATES, EndState


@dataclass(frozen=True, slots=True)
class JobOutlook:
    """A job as of one moment.

    ``age_s``: since it was made. ``next_retry_in_s``: until it is tried again; None: not planned.
    ``stuck``: something failed, and it has not gone on since. ``waits_for``: what has to happen
    next; empty for a final job.
    """

    job_id: int
    bucket_name: str
    object_name: str
    object_id: int
    sp_address: str
    state: JobState
    final: bool
    stuck: bool
    age_s: float
    retries: int
    next_retry_in_s: float | None
    waits_for: str
    error: JobError | None

    @classmethod
    def of(cls, job: JobContext, now: float) -> JobOutlook:
        """``now``: unix seconds."""
        waiting_s = 0.0 if is_due(job.retry_at, now) else job.retry_at - now
        return cls(
            job_id=job.job_id,
            bucket_name=job.object_info.bucket_name,
            object_name=job.object_info.object_name,
            object_id=job.object_id,
            sp_address=job.sp_address,
            state=job.state,
            final=job.final,
            stuck=not job.final and job.error is not None,
            age_s=now - job.created_at,
            retries=job.retries,
            next_retry_in_s=None if job.final or not job.retry_at else waiting_s,
            waits_for=_waits_for(job, now),
            error=job.error,
        )

    @property
    def name(self) -> str:
        """``bucket/object``"""
        return f"{self.bucket_name}/{self.object_name}"

    @property
    def sealed(self) -> bool:
        return self.state is JobState.SEAL_OBJECT_DONE

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        if self.error is not None:
            del document["error"]["waits_for"]  # said once, for the whole job
        bucket, object_name = document.pop("bucket_name"), document.pop("object_name")
        return {
            **document,
            "bucket": bucket,
            "object": object_name,
            "state": self.state.name,
            "state_number": int(self.state),
        }


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are wanted: those that all of these let pass; None, or False, lets all.

    ``finished``: also those that are final; so they are in a ``state`` that nothing follows.
    ``sp_address``: in capitals or not.
    """

    state: JobState | None = None
    bucket_name: str | None = None
    sp_address: str | None = None
    stuck: bool = False
    finished: bool = False

    @property
    def lets_final_pass(self) -> bool:
        return self.finished or (
            self.state is not None and isinstance(STATES[self.state], EndState)
        )

    def passes(self, job: JobOutlook) -> bool:
        return (
            self.state in (None, job.state)
            and self.bucket_name in (None, job.bucket_name)
            and (self.sp_address is None or self.sp_address.lower() == job.sp_address.lower())
            and (job.stuck or not self.stuck)
            and (self.lets_final_pass or not job.final)
        )


def _waits_for(job: JobContext, now: float) -> str:
    if job.final:
        return ""
    owned = is_owned(job, now)
    if job.state in UPLOADER_STATES:
        return "the rest of its payload" if owned else "its client, who may put it again"
    if owned:
        return f"the end of a step, at {job.owner}"
    if job.error is not None and job.error.parks:
        return job.error.waits_for
    if job.error is not None and not is_due(job.retry_at, now):
        return f"its next retry ({job.error.reason})"
    return "a TaskNode"
