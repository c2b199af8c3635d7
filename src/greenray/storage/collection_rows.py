"""What the Collector knows of the chain, and what waits for its collection, inside a transaction
(see ``greenray.storage.job_rows``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from greenray.protocol.collection import Cause, ChainKnowledge, ChainTip, Collectable, Holding
from greenray.protocol.job import JobError
from greenray.storage.job_rows import end_job
from greenray.storage.ports import RecordedPage


def load_knowledge(db: sqlite3.Connection) -> ChainKnowledge | None:
    row = db.execute("SELECT * FROM chain_knowledge").fetchone()
    if row is None:
        return None
    return ChainKnowledge(
        row["first_block_hash"],
        ChainTip(row["anchor_height"], row["anchor_hash"]),
        row["read_height"],
        int(row["highest_object_id"]),
    )


def save_knowledge(
    db: sqlite3.Connection, knowledge: ChainKnowledge, found: Iterable[Collectable]
) -> None:
    db.execute(
        "INSERT OR REPLACE INTO chain_knowledge VALUES (1, ?, ?, ?, ?, ?)",
        (
            knowledge.first_block_hash,
            knowledge.anchor.height,
            knowledge.anchor.block_hash,
            knowledge.read_height,
            str(knowledge.highest_object_id),
        ),
    )
    db.executemany(
        "INSERT OR IGNORE INTO collectable VALUES (?, ?, ?, ?, ?, ?)",
        [(*_key_values(one), one.cause.value, one.noticed_at, one.noticed_height) for one in found],
    )


def start_anew(db: sqlite3.Connection, knowledge: ChainKnowledge) -> None:
    db.execute("DELETE FROM collectable")
    save_knowledge(db, knowledge, ())


def list_collectable(db: sqlite3.Connection) -> tuple[Collectable, ...]:
    rows = db.execute("SELECT * FROM collectable ORDER BY noticed_at, rowid")
    return tuple(
        Collectable(
            int(row["object_id"]),
            Cause(row["cause"]),
            row["noticed_at"],
            row["noticed_height"],
            row["sp_address"],
            row["redundancy_index"],
        )
        for row in rows
    )


def withdraw(db: sqlite3.Connection, waiting: Iterable[Collectable]) -> None:
    db.executemany(
        "DELETE FROM collectable WHERE object_id = ? AND sp_address = ? AND redundancy_index = ?",
        [_key_values(one) for one in waiting],
    )


def list_recorded(db: sqlite3.Connection, from_row: int, limit: int) -> RecordedPage:
    groups = "SELECT sp_address, object_id, redundancy_index FROM groups"
    holdings = [_holding(row, is_finished=False) for row in db.execute(groups)]
    rows = db.execute(
        "SELECT rowid, sp_address, object_id, redundancy_index FROM integrity_records "
        "WHERE rowid >= ? ORDER BY rowid LIMIT ?",
        (from_row, limit),
    ).fetchall()
    records = [_holding(row, is_finished=True) for row in rows]
    next_row = rows[-1]["rowid"] + 1 if len(rows) == limit else None
    return RecordedPage((*(() if from_row else holdings), *records), next_row)


def end_jobs(
    db: sqlite3.Connection,
    sp_addresses: Sequence[str],
    object_id: int,
    error: JobError,
    now: float,
) -> int:
    return sum(end_job(db, sp_address, object_id, error, now) for sp_address in sp_addresses)


def finish_collection(
    db: sqlite3.Connection,
    sp_addresses: Sequence[str],
    collected: Collectable,
    error: JobError | None,
    now: float,
) -> None:
    object_id = str(collected.object_id)
    for table in ("integrity_records", "groups", "scrub_findings"):
        if collected.is_whole_object:
            db.executemany(
                f"DELETE FROM {table} WHERE sp_address = ? AND object_id = ?",
                [(sp_address, object_id) for sp_address in sp_addresses],
            )
        else:
            db.execute(
                f"DELETE FROM {table} "
                "WHERE sp_address = ? AND object_id = ? AND redundancy_index = ?",
                (collected.sp_address, object_id, collected.redundancy_index),
            )
    if error is not None:
        end_jobs(db, sp_addresses, collected.object_id, error, now)
    if collected.is_whole_object:
        db.execute("DELETE FROM collectable WHERE object_id = ?", (object_id,))
    withdraw(db, [collected])


def _key_values(one: Collectable) -> tuple[str, str, int]:
    return str(one.object_id), one.sp_address, one.redundancy_index


def _holding(row: sqlite3.Row, *, is_finished: bool) -> Holding:
    return Holding(row["sp_address"], int(row["object_id"]), row["redundancy_index"], is_finished)
