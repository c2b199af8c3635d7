"""A journal that greenray 0.1.0 has written is read, and its jobs go on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from greenray.protocol.job import JobError, JobState, Replacement, SecondaryReceipt
from greenray.protocol.job_events import EVENTS, RetryDue
from greenray.protocol.job_table import STATES, TASK_NODE_STATES, TaskNodeState
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import Fence, GroupKey, TransactionState
from greenray.storage.sqlite_store import SqliteJobStore
from tests.contracts.job_store_contract import Clock, update
from tests.support.protocol_values import PRIMARY, SECONDARIES

_DUMP = Path(__file__).parent / "data" / "journal-0.1.0.sql"
_SPARE = "0x6f1C7ECc2E3E3F2C1eBc2c19bd4C4F0F1A4fE6b2"
_SIGNER = "0x6f1C7ECc2E3E3F2C1eBc2c19bd4C4F0F1A4fE6b1"
_LATER = 1_700_100_000.0
_ERROR = JobError("store-error", "disk", True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_DUMP.read_text(encoding="utf-8"))
    store = SqliteJobStore.open(path, Clock(_LATER))
    yield store
    await store.close()


async def test_every_state_is_read(store: SqliteJobStore) -> None:
    jobs = await store.list_jobs()
    assert {job.state for job in jobs} == set(JobState)
    assert [job.state for job in jobs if job.final] == [
        JobState.REPLICATE_OBJECT_ERROR,
        JobState.SEAL_OBJECT_DONE,
    ]


async def test_every_field_of_a_job_is_read(store: SqliteJobStore) -> None:
    job = await store.get_job(PRIMARY, 107)
    assert job is not None
    assert (job.state, job.retries, job.epoch) == (JobState.REPLICATE_OBJECT_DOING, 1, 2)
    assert (job.owner, job.approval_round) == ("task-node-1", 2)
    assert job.params == StorageParams()
    assert job.secondaries == (SecondaryReceipt(0, SECONDARIES[0], bytes(32), bytes(65)),)
    assert job.replaced == (Replacement(1, SECONDARIES[1], "secondary-timeout", "", 1),)
    assert [a.sp_operator_address for a in job.approvals] == [*SECONDARIES, _SPARE]
    assert [a.object_info == job.object_info for a in job.approvals] == 6 * [True] + [False]
    failed = await store.get_job(PRIMARY, int(JobState.SIGN_OBJECT_ERROR))
    assert failed is not None
    assert failed.error == JobError("chain-unavailable", "no answer", True)
    assert failed.retry_at == 1_700_000_623.25
    sealed = await store.get_job(PRIMARY, int(JobState.SEAL_OBJECT_DONE))
    assert sealed is not None
    assert (sealed.seal_height, sealed.seal_tx_hash) == (77, f"HASH-{sealed.job_id}")
    assert [int(change.state) for change in sealed.history] == [1, 2, 7, 8, 10, 11, 13, 14]


async def test_every_event_of_the_audit_trail_is_read(store: SqliteJobStore) -> None:
    names: set[str] = set()
    for job in await store.list_jobs():
        events = await store.list_events(PRIMARY, job.job_id)
        assert [e.to_state for e in events][-1:] == [job.state][: len(events)]
        names.update(event.event.name for event in events)
    later = {"object_removed", "receipts_voided"}
    assert EVENTS.keys() - names == {"upload_resumed", "owner_lost"} | later


async def test_what_receivers_and_the_signer_keep_is_read(store: SqliteJobStore) -> None:
    (group,) = await store.list_groups(SECONDARIES[0])
    assert group.key == GroupKey(SECONDARIES[0], 1000, 3, Fence(2))
    assert (group.batches_acknowledged, len(group.piece_checksums)) == (1, 4)
    record = await store.get_integrity(SECONDARIES[0], 1001, 3)
    assert record is not None
    assert record.piece_checksums == (b"\4" * 32, b"\5" * 32)
    reserved = await store.list_reserved(_SIGNER)
    assert {row.tx_bytes for row in reserved} == {b"\x00\xffbytes"}
    for state, transaction_state in (
        (JobState.SIGN_OBJECT_DOING, TransactionState.RESERVED),
        (JobState.SEAL_OBJECT_DONE, TransactionState.COMMITTED),
        (JobState.SEAL_OBJECT_ERROR, TransactionState.DEAD),
    ):
        job = await store.get_job(PRIMARY, int(state))
        assert job is not None
        (row,) = await store.get_transactions(PRIMARY, job.job_id)
        assert row.state is transaction_state


async def test_its_uploads_are_put_again(store: SqliteJobStore) -> None:
    assert await store.release_all() > 0
    for object_id in (1, 101, 3, 500):
        job = await store.get_job(PRIMARY, object_id)
        assert job is not None
        assert job.state is JobState.UPLOAD_OBJECT_ERROR
        again = await store.begin_upload(
            PRIMARY, job.object_info, StorageParams(), 4, "uploader", 30.0, 86_400.0
        )
        assert (again.job_id, again.state) == (job.job_id, JobState.UPLOAD_OBJECT_DOING)


async def test_its_jobs_go_on_from_where_they_were(store: SqliteJobStore) -> None:
    await store.release_all()
    claimed = await store.claim_jobs("task-node", 30.0, 100)
    assert {job.state for job in claimed} == TASK_NODE_STATES
    for job in claimed:
        row = STATES[job.state]
        assert isinstance(row, TaskNodeState)
        failed = await store.apply(update(job, row.failure(_ERROR, _LATER + 60)))
        assert await store.get_job(PRIMARY, job.object_id) == failed
        retried = await store.apply(update(failed, RetryDue()))
        assert (retried.error, retried.retries > job.retries) == (None, True)
