"""Scrubs and what they found, inside a transaction (see ``greenray.storage.job_rows``)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from greenray.protocol.errors import StoreError
from greenray.protocol.scrub import Finding, ScrubOrder, ScrubRun
from greenray.storage.json_values import T, from_json_value, to_json_value
from greenray.storage.scrub_journal import KeptFinding, VisitedObject

_REMEMBERED = 32
"""Runs of a Scrubber that have ended."""

# Object ids are texts of decimals: in their order, with what makes it an index's.
_OBJECT_ORDER = "length(object_id), object_id"


def known_objects(db: sqlite3.Connection, after: int, limit: int) -> tuple[int, ...]:
    bound = (len(str(after)), str(after)) if after >= 0 else (0, "")
    found: set[int] = set()
    for table in ("integrity_records", "jobs", "scrub_findings"):
        rows = db.execute(
            f"SELECT DISTINCT object_id FROM {table} WHERE ({_OBJECT_ORDER}) > (?, ?) "
            f"ORDER BY {_OBJECT_ORDER} LIMIT ?",
            (*bound, limit),
        )
        found.update(int(row["object_id"]) for row in rows)
    return tuple(sorted(found)[:limit])


def begin_scrub(db: sqlite3.Connection, scrubber: str, order: ScrubOrder, now: float) -> ScrubRun:
    db.execute(
        "DELETE FROM scrub_runs WHERE scrubber = ? AND ended = 1 AND run_id NOT IN ("
        "SELECT run_id FROM scrub_runs WHERE scrubber = ? ORDER BY run_id DESC LIMIT ?) "
        "AND run_id NOT IN (SELECT max(run_id) FROM scrub_runs WHERE scrubber = ? "
        "AND background = 1)",
        (scrubber, scrubber, _REMEMBERED, scrubber),
    )
    run = ScrubRun(0, scrubber, order, now)
    inserted = db.execute(
        "INSERT INTO scrub_runs (scrubber, background, ended, state) VALUES (?, ?, 0, ?)",
        (scrubber, int(order.background), _encode(run)),
    )
    assert inserted.lastrowid is not None
    return replace(run, run_id=inserted.lastrowid)


def list_scrubs(db: sqlite3.Connection, scrubber: str) -> tuple[ScrubRun, ...]:
    rows = db.execute(
        "SELECT run_id, state FROM scrub_runs WHERE scrubber = ? ORDER BY run_id", (scrubber,)
    )
    return tuple(replace(_decode(ScrubRun, row["state"]), run_id=row["run_id"]) for row in rows)


def save_scrub(db: sqlite3.Connection, run: ScrubRun, visited: Sequence[VisitedObject]) -> None:
    db.execute(
        "UPDATE scrub_runs SET ended = ?, state = ? WHERE run_id = ?",
        (int(run.ended_at is not None), _encode(run), run.run_id),
    )
    for each in visited:
        for sp_address in each.sp_addresses:
            db.execute(
                "DELETE FROM scrub_findings WHERE sp_address = ? AND object_id = ?",
                (sp_address, str(each.object_id)),
            )
        for finding in each.findings:
            db.execute(
                "INSERT INTO scrub_findings (run_id, sp_address, object_id, redundancy_index, "
                "finding) VALUES (?, ?, ?, ?, ?)",
                (
                    run.run_id,
                    finding.sp_address,
                    str(finding.object_id),
                    finding.redundancy_index,
                    _encode(finding),
                ),
            )


def list_findings(
    db: sqlite3.Connection, run_id: int | None, after: int, limit: int
) -> tuple[KeptFinding, ...]:
    rows = db.execute(
        "SELECT finding_id, run_id, finding FROM scrub_findings WHERE finding_id > ? "
        "AND (? IS NULL OR run_id = ?) ORDER BY finding_id LIMIT ?",
        (after, run_id, run_id, limit),
    )
    return tuple(
        KeptFinding(row["finding_id"], row["run_id"], _decode(Finding, row["finding"]))
        for row in rows
    )


def _encode(value: ScrubRun | Finding) -> str:
    return json.dumps(to_json_value(value), separators=(",", ":"))


def _decode(kind: type[T], text: str) -> T:
    try:
        return from_json_value(kind, json.loads(text))
    except ValueError as error:
        raise StoreError(
            f"what a scrub has recorded cannot be read: {error}",
            "the journal",
            "It was written by another version of greenray, or is damaged: restore a backup",
        ) from error
