"""What the JobStore's calls do inside a transaction: rows in, ``greenray.protocol.job`` decides,
rows out.

Each public function is one call of ``greenray.storage.ports.JobStore``, on an open SQLite
transaction; ``now`` is the store's clock. SQL selects candidates; what may happen to a job is not
decided here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from greenray.protocol.errors import AnotherObject, IllegalTransition, NoSuchJob, StaleJob
from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_claims import (
    UploadAdmission,
    admit_upload,
    events_of_lost_end,
    is_claimable,
    is_owned,
)
from greenray.protocol.job_events import (
    EVENTS,
    JobEvent,
    ObjectRemoved,
    OwnerLost,
    UploadResumed,
    UploadStarted,
)
from greenray.protocol.job_table import TASK_NODE_STATES, apply, can_be_removed, check_and_apply
from greenray.protocol.objects import ObjectIdentity, ObjectInfo, StorageParams
from greenray.storage.integrity_rows import put_integrity
from greenray.storage.job_codec import JOB_COLUMNS, decode_job, encode_value, job_columns
from greenray.storage.parked_rows import due_looks, due_sql, next_look_at, note_parked
from greenray.storage.ports import IntegrityRecord, JobUpdate

_ALL = f"{', '.join(JOB_COLUMNS)}, object_info, params, details"
_SELECT = f"SELECT {_ALL} FROM jobs"
_CHANGING = tuple(c for c in (*JOB_COLUMNS, "details") if c not in ("job_id", "sp_address"))
_UPDATE = f"UPDATE jobs SET {', '.join(f'{c} = :{c}' for c in _CHANGING)} WHERE job_id = :job_id"
_INSERT_COLUMNS = (
    *(c for c in JOB_COLUMNS if c != "job_id"),
    *("object_id", "bucket_name", "object_name", "object_info", "params", "details"),
)
_INSERT = (
    f"INSERT INTO jobs ({', '.join(_INSERT_COLUMNS)}) "
    f"VALUES ({', '.join(f':{c}' for c in _INSERT_COLUMNS)})"
)
EVENTS_KEPT = 100_000
"""Of all jobs together, the latest: about ten for each object. Nothing but people read them."""
_FORGOTTEN_AT_ONCE = 1000

_TASK_NODE = f"final = 0 AND state IN ({', '.join(str(int(s)) for s in TASK_NODE_STATES)})"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A line of the audit trail."""

    job_id: int
    epoch: int
    event: type[JobEvent]
    from_state: JobState
    to_state: JobState
    at: float


@dataclass(frozen=True, slots=True)
class NewUpload:
    """The arguments of ``begin_upload``."""

    sp_address: str
    object_info: ObjectInfo
    params: StorageParams
    batch_segments: int
    owner: str
    lease_s: float
    deadline_s: float


def begin_upload(db: sqlite3.Connection, upload: NewUpload, now: float) -> JobContext:
    existing = get_job(db, upload.sp_address, upload.object_info.id)
    admission = admit_upload(existing, now, upload.object_info.identity)
    started: JobEvent = UploadResumed()
    if existing is None or admission is UploadAdmission.SUPERSEDE:
        existing = _insert(db, upload, now, after=_superseded(db, existing, upload, now))
        started = UploadStarted()
    elif admission is UploadAdmission.TAKE_OVER:
        existing = _applied(db, existing, OwnerLost(), now)
    job = _owned(existing, upload.owner, now + upload.lease_s)
    # A resumed upload begins anew for the client: it gets the whole time again.
    job = replace(job, deadline_at=now + upload.deadline_s)
    return _save(db, _applied(db, job, started, now))


def begin_again(
    db: sqlite3.Connection, sp_address: str, job_id: int, deadline_s: float, now: float
) -> JobContext:
    job = require_job(db, sp_address, job_id)
    events = events_of_lost_end(job)
    newest = get_job(db, sp_address, job.object_id)
    if newest is not None and newest.job_id != job_id:
        return newest
    upload = NewUpload(
        sp_address, job.object_info, job.params, job.batch_segments, "", 0.0, deadline_s
    )
    again = _insert(db, upload, now, after=job)
    for event in events:
        again = _applied(db, again, event, now)
    if again.state is JobState.UPLOAD_OBJECT_ERROR:
        # Its rejection would be sent again, and be in a block this time too.
        db.execute(
            "UPDATE transactions SET state = 'dead' "
            "WHERE sp_address = ? AND job_id = ? AND state = 'reserved'",
            (sp_address, job_id),
        )
    return _save(db, again)


def apply_update(db: sqlite3.Connection, update: JobUpdate, now: float) -> JobContext:
    job = require_job(db, update.sp_address, update.job_id)
    after = check_and_apply(job, update.epoch, update.expected_state, update.event, now)
    _record(db, job, update.event, after, now)
    for event in update.then:
        after = _applied(db, after, event, now)
    note_parked(db, job, after, now)
    return _save(db, after)


def finish_upload(
    db: sqlite3.Connection, update: JobUpdate, record: IntegrityRecord, now: float
) -> JobContext:
    job = apply_update(db, update, now)
    put_integrity(db, record)
    return _save(db, replace(job, owner="", lease_expires_at=0.0))


def get_job(db: sqlite3.Connection, sp_address: str, object_id: int) -> JobContext | None:
    where = "WHERE sp_address = ? AND object_id = ? ORDER BY job_id DESC LIMIT 1"
    return _first(db.execute(f"{_SELECT} {where}", (sp_address, str(object_id))))


def job_of(db: sqlite3.Connection, sp_address: str, identity: ObjectIdentity) -> JobContext | None:
    """Among several jobs of one id the chain has given the id away in between."""
    where = "WHERE sp_address = ? AND object_id = ? ORDER BY job_id DESC"
    rows = db.execute(f"{_SELECT} {where}", (sp_address, str(identity.id)))
    return next((job for job in map(_decoded, rows) if job.object_info.identity == identity), None)


def find_job(db: sqlite3.Connection, bucket_name: str, object_name: str) -> JobContext | None:
    where = "WHERE bucket_name = ? AND object_name = ? ORDER BY job_id DESC LIMIT 1"
    return _first(db.execute(f"{_SELECT} {where}", (bucket_name, object_name)))


def list_jobs(db: sqlite3.Connection, unfinished_only: bool) -> tuple[JobContext, ...]:
    where = "WHERE final = 0" if unfinished_only else ""
    return tuple(map(_decoded, db.execute(f"{_SELECT} {where} ORDER BY job_id")))


def claim_jobs(
    db: sqlite3.Connection, owner: str, lease_s: float, limit: int, now: float
) -> tuple[JobContext, ...]:
    candidates = list(due_looks(db, lease_s, now, _ALL))[:limit]
    candidates += db.execute(
        f"{_SELECT} WHERE {_TASK_NODE} AND parked_for = '' AND {due_sql('next_attempt_at')} "
        "AND (owner = '' OR lease_expires_at <= :now) ORDER BY created_at, job_id LIMIT :limit",
        {"now": now, "limit": limit - len(candidates)},
    ).fetchall()
    jobs = (job for job in map(_decoded, candidates) if is_claimable(job, now))
    return tuple(_save(db, _owned(job, owner, now + lease_s)) for job in jobs)


def claim_job(
    db: sqlite3.Connection, sp_address: str, job_id: int, owner: str, lease_s: float, now: float
) -> JobContext:
    job = require_job(db, sp_address, job_id)
    if job.final:
        raise IllegalTransition(f"the job has ended ({job.state.name})", job.where)
    if is_owned(job, now):
        raise StaleJob(
            f"{job.owner} is working on it", job.where, "Wait until its step has ended or failed"
        )
    return _save(db, _owned(job, owner, now + lease_s))


def next_due_in_s(db: sqlite3.Connection, now: float) -> float | None:
    due_at = db.execute(
        f"SELECT min(max(CASE WHEN {due_sql('next_attempt_at')} THEN 0 ELSE next_attempt_at END, "
        "CASE owner WHEN '' THEN 0 ELSE lease_expires_at END)) "
        f"FROM jobs WHERE {_TASK_NODE} AND parked_for = ''",
        {"now": now},
    ).fetchone()[0]
    times = [at for at in (due_at, next_look_at(db, now)) if at is not None]
    return max(0.0, min(times) - now) if times else None


def count_waiting(db: sqlite3.Connection) -> int:
    count: int = db.execute(f"SELECT count(*) FROM jobs WHERE {_TASK_NODE}").fetchone()[0]
    return count


def renew_leases(db: sqlite3.Connection, owner: str, lease_s: float, now: float) -> int:
    if not owner:
        return 0
    return db.execute(
        "UPDATE jobs SET lease_expires_at = ? WHERE owner = ?", (now + lease_s, owner)
    ).rowcount


def release_job(db: sqlite3.Connection, sp_address: str, job_id: int, epoch: int) -> None:
    db.execute(
        "UPDATE jobs SET owner = '', lease_expires_at = 0 "
        "WHERE sp_address = ? AND job_id = ? AND epoch = ? AND owner != ''",
        (sp_address, job_id, epoch),
    )


def release_all(db: sqlite3.Connection, now: float) -> int:
    uploading = (JobState.INIT_UNSPECIFIED, JobState.UPLOAD_OBJECT_DOING)
    where = "owner != '' OR (final = 0 AND state IN (?, ?))"
    return _release(db, where, uploading, now)


def release_process(db: sqlite3.Connection, process: str, now: float) -> int:
    parts = (process, f"{process}/", f"{process}0")  # "0" follows "/": a range, no pattern
    return _release(db, "owner = ? OR (owner > ? AND owner < ?)", parts, now)


def _release(db: sqlite3.Connection, where: str, values: tuple[Any, ...], now: float) -> int:
    rows = db.execute(f"{_SELECT} WHERE {where} ORDER BY job_id", values).fetchall()
    for job in map(_decoded, rows):
        after = job
        if job.state in (JobState.INIT_UNSPECIFIED, JobState.UPLOAD_OBJECT_DOING):
            after = _applied(db, job, OwnerLost(), now)
        # The new epoch fences whoever of the old owners may still be alive.
        _save(db, _owned(after, "", 0.0))
    return len(rows)


def end_job(
    db: sqlite3.Connection, sp_address: str, object_id: int, error: JobError, now: float
) -> bool:
    """Whether there was a job to end, whoever may hold it."""
    job, event = get_job(db, sp_address, object_id), ObjectRemoved(error)
    if job is None or (job.final and not can_be_removed(job, event)):
        return False
    # The new epoch fences whoever works on it.
    _save(db, _owned(_applied(db, job, event, now), "", 0.0))
    return True


def list_events(db: sqlite3.Connection, sp_address: str, job_id: int) -> tuple[RecordedEvent, ...]:
    rows = db.execute(
        "SELECT events.* FROM events JOIN jobs USING (job_id) "
        "WHERE sp_address = ? AND job_id = ? ORDER BY event_id",
        (sp_address, job_id),
    )
    return tuple(
        RecordedEvent(
            row["job_id"],
            row["epoch"],
            EVENTS[row["event"]],
            JobState(row["from_state"]),
            JobState(row["to_state"]),
            row["at"],
        )
        for row in rows
    )


def require_job(db: sqlite3.Connection, sp_address: str, job_id: int) -> JobContext:
    """Raises: NoSuchJob."""
    where = "WHERE job_id = ? AND sp_address = ?"
    job = _first(db.execute(f"{_SELECT} {where}", (job_id, sp_address)))
    if job is None:
        raise NoSuchJob(f"storage provider {sp_address} has no such job", f"job {job_id}")
    return job


# --- rows --------------------------------------------------------------------------------------


def _first(rows: Iterable[sqlite3.Row]) -> JobContext | None:
    return next(map(_decoded, rows), None)


class _Written:
    """The latest jobs that were written, by the text of their details: each step of a job reads
    what the one before it wrote, and reading that text takes longer than all else. Equal texts are
    equal values, whoever wrote them. Thread-safe."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._jobs: dict[str, JobContext] = {}
        self._lock = threading.Lock()

    def add(self, details: str, job: JobContext) -> None:
        with self._lock:
            self._jobs.pop(details, None)
            self._jobs[details] = job
            if len(self._jobs) > self._bound:
                del self._jobs[next(iter(self._jobs))]

    def find(self, details: str) -> JobContext | None:
        return self._jobs.get(details)


_WRITTEN = _Written(512)


def _decoded(row: sqlite3.Row) -> JobContext:
    return decode_job(row, _WRITTEN.find(row["details"]))


def _owned(job: JobContext, owner: str, lease_expires_at: float) -> JobContext:
    return replace(job, owner=owner, lease_expires_at=lease_expires_at, epoch=job.epoch + 1)


def _applied(db: sqlite3.Connection, job: JobContext, event: JobEvent, now: float) -> JobContext:
    after = apply(job, event, now)
    _record(db, job, event, after, now)
    return after


def _record(
    db: sqlite3.Connection, before: JobContext, event: JobEvent, after: JobContext, now: float
) -> None:
    event_id = db.execute(
        "INSERT INTO events (job_id, epoch, event, from_state, to_state, at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (before.job_id, before.epoch, event.name, before.state, after.state, now),
    ).lastrowid
    if event_id is not None and event_id % _FORGOTTEN_AT_ONCE == 0:
        db.execute("DELETE FROM events WHERE event_id <= ?", (event_id - EVENTS_KEPT,))


def _save(db: sqlite3.Connection, job: JobContext) -> JobContext:
    columns = job_columns(job)
    db.execute(_UPDATE, columns)
    _WRITTEN.add(columns["details"], job)
    return job


def _superseded(
    db: sqlite3.Connection, job: JobContext | None, upload: NewUpload, now: float
) -> JobContext | None:
    """The job that the id belonged to, ended; the new epoch fences whoever works on it."""
    if job is None or job.final:
        return job
    by = upload.object_info.identity
    gone = AnotherObject(f"its id belongs to another object now: {by}", job.where)
    after = _applied(db, job, ObjectRemoved(JobError.of(gone)), now)
    return _save(db, _owned(after, "", 0.0))


def _insert(
    db: sqlite3.Connection, upload: NewUpload, now: float, after: JobContext | None = None
) -> JobContext:
    """``after``: the last job of the same id. Files are named by ids: fences go on from its own, so
    that writers of both never share one."""
    job = JobContext(
        0,
        upload.sp_address,
        upload.object_info,
        upload.params,
        upload.batch_segments,
        created_at=now,
        deadline_at=now + upload.deadline_s,
        epoch=after.epoch if after else 0,
        approval_round=after.approval_round if after else 0,
    )
    return insert_job(db, job)


def insert_job(db: sqlite3.Connection, job: JobContext) -> JobContext:
    """A new row; returns it with its number."""
    info = job.object_info
    row = {
        **job_columns(job),
        "object_id": str(info.id),
        "bucket_name": info.bucket_name,
        "object_name": info.object_name,
        "object_info": encode_value(info),
        "params": encode_value(job.params),
    }
    job_id = db.execute(_INSERT, row).lastrowid
    assert job_id is not None
    return replace(job, job_id=job_id)
