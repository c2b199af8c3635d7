"""The journal's tables, and opening a file that has them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from greenray.protocol.errors import JournalError, JournalMissing
from greenray.storage.group_commit import translate

APPLICATION_ID = 0x67726179
"""``gray``, in the header of every journal file."""

MISSING_JOURNAL_STEPS = (
    "Restore it with 'greenray journal restore FILE', make it again with 'greenray journal "
    "rebuild', or go on without the jobs that it had: greenray up --new-journal"
)

# ``attempt`` is a job's retries and a group's fence, ``next_attempt_at`` a job's ``retry_at``.
# Object ids are unsigned 64-bit numbers on chain; SQLite's integers are signed: hence TEXT.
_FIRST_SCHEMA = """
CREATE TABLE jobs (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    sp_address TEXT NOT NULL,
    object_id TEXT NOT NULL,
    bucket_name TEXT NOT NULL,
    object_name TEXT NOT NULL,
    batch_segments INTEGER NOT NULL,
    created_at REAL NOT NULL,
    deadline_at REAL NOT NULL,
    state INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT NOT NULL,
    lease_expires_at REAL NOT NULL,
    attempt INTEGER NOT NULL,
    next_attempt_at REAL NOT NULL,
    final INTEGER NOT NULL,
    object_info TEXT NOT NULL,
    params TEXT NOT NULL,
    details TEXT NOT NULL,
    UNIQUE (sp_address, object_id)
);
CREATE INDEX jobs_by_name ON jobs (bucket_name, object_name);
CREATE INDEX jobs_unfinished ON jobs (created_at, job_id) WHERE final = 0;
CREATE INDEX jobs_by_owner ON jobs (owner) WHERE owner != '';

CREATE TABLE events (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL REFERENCES jobs,
    epoch INTEGER NOT NULL,
    event TEXT NOT NULL,
    from_state INTEGER NOT NULL,
    to_state INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX events_by_job ON events (job_id);

CREATE TABLE integrity_records (
    sp_address TEXT NOT NULL,
    object_id TEXT NOT NULL,
    redundancy_index INTEGER NOT NULL,
    piece_checksums TEXT NOT NULL,
    integrity_hash BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (sp_address, object_id, redundancy_index)
);

CREATE TABLE groups (
    sp_address TEXT NOT NULL,
    object_id TEXT NOT NULL,
    redundancy_index INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    object_info TEXT NOT NULL,
    params TEXT NOT NULL,
    batch_segments INTEGER NOT NULL,
    batches_acknowledged INTEGER NOT NULL,
    piece_checksums TEXT NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (sp_address, object_id, redundancy_index, attempt)
);

CREATE TABLE transactions (
    transaction_id INTEGER PRIMARY KEY AUTOINCREMENT,
    tx_hash TEXT NOT NULL UNIQUE,
    sp_address TEXT NOT NULL,
    job_id INTEGER NOT NULL REFERENCES jobs,
    signer_address TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    tx_bytes BLOB NOT NULL,
    timeout_height INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX transactions_by_job ON transactions (job_id);
CREATE UNIQUE INDEX transactions_living ON transactions (signer_address, nonce)
    WHERE state != 'dead';
"""

_SCRUBS = """
CREATE TABLE scrub_runs (
    run_id INTEGER PRIMARY KEY AUTOINCREMENT,
    scrubber TEXT NOT NULL,
    background INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    state TEXT NOT NULL
);
CREATE TABLE scrub_findings (
    finding_id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    sp_address TEXT NOT NULL,
    object_id TEXT NOT NULL,
    redundancy_index INTEGER NOT NULL,
    finding TEXT NOT NULL,
    UNIQUE (sp_address, object_id, redundancy_index)
);
CREATE INDEX scrub_findings_by_object ON scrub_findings (length(object_id), object_id);
CREATE INDEX integrity_by_object ON integrity_records (length(object_id), object_id);
CREATE INDEX jobs_by_object ON jobs (length(object_id), object_id);
"""

_COLLECTION = """
CREATE TABLE chain_knowledge (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    first_block_hash TEXT NOT NULL,
    anchor_height INTEGER NOT NULL,
    anchor_hash TEXT NOT NULL,
    read_height INTEGER NOT NULL,
    highest_object_id TEXT NOT NULL
);
CREATE TABLE collectable (
    object_id TEXT NOT NULL,
    sp_address TEXT NOT NULL,
    redundancy_index INTEGER NOT NULL,
    cause TEXT NOT NULL,
    noticed_at REAL NOT NULL,
    noticed_height INTEGER NOT NULL,
    PRIMARY KEY (object_id, sp_address, redundancy_index)
);
"""

_JOBS_OF_ONE_ID = """
CREATE TABLE jobs_again (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    sp_address TEXT NOT NULL,
    object_id TEXT NOT NULL,
    bucket_name TEXT NOT NULL,
    object_name TEXT NOT NULL,
    batch_segments INTEGER NOT NULL,
    created_at REAL NOT NULL,
    deadline_at REAL NOT NULL,
    state INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT NOT NULL,
    lease_expires_at REAL NOT NULL,
    attempt INTEGER NOT NULL,
    next_attempt_at REAL NOT NULL,
    final INTEGER NOT NULL,
    object_info TEXT NOT NULL,
    params TEXT NOT NULL,
    details TEXT NOT NULL
);
INSERT INTO jobs_again SELECT * FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_again RENAME TO jobs;
CREATE INDEX jobs_of_object ON jobs (sp_address, object_id);
CREATE INDEX jobs_by_object ON jobs (length(object_id), object_id);
CREATE INDEX jobs_by_name ON jobs (bucket_name, object_name);
CREATE INDEX jobs_unfinished ON jobs (created_at, job_id) WHERE final = 0;
CREATE INDEX jobs_by_owner ON jobs (owner) WHERE owner != '';
"""
"""An id may belong to another object later: its jobs follow each other."""

_PARKED_JOBS = """
ALTER TABLE jobs ADD COLUMN parked_for TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_not_parked ON jobs (created_at, job_id) WHERE final = 0 AND parked_for = '';
CREATE INDEX jobs_parked ON jobs (sp_address, parked_for, next_attempt_at)
    WHERE final = 0 AND parked_for != '';
CREATE TABLE parked (
    sp_address TEXT NOT NULL,
    parked_for TEXT NOT NULL,
    next_look_at REAL NOT NULL,
    PRIMARY KEY (sp_address, parked_for)
) WITHOUT ROWID;
"""
"""Jobs of one SP that wait for the same thing are looked at through one of them."""

_READS = """
CREATE TABLE read_logs (
    log_id INTEGER PRIMARY KEY,
    sp_address TEXT NOT NULL,
    bucket_id TEXT NOT NULL,
    bucket_name TEXT NOT NULL,
    kept_records INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    UNIQUE (sp_address, bucket_id, bucket_name)
);
CREATE TABLE bucket_months (
    log_id INTEGER NOT NULL REFERENCES read_logs,
    month TEXT NOT NULL,
    consumed_bytes INTEGER NOT NULL,
    PRIMARY KEY (log_id, month)
) WITHOUT ROWID;
CREATE TABLE read_records (
    log_id INTEGER NOT NULL REFERENCES read_logs,
    at_us INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    object_name TEXT NOT NULL,
    account TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (log_id, at_us)
) WITHOUT ROWID;
"""
"""What is downloaded of buckets."""

_USER_KEYS = """
CREATE TABLE user_keys (
    sp_address TEXT NOT NULL,
    account TEXT NOT NULL,
    domain TEXT NOT NULL,
    public_key TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    registered_at REAL NOT NULL,
    PRIMARY KEY (sp_address, account, domain)
);
CREATE INDEX user_keys_by_age ON user_keys (registered_at);
"""
"""Keys of pages that accounts have registered."""

_INDEX = """
CREATE TABLE index_state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    height INTEGER NOT NULL,
    build INTEGER NOT NULL,
    is_built INTEGER NOT NULL,
    is_building INTEGER NOT NULL
);
CREATE TABLE index_objects (
    bucket_name TEXT NOT NULL,
    object_name BLOB NOT NULL,
    object_id TEXT NOT NULL,
    removed INTEGER NOT NULL,
    build INTEGER NOT NULL,
    document BLOB NOT NULL
);
CREATE UNIQUE INDEX index_objects_by_name ON index_objects (bucket_name, object_name);
CREATE INDEX index_objects_living ON index_objects (bucket_name, object_name) WHERE removed = 0;
CREATE INDEX index_objects_by_id ON index_objects (object_id);
CREATE INDEX index_objects_by_build ON index_objects (build) WHERE removed = 0;
CREATE TABLE index_buckets (
    bucket_name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    bucket_id TEXT NOT NULL,
    create_height INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    build INTEGER NOT NULL,
    document BLOB NOT NULL
);
CREATE INDEX index_buckets_by_owner ON index_buckets (owner);
"""
"""Buckets and objects of the chain, each with the JSON that it is listed as."""

_UPGRADES: tuple[str, ...] = (
    _SCRUBS,
    _COLLECTION,
    _JOBS_OF_ONE_ID,
    _PARKED_JOBS,
    _READS,
    _USER_KEYS,
    _INDEX,
)
"""What each later version of the schema changed, oldest first; a script that was released stays."""

SCHEMA_VERSION = 1 + len(_UPGRADES)


def open_journal(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """A connection to the journal at ``path``. ``create``: it is made when there is no file.

    Raises:
        JournalError: not a journal, made by a newer greenray, damaged, or not accessible.
    """
    where = str(path)
    if not create and not path.exists():
        raise JournalMissing("the journal is not there", where, MISSING_JOURNAL_STEPS)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise translate(error, where) from error
    try:
        connection.row_factory = sqlite3.Row
        _check_or_create(connection, where)
        connection.execute("PRAGMA foreign_keys = ON")
        # WAL with FULL: one sync per commit, and an answered commit survives a power loss.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise translate(error, where) from error
        raise
    return connection


def _check_or_create(connection: sqlite3.Connection, where: str) -> None:
    application = _pragma(connection, "application_id")
    if application == 0 and _pragma(connection, "user_version") == 0 and _is_empty(connection):
        connection.executescript(
            f"BEGIN; {_FIRST_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
            "PRAGMA user_version = 1; COMMIT;"
        )
    check_header(connection, where)
    upgrade(connection)


def check_header(connection: sqlite3.Connection, where: str) -> None:
    """Raises JournalError: not a journal, or one of a newer greenray."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application != APPLICATION_ID:
        raise JournalError("the file is not a greenray journal", where, "Choose another file")
    if not 1 <= version <= SCHEMA_VERSION:
        raise JournalError(
            f"the journal has schema version {version}, this greenray knows {SCHEMA_VERSION}",
            where,
            "Use the greenray that wrote it",
        )


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether a journal has the newest schema."""
    return _pragma(connection, "user_version") == SCHEMA_VERSION


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a journal to the newest schema: each version in one step, or not at all.

    ``connection`` does not check foreign keys yet, so that a script can make a table anew.
    """
    for version in range(_pragma(connection, "user_version"), SCHEMA_VERSION):
        try:
            connection.executescript(
                f"BEGIN; {_UPGRADES[version - 1]} PRAGMA user_version = {version + 1}; COMMIT;"
            )
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _is_empty(connection: sqlite3.Connection) -> bool:
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return tables == 0
