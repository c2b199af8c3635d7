"""Transactions and their nonces inside a database transaction (see
``greenray.storage.job_rows``)."""

from __future__ import annotations

import sqlite3

from greenray.protocol.errors import IllegalTransition, InvalidInput, StaleJob
from greenray.protocol.job import JobState
from greenray.storage.job_rows import require_job
from greenray.storage.ports import TransactionRow, TransactionState

_COLUMNS = (
    "tx_hash, sp_address, job_id, signer_address, nonce, tx_bytes, timeout_height, state, "
    "created_at"
)
_SELECT = f"SELECT {_COLUMNS} FROM transactions"
_IN_A_BLOCK = (TransactionState.COMMITTED, TransactionState.FAILED)


def reserve_transaction(
    db: sqlite3.Connection, row: TransactionRow, epoch: int, expected_state: JobState
) -> None:
    job = require_job(db, row.sp_address, row.job_id)
    if job.epoch != epoch or job.state is not expected_state:
        raise StaleJob(
            f"expected epoch {epoch} in {expected_state.name}, the row has epoch {job.epoch} in "
            f"{job.state.name}",
            job.where,
        )
    if row.state is not TransactionState.RESERVED:
        raise InvalidInput(f"a new transaction cannot be {row.state.value}", job.where)
    if any(
        t.state is TransactionState.RESERVED for t in list_of_job(db, row.sp_address, row.job_id)
    ):
        raise StaleJob("another transaction of the job is on its way", job.where)
    living = db.execute(
        f"{_SELECT} WHERE signer_address = ? AND nonce = ? AND state != 'dead'",
        (row.signer_address, row.nonce),
    ).fetchone()
    if living is not None:
        raise StaleJob(
            f"nonce {row.nonce} of {row.signer_address} belongs to transaction "
            f"{living['tx_hash']} ({living['state']})",
            job.where,
        )
    # The very same bytes may have been refused before; signing is deterministic.
    db.execute("DELETE FROM transactions WHERE tx_hash = ? AND state = 'dead'", (row.tx_hash,))
    db.execute(
        f"INSERT INTO transactions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.tx_hash,
            row.sp_address,
            row.job_id,
            row.signer_address,
            row.nonce,
            row.tx_bytes,
            row.timeout_height,
            row.state.value,
            row.created_at,
        ),
    )


def mark_transaction(db: sqlite3.Connection, tx_hash: str, state: TransactionState) -> None:
    found = db.execute(f"{_SELECT} WHERE tx_hash = ?", (tx_hash,)).fetchone()
    if found is None:
        raise InvalidInput("the transaction is not in the journal", tx_hash)
    before = TransactionState(found["state"])
    if before is state:
        return
    if before in _IN_A_BLOCK or state is TransactionState.RESERVED:
        raise IllegalTransition(
            f"a {before.value} transaction cannot become {state.value}", tx_hash
        )
    db.execute("UPDATE transactions SET state = ? WHERE tx_hash = ?", (state.value, tx_hash))


def return_nonces(db: sqlite3.Connection, signer_address: str, sequence: int) -> int:
    return db.execute(
        "UPDATE transactions SET state = 'dead' "
        "WHERE signer_address = ? AND nonce >= ? AND state IN ('committed', 'failed')",
        (signer_address, sequence),
    ).rowcount


def list_of_job(db: sqlite3.Connection, sp_address: str, job_id: int) -> tuple[TransactionRow, ...]:
    return _decoded(
        db.execute(
            f"{_SELECT} WHERE sp_address = ? AND job_id = ? ORDER BY transaction_id",
            (sp_address, job_id),
        )
    )


def list_reserved(db: sqlite3.Connection, signer_address: str) -> tuple[TransactionRow, ...]:
    return _decoded(
        db.execute(
            f"{_SELECT} WHERE signer_address = ? AND state = 'reserved' ORDER BY nonce",
            (signer_address,),
        )
    )


def _decoded(rows: sqlite3.Cursor) -> tuple[TransactionRow, ...]:
    return tuple(
        TransactionRow(**{**dict(row), "state": TransactionState(row["state"])}) for row in rows
    )
