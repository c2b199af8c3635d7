"""A JobStore in one SQLite file, for one process (which others reach through its actor)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from greenray.protocol.collection import ChainKnowledge, Collectable
from greenray.protocol.index_changes import BlockRecord
from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.listing import ObjectQuery
from greenray.protocol.objects import BucketInfo, ObjectIdentity, ObjectInfo, StorageParams
from greenray.protocol.read_quota import Read, ReadBucket, ReadRecord, RecordsWanted
from greenray.protocol.scrub import ScrubOrder, ScrubRun
from greenray.protocol.user_keys import UserKey
from greenray.seam.fault_points import NO_FAULTS, FaultPoints
from greenray.storage import (
    collection_rows,
    index_rows,
    integrity_rows,
    job_rows,
    parked_rows,
    read_rows,
    scrub_rows,
    transaction_rows,
    user_key_rows,
)
from greenray.storage.group_commit import AfterCommit, GroupCommitter
from greenray.storage.index_reader import IndexReader
from greenray.storage.job_rows import NewUpload, RecordedEvent
from greenray.storage.object_index import IndexPage, IndexState
from greenray.storage.ports import (
    GroupKey,
    GroupRow,
    IntegrityRecord,
    JobUpdate,
    RecordedPage,
    TransactionRow,
    TransactionState,
)
from greenray.storage.scrub_journal import KeptFinding, VisitedObject
from greenray.storage.sqlite_schema import open_journal

T = TypeVar("T")


class SqliteJobStore:
    """Implements ``greenray.storage.ports.JobStore`` and ``CollectorJournal``,
    ``greenray.storage.scrub_journal.ScrubJournal``, ``greenray.storage.read_ledger.ReadLedger``,
    ``greenray.storage.user_key_store.UserKeyStore``, ``greenray.storage.object_index.IndexRows``
    and ``ObjectIndex``.

    Calls that arrive together are committed together (``greenray.storage.group_commit``); reads
    take their turn among the writes, so that every answer is durable, and questions to the index
    see what is committed, beside the writes. May be used from any event loop and thread. All calls
    raise JournalError when the file cannot be read or written.
    """

    def __init__(
        self, committer: GroupCommitter, reader: IndexReader, clock: Callable[[], float]
    ) -> None:
        self._committer = committer
        self._reader = reader
        self._clock = clock

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Callable[[], float] = time.time,
        after_commit: AfterCommit | None = None,
        *,
        create: bool = True,
        fault_points: FaultPoints = NO_FAULTS,
    ) -> Self:
        """Open the journal at ``path``, or make it if ``create``; the caller sees to it that nobody
        else writes to it.

        ``clock`` gives unix seconds. ``after_commit(count, description)`` is for fault tests: see
        ``GroupCommitter``.

        Raises:
            JournalError: the file is not a journal, or is damaged, or a newer greenray wrote it.
            JournalMissing: there is none, and none is to be made.
        """
        connection = open_journal(Path(path), create=create)
        committer = GroupCommitter(connection, str(path), after_commit, fault_points)
        return cls(committer, IndexReader(Path(path), committer), clock)

    async def _call(self, description: str, run: Callable[[sqlite3.Connection], T]) -> T:
        return await self._committer.call(description, run)

    # --- jobs ------------------------------------------------------------------------------------

    async def begin_upload(
        self,
        sp_address: str,
        object_info: ObjectInfo,
        params: StorageParams,
        batch_segments: int,
        owner: str,
        lease_s: float,
        deadline_s: float,
    ) -> JobContext:
        upload = NewUpload(
            sp_address, object_info, params, batch_segments, owner, lease_s, deadline_s
        )
        return await self._call(
            f"begin_upload {object_info.id}",
            lambda db: job_rows.begin_upload(db, upload, self._clock()),
        )

    async def begin_again(self, sp_address: str, job_id: int, deadline_s: float) -> JobContext:
        return await self._call(
            f"begin_again {job_id}",
            lambda db: job_rows.begin_again(db, sp_address, job_id, deadline_s, self._clock()),
        )

    async def apply(self, update: JobUpdate) -> JobContext:
        events = (update.event, *update.then)
        return await self._call(
            ", ".join(f"apply {event.name} {update.job_id}" for event in events),
            lambda db: job_rows.apply_update(db, update, self._clock()),
        )

    async def finish_upload(self, update: JobUpdate, record: IntegrityRecord) -> JobContext:
        return await self._call(
            f"finish_upload {update.job_id}",
            lambda db: job_rows.finish_upload(db, update, record, self._clock()),
        )

    async def job_of(self, sp_address: str, identity: ObjectIdentity) -> JobContext | None:
        return await self._call("job_of", lambda db: job_rows.job_of(db, sp_address, identity))

    async def get_job(self, sp_address: str, object_id: int) -> JobContext | None:
        return await self._call("get_job", lambda db: job_rows.get_job(db, sp_address, object_id))

    async def find_job(self, bucket_name: str, object_name: str) -> JobContext | None:
        return await self._call(
            "find_job", lambda db: job_rows.find_job(db, bucket_name, object_name)
        )

    async def list_jobs(self, *, unfinished_only: bool = False) -> tuple[JobContext, ...]:
        return await self._call("list_jobs", lambda db: job_rows.list_jobs(db, unfinished_only))

    async def claim_jobs(self, owner: str, lease_s: float, limit: int) -> tuple[JobContext, ...]:
        return await self._call(
            "claim_jobs",
            lambda db: job_rows.claim_jobs(db, owner, lease_s, limit, self._clock()),
        )

    async def claim_job(
        self, sp_address: str, job_id: int, owner: str, lease_s: float
    ) -> JobContext:
        return await self._call(
            f"claim_job {job_id}",
            lambda db: job_rows.claim_job(db, sp_address, job_id, owner, lease_s, self._clock()),
        )

    async def next_due_in_s(self) -> float | None:
        return await self._call(
            "next_due_in_s", lambda db: job_rows.next_due_in_s(db, self._clock())
        )

    async def wake_parked(self, sp_address: str, waits_for: str) -> int:
        return await self._call(
            "wake_parked", lambda db: parked_rows.wake_parked(db, sp_address, waits_for)
        )

    async def count_waiting(self) -> int:
        return await self._call("count_waiting", job_rows.count_waiting)

    async def renew_leases(self, owner: str, lease_s: float) -> int:
        return await self._call(
            "renew_leases",
            lambda db: job_rows.renew_leases(db, owner, lease_s, self._clock()),
        )

    async def release_job(self, sp_address: str, job_id: int, epoch: int) -> None:
        await self._call(
            f"release_job {job_id}",
            lambda db: job_rows.release_job(db, sp_address, job_id, epoch),
        )

    async def release_all(self) -> int:
        return await self._call("release_all", lambda db: job_rows.release_all(db, self._clock()))

    async def release_process(self, process: str) -> int:
        return await self._call(
            f"release_process {process}",
            lambda db: job_rows.release_process(db, process, self._clock()),
        )

    async def list_events(self, sp_address: str, job_id: int) -> tuple[RecordedEvent, ...]:
        """The audit trail of a job, oldest first. (Not of the port.)"""
        return await self._call(
            "list_events", lambda db: job_rows.list_events(db, sp_address, job_id)
        )

    # --- integrity records and replicate groups --------------------------------------------------

    async def put_integrity(self, record: IntegrityRecord) -> None:
        await self._call("put_integrity", lambda db: integrity_rows.put_integrity(db, record))

    async def get_integrity(
        self, sp_address: str, object_id: int, redundancy_index: int
    ) -> IntegrityRecord | None:
        return await self._call(
            "get_integrity",
            lambda db: integrity_rows.get_integrity(db, sp_address, object_id, redundancy_index),
        )

    async def open_group(self, row: GroupRow) -> GroupRow:
        return await self._call(
            f"open_group {row.key.object_id}/{row.key.redundancy_index}",
            lambda db: integrity_rows.open_group(db, row, self._clock()),
        )

    async def acknowledge_batch(
        self, key: GroupKey, batch_index: int, piece_checksums: tuple[bytes, ...]
    ) -> GroupRow:
        return await self._call(
            f"acknowledge_batch {key.object_id}/{key.redundancy_index} {batch_index}",
            lambda db: integrity_rows.acknowledge_batch(
                db, key, batch_index, piece_checksums, self._clock()
            ),
        )

    async def finish_group(self, key: GroupKey, record: IntegrityRecord) -> None:
        await self._call(
            f"finish_group {key.object_id}/{key.redundancy_index}",
            lambda db: integrity_rows.finish_group(db, key, record),
        )

    async def drop_group(self, key: GroupKey) -> None:
        await self._call(
            f"drop_group {key.object_id}/{key.redundancy_index}",
            lambda db: integrity_rows.drop_group(db, key),
        )

    async def list_groups(
        self, sp_address: str, *, idle_for_s: float = 0.0
    ) -> tuple[GroupRow, ...]:
        return await self._call(
            "list_groups",
            lambda db: integrity_rows.list_groups(db, sp_address, idle_for_s, self._clock()),
        )

    # --- transactions and nonces -----------------------------------------------------------------

    async def reserve_transaction(
        self, row: TransactionRow, epoch: int, expected_state: JobState
    ) -> None:
        await self._call(
            f"reserve_transaction {row.job_id} nonce {row.nonce}",
            lambda db: transaction_rows.reserve_transaction(db, row, epoch, expected_state),
        )

    async def mark_transaction(self, tx_hash: str, state: TransactionState) -> None:
        await self._call(
            f"mark_transaction {state.value}",
            lambda db: transaction_rows.mark_transaction(db, tx_hash, state),
        )

    async def get_transactions(self, sp_address: str, job_id: int) -> tuple[TransactionRow, ...]:
        return await self._call(
            "get_transactions", lambda db: transaction_rows.list_of_job(db, sp_address, job_id)
        )

    async def return_nonces(self, signer_address: str, sequence: int) -> int:
        return await self._call(
            f"return_nonces {sequence}",
            lambda db: transaction_rows.return_nonces(db, signer_address, sequence),
        )

    async def list_reserved(self, signer_address: str) -> tuple[TransactionRow, ...]:
        return await self._call(
            "list_reserved", lambda db: transaction_rows.list_reserved(db, signer_address)
        )

    # --- scrubs ----------------------------------------------------------------------------------

    async def known_objects(self, after: int, limit: int) -> tuple[int, ...]:
        return await self._call(
            "known_objects", lambda db: scrub_rows.known_objects(db, after, limit)
        )

    async def begin_scrub(self, scrubber: str, order: ScrubOrder) -> ScrubRun:
        return await self._call(
            f"begin_scrub {scrubber}",
            lambda db: scrub_rows.begin_scrub(db, scrubber, order, self._clock()),
        )

    async def list_scrubs(self, scrubber: str) -> tuple[ScrubRun, ...]:
        return await self._call("list_scrubs", lambda db: scrub_rows.list_scrubs(db, scrubber))

    async def save_scrub(self, run: ScrubRun, visited: tuple[VisitedObject, ...]) -> None:
        await self._call(
            f"save_scrub {run.run_id}", lambda db: scrub_rows.save_scrub(db, run, visited)
        )

    async def list_findings(
        self, run_id: int | None, after: int, limit: int
    ) -> tuple[KeptFinding, ...]:
        return await self._call(
            "list_findings", lambda db: scrub_rows.list_findings(db, run_id, after, limit)
        )

    # --- what is collected -----------------------------------------------------------------------

    async def load_knowledge(self) -> ChainKnowledge | None:
        return await self._call("load_knowledge", collection_rows.load_knowledge)

    async def save_knowledge(
        self, knowledge: ChainKnowledge, found: Sequence[Collectable] = ()
    ) -> None:
        await self._call(
            f"save_knowledge {knowledge.read_height}",
            lambda db: collection_rows.save_knowledge(db, knowledge, found),
        )

    async def start_anew(self, knowledge: ChainKnowledge) -> None:
        await self._call("start_anew", lambda db: collection_rows.start_anew(db, knowledge))

    async def list_collectable(self) -> tuple[Collectable, ...]:
        return await self._call("list_collectable", collection_rows.list_collectable)

    async def withdraw(self, waiting: Sequence[Collectable]) -> None:
        await self._call("withdraw", lambda db: collection_rows.withdraw(db, waiting))

    async def list_recorded(self, from_row: int, limit: int) -> RecordedPage:
        return await self._call(
            "list_recorded", lambda db: collection_rows.list_recorded(db, from_row, limit)
        )

    async def end_jobs(self, sp_addresses: Sequence[str], object_id: int, error: JobError) -> int:
        return await self._call(
            f"end_jobs of object {object_id}",
            lambda db: collection_rows.end_jobs(db, sp_addresses, object_id, error, self._clock()),
        )

    async def finish_collection(
        self, sp_addresses: Sequence[str], collected: Collectable, error: JobError | None
    ) -> None:
        await self._call(
            f"finish_collection {collected.object_id}",
            lambda db: collection_rows.finish_collection(
                db, sp_addresses, collected, error, self._clock()
            ),
        )

    # --- what is downloaded ----------------------------------------------------------------------

    async def count_reads(
        self, bucket: ReadBucket, reads: tuple[Read, ...], quota_bytes: int | None
    ) -> int:
        return await self._call(
            f"count_reads {bucket.id}",
            lambda db: read_rows.count_reads(db, bucket, reads, quota_bytes, self._clock()),
        )

    async def consumed_bytes(self, bucket: ReadBucket, month: str) -> int:
        return await self._call(
            "consumed_bytes", lambda db: read_rows.consumed_bytes(db, bucket, month)
        )

    async def list_reads(self, bucket: ReadBucket, wanted: RecordsWanted) -> tuple[ReadRecord, ...]:
        return await self._call("list_reads", lambda db: read_rows.list_reads(db, bucket, wanted))

    # --- browser keys ----------------------------------------------------------------------------

    async def user_key(self, sp_address: str, account: str, domain: str) -> UserKey | None:
        return await self._call(
            "user_key", lambda db: user_key_rows.user_key(db, sp_address, account, domain)
        )

    async def register_key(self, key: UserKey) -> None:
        await self._call(
            "register_key", lambda db: user_key_rows.register_key(db, key, self._clock())
        )

    # --- the index -------------------------------------------------------------------------------

    async def load_index(self) -> IndexState | None:
        return await self._call("load_index", index_rows.load_state)

    async def begin_build(self, height: int) -> IndexState:
        return await self._call(
            f"begin_build {height}", lambda db: index_rows.begin_build(db, height)
        )

    async def put_found(
        self, build: int, buckets: Sequence[BucketInfo], objects: Sequence[ObjectInfo]
    ) -> None:
        await self._call(
            f"put_found {build}", lambda db: index_rows.put_found(db, build, buckets, objects)
        )

    async def end_build(self, build: int, limit: int) -> bool:
        return await self._call(
            f"end_build {build}", lambda db: index_rows.end_build(db, build, limit)
        )

    async def apply_blocks(self, blocks: Sequence[BlockRecord], height: int) -> bool:
        return await self._call(
            f"apply_blocks {height}", lambda db: index_rows.apply_blocks(db, blocks, height)
        )

    async def forget_index(self) -> None:
        await self._call("forget_index", index_rows.forget)

    async def list_objects(self, query: ObjectQuery) -> IndexPage:
        return await self._ask_index(lambda db: index_rows.list_objects(db, query))

    async def list_buckets(self, owner: str, limit: int) -> bytes:
        return await self._ask_index(lambda db: index_rows.list_buckets(db, owner, limit))

    async def object_document(self, bucket_name: str, object_name: str) -> bytes:
        return await self._ask_index(
            lambda db: index_rows.object_document(db, bucket_name, object_name)
        )

    async def bucket_document(self, bucket_name: str) -> bytes:
        return await self._ask_index(lambda db: index_rows.bucket_document(db, bucket_name))

    async def _ask_index(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        def asked(db: sqlite3.Connection) -> T:
            index_rows.check_built(db)
            return ask(db)

        return await self._reader.call(asked)

    async def close(self) -> None:
        """Answer the calls under way and close the file. Idempotent."""
        await self._reader.close()
        await asyncio.to_thread(self._committer.close)
