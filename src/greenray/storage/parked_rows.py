"""Parked jobs inside a database transaction (see ``greenray.storage.job_rows``).

Jobs of one SP that wait for the same thing are a group, of which one job at a time is claimed and
looks whether it has come. The others are not read meanwhile, however many they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from greenray.protocol.job import JobContext
from greenray.protocol.job_claims import LONGEST_PAUSE_S

_GROUP = "sp_address = :sp_address AND parked_for = :parked_for"
_OF_GROUP = f"final = 0 AND parked_for != '' AND {_GROUP}"


def due_sql(column: str) -> str:
    """``greenray.protocol.job_claims.is_due`` of a column, with the parameter ``:now``."""
    return f"({column} <= :now OR {column} > :now + {LONGEST_PAUSE_S})"


def note_parked(db: sqlite3.Connection, before: JobContext, after: JobContext, now: float) -> None:
    """What an update of a job means for its group, which looks when its first job does."""
    was, parked_for = (job.error.waits_for if job.error else "" for job in (before, after))
    if not was and not parked_for:
        return
    db.execute("UPDATE jobs SET parked_for = ? WHERE job_id = ?", (parked_for, after.job_id))
    if parked_for:
        db.execute(
            "INSERT INTO parked VALUES (:sp_address, :parked_for, :at) ON CONFLICT DO UPDATE SET "
            "next_look_at = CASE WHEN next_look_at > :now THEN min(next_look_at, :at) ELSE :at END",
            {
                "sp_address": after.sp_address,
                "parked_for": parked_for,
                "at": after.retry_at,
                "now": now,
            },
        )


def due_looks(
    db: sqlite3.Connection, lease_s: float, now: float, columns: str
) -> Iterable[sqlite3.Row]:
    """One job (``columns``) of each group that is due, and that nobody else looks for within a
    lease."""
    groups = db.execute(
        f"SELECT sp_address, parked_for FROM parked WHERE {due_sql('next_look_at')}", {"now": now}
    ).fetchall()
    for group in map(dict, groups):
        job = db.execute(
            f"SELECT {columns} FROM jobs WHERE {_OF_GROUP} AND {due_sql('next_attempt_at')} "
            "AND (owner = '' OR lease_expires_at <= :now) ORDER BY next_attempt_at LIMIT 1",
            {**group, "now": now},
        ).fetchone()
        if job is None and not _has_jobs(db, group):
            db.execute(f"DELETE FROM parked WHERE {_GROUP}", group)
            continue
        db.execute(
            f"UPDATE parked SET next_look_at = :next WHERE {_GROUP}",
            {**group, "next": now + lease_s},
        )
        if job is not None:
            yield job


def _has_jobs(db: sqlite3.Connection, group: dict[str, str]) -> bool:
    return db.execute(f"SELECT 1 FROM jobs WHERE {_OF_GROUP} LIMIT 1", group).fetchone() is not None


def next_look_at(db: sqlite3.Connection, now: float) -> float | None:
    """When the first group is due (unix seconds); 0 for one that is."""
    at: float | None = db.execute(
        f"SELECT min(CASE WHEN {due_sql('next_look_at')} THEN 0 ELSE next_look_at END) FROM parked",
        {"now": now},
    ).fetchone()[0]
    return at


def wake_parked(db: sqlite3.Connection, sp_address: str, parked_for: str) -> int:
    group = {"sp_address": sp_address, "parked_for": parked_for}
    db.execute(f"DELETE FROM parked WHERE {_GROUP}", group)
    return db.execute(f"UPDATE jobs SET parked_for = '' WHERE {_OF_GROUP}", group).rowcount
