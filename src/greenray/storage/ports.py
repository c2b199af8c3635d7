"""What the actors need from storage. Every implementation passes the same contract suite.

The PieceStore port is synchronous (its calls move megabytes and run in worker threads); the
JobStore port is asynchronous (its calls are small, wait for a commit, and may cross a process).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NewType, Protocol

from greenray.protocol.collection import ChainKnowledge, Collectable, Holding
from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_events import JobEvent
from greenray.protocol.layout import SEGMENTS, ColumnLayout
from greenray.protocol.objects import ObjectIdentity, ObjectInfo, StorageParams
from greenray.seam.travel import alone, grouped

Buffer = memoryview
"""Anything with the buffer protocol, as a flat memoryview of unsigned bytes."""


# --- pieces ------------------------------------------------------------------------------------


Fence = NewType("Fence", int)
"""What keeps two writers of one column or group apart (0 or more): each writes under a fence of its
own, and a higher one supersedes a lower. It is the job's epoch for the segments of an upload, the
approval round for a replicate group, the receiver's clock for one that comes by replicate-piece, a
random number for segments that are repaired. Only who has lost the old writer of a fence begins it
anew."""

LONE_WRITER = Fence(0)
"""Of a column that only one writer can have."""


@dataclass(frozen=True, slots=True, order=True)
class ColumnKey:
    """One column of one object in one SP's store.

    ``redundancy_index`` is ``SEGMENTS`` (-1) for whole segments. Unfinished columns
    additionally carry the ``fence`` of their writer; a finished column has none.
    """

    object_id: int
    redundancy_index: int = SEGMENTS


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """What a store holds of one column: finished (``fence`` None), or unfinished by one writer."""

    key: ColumnKey
    fence: Fence | None
    size_bytes: int


def column_order(column: StoredColumn) -> tuple[ColumnKey, int]:
    """Columns by key, and the unfinished ones of a key by fence."""
    return column.key, -1 if column.fence is None else column.fence


class ColumnWriter(Protocol):
    """Appends to one unfinished column. Not thread-safe; used by one thread at a time."""

    @property
    def size_bytes(self) -> int:
        """Bytes appended so far (including those found when an unfinished column was resumed)."""

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Append the concatenation of ``buffers``, one batch, without joining them first.

        The buffers may be reused as soon as the call returns. Fastest from page-aligned memory.
        Raises: NoSpaceLeft, StoreError (also for more bytes than the layout has). After an error
        of the store the writer can only be closed or aborted.
        """

    def sync(self) -> None:
        """Return when everything appended so far would survive a power loss."""

    def finish(self) -> None:
        """Sync, and make the column visible under its key. The size must equal the layout's.

        An existing finished column of the same key is replaced in one step. Raises: NoSpaceLeft,
        StoreError (also when a later writer has begun the same key and fence anew).
        """

    def close(self) -> None:
        """Leave the unfinished column as it is, to be resumed later. Idempotent.

        All that was appended survives this process, but a power loss only up to the last sync.
        """

    def abort(self) -> None:
        """Remove the unfinished column. Idempotent; after ``finish`` it does nothing."""


class PieceStore(Protocol):
    """Columns of pieces of ONE storage provider."""

    def create(
        self, key: ColumnKey, layout: ColumnLayout, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        """Start a column from nothing; an unfinished one of the same key and fence is removed."""

    def resume(
        self, key: ColumnKey, layout: ColumnLayout, size_bytes: int, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        """Continue an unfinished column after its first ``size_bytes`` (what was acknowledged);
        anything behind is dropped. Raises NoSuchPiece when fewer bytes are there."""

    def exists(self, key: ColumnKey) -> bool:
        """Whether the finished column is there."""

    def read_into(
        self, key: ColumnKey, layout: ColumnLayout, offset: int, buffers: Sequence[Buffer]
    ) -> None:
        """Fill ``buffers`` one after the other with the column's bytes from ``offset`` (bytes).

        Raises: NoSuchPiece (no finished column, or shorter than asked), StoreError.
        """

    def read_unfinished_into(
        self,
        key: ColumnKey,
        layout: ColumnLayout,
        fence: Fence,
        offset: int,
        buffers: Sequence[Buffer],
    ) -> None:
        """As ``read_into``, from a column that is still being written, by whatever process.

        Raises: NoSuchPiece also for what was appended but is not readable yet; it is there once
        the column is finished. StoreError.
        """

    def read_piece(
        self,
        key: ColumnKey,
        layout: ColumnLayout,
        piece_index: int,
        offset: int = 0,
        length: int | None = None,
    ) -> bytes:
        """A piece, or a range of it. Raises: InvalidInput (outside the layout), NoSuchPiece,
        StoreError."""

    def list_columns(self) -> Iterator[ColumnKey]:
        """Finished columns, in key order."""

    def list_unfinished(self) -> Iterator[tuple[ColumnKey, Fence]]:
        """Unfinished columns with their fence, in key order."""

    def list_stored(self, object_id: int | None = None) -> Iterator[StoredColumn]:
        """All columns with their sizes, finished ones first, each kind in key order; only those of
        one object if it is named. What is being written counts as far as it got."""

    def delete(self, key: ColumnKey) -> None:
        """Remove the finished column and every unfinished one of the key. Idempotent. What a crash
        leaves of it is among what is stored."""

    def delete_unfinished(self, key: ColumnKey, fence: Fence) -> None:
        """Remove one unfinished column. Idempotent."""

    def probe(self) -> None:
        """Write, sync, read and remove a few bytes; raises StoreError with what is wrong."""


# --- jobs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IntegrityRecord:
    """What an SP vouches for: the piece checksums of one finished column and their signed hash.

    One per (SP, object, redundancy index); written again with the same key it replaces.
    """

    sp_address: str
    object_id: int
    redundancy_index: int
    piece_checksums: tuple[bytes, ...]
    integrity_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class GroupKey:
    """One replicate group at one receiver, under one fence of the primary."""

    sp_address: str
    object_id: int
    redundancy_index: int
    fence: Fence


@dataclass(frozen=True, slots=True)
class GroupRow:
    """An unfinished group: the checksums of the pieces of all acknowledged batches, in order."""

    key: GroupKey
    object_info: ObjectInfo
    params: StorageParams
    batch_segments: int
    batches_acknowledged: int
    piece_checksums: tuple[bytes, ...]
    updated_at: float


class TransactionState(Enum):
    RESERVED = "reserved"
    """Nonce and bytes are on disk; the transaction may be on its way."""
    COMMITTED = "committed"
    """In a block with code 0."""
    FAILED = "failed"
    """In a block with another code: fee and nonce are gone."""
    DEAD = "dead"
    """Refused, or timeout_height passed: it can never be in a block; its nonce is free. So is that
    of one whose block was lost when the chain went back."""


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction whose nonce is reserved; written in the same commit as the reservation."""

    tx_hash: str
    sp_address: str
    job_id: int
    signer_address: str
    nonce: int
    tx_bytes: bytes
    timeout_height: int
    state: TransactionState
    created_at: float


@dataclass(frozen=True, slots=True)
class JobUpdate:
    """One compare-and-set on one job: all of its events, or none."""

    sp_address: str
    job_id: int
    epoch: int
    expected_state: JobState
    event: JobEvent
    then: tuple[JobEvent, ...] = ()
    """Events that follow at once."""


class JobStore(Protocol):
    """The journal. Every call returns after its commit is durable (or after a consistent read).

    ``now`` is always the store's own clock. Errors of one call never undo another's.
    """

    @grouped
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
        """A job in UPLOAD_OBJECT_DOING, owned by ``owner`` with a new epoch.

        A new object gets a new job (through INIT_UNSPECIFIED, one commit). A job in
        UPLOAD_OBJECT_ERROR is resumed. One in 0 or 1 whose lease ran out first loses its owner.
        ``object_info`` is what the chain has: a job of another object with the same id
        ends, and stays as history.

        Raises:
            AlreadyUploaded: the payload is stored already (state 2 and later), or another upload
                of this object is running.
        """

    @alone
    async def begin_again(self, sp_address: str, job_id: int, deadline_s: float) -> JobContext:
        """Another job for the object of this one, which has ended in the journal while the chain,
        having gone back, does not know of it any more: as ``events_of_lost_end`` says. What
        was reserved to reject the object is dead. When the object has a later job already, that
        one.

        Raises: NoSuchJob, IllegalTransition (it has not ended).
        """

    @grouped
    async def apply(self, update: JobUpdate) -> JobContext:
        """Raises: NoSuchJob, StaleJob, IllegalTransition."""

    @grouped
    async def finish_upload(self, update: JobUpdate, record: IntegrityRecord) -> JobContext:
        """``apply`` and the primary's integrity record in one commit; also gives up the lease, so
        that the job in UPLOAD_OBJECT_DONE is claimable at once."""

    @grouped
    async def job_of(self, sp_address: str, identity: ObjectIdentity) -> JobContext | None:
        """The job of exactly this object: never that of another one that had its id before."""

    @grouped
    async def get_job(self, sp_address: str, object_id: int) -> JobContext | None:
        """The newest job of this id. It may be that of another object than the chain has: whoever
        knows the object asks for ``job_of``."""

    @alone
    async def find_job(self, bucket_name: str, object_name: str) -> JobContext | None:
        """The newest job of that name at any SP of this store."""

    @alone
    async def list_jobs(self, *, unfinished_only: bool = False) -> tuple[JobContext, ...]: ...

    @grouped
    async def claim_jobs(self, owner: str, lease_s: float, limit: int) -> tuple[JobContext, ...]:
        """Take up to ``limit`` claimable jobs, oldest first; each gets a new epoch, this owner and
        a lease (``greenray.protocol.job_claims.is_claimable``)."""

    @alone
    async def claim_job(
        self, sp_address: str, job_id: int, owner: str, lease_s: float
    ) -> JobContext:
        """Take this job, due or not; it gets a new epoch, this owner and a lease.

        Raises: NoSuchJob, IllegalTransition (it is final), StaleJob (somebody has it).
        """

    @grouped
    async def wake_parked(self, sp_address: str, waits_for: str) -> int:
        """What these jobs of the SP were parked for has come: all of them are claimable when they
        are due. Until then one of them is, to look whether it has. Returns how many they are."""

    @grouped
    async def next_due_in_s(self) -> float | None:
        """Seconds until the next job becomes claimable: due, and without an owner or with a lease
        that has run out by then. 0 when there is one now; None when there is none at all."""

    @grouped
    async def count_waiting(self) -> int:
        """How many jobs wait for a task node to bring them to their seal, or have one: their
        payload is stored, and they are not final."""

    @alone
    async def renew_leases(self, owner: str, lease_s: float) -> int:
        """Extend every lease of ``owner``; returns how many."""

    @grouped
    async def release_job(self, sp_address: str, job_id: int, epoch: int) -> None:
        """Give the job back (it becomes claimable when due). A stale epoch is ignored."""

    @alone
    async def release_all(self) -> int:
        """Drop every lease; uploads in 0 or 1 become UPLOAD_OBJECT_ERROR (owner_lost). Only for
        the start, by the holder of the state directory's lock. Returns how many jobs changed."""

    @alone
    async def release_process(self, process: str) -> int:
        """``release_all`` for the leases of one process that is known to be dead: those of owner
        ``process``, and of its parts, whose names begin with ``process/``."""

    # integrity records

    @alone
    async def put_integrity(self, record: IntegrityRecord) -> None: ...

    @grouped
    async def get_integrity(
        self, sp_address: str, object_id: int, redundancy_index: int
    ) -> IntegrityRecord | None: ...

    # replicate groups at the receiver

    @grouped
    async def open_group(self, row: GroupRow) -> GroupRow:
        """Insert (``updated_at`` is now), or return the row that is there already."""

    @grouped
    async def acknowledge_batch(
        self, key: GroupKey, batch_index: int, piece_checksums: tuple[bytes, ...]
    ) -> GroupRow:
        """Append one batch's checksums. Acknowledging the same batch again with the same checksums
        changes nothing. Raises GroupNotOpen (no row), StaleJob (not the next batch, or another
        one's checksums), InvalidInput (not as many checksums as the batch has pieces)."""

    @grouped
    async def finish_group(self, key: GroupKey, record: IntegrityRecord) -> None:
        """Write the integrity record and remove the rows of this fence and of lower ones, in one
        commit."""

    @grouped
    async def drop_group(self, key: GroupKey) -> None: ...

    @alone
    async def list_groups(
        self, sp_address: str, *, idle_for_s: float = 0.0
    ) -> tuple[GroupRow, ...]: ...

    # transactions and nonces

    @grouped
    async def reserve_transaction(
        self, row: TransactionRow, epoch: int, expected_state: JobState
    ) -> None:
        """Store the signed bytes and with them the nonce, if the job still has this epoch and
        state, and no living transaction (RESERVED, COMMITTED or FAILED) of the signer has the
        nonce, and the job has no RESERVED one. Raises StaleJob otherwise, NoSuchJob. A DEAD row
        of the very same bytes is replaced."""

    @grouped
    async def mark_transaction(self, tx_hash: str, state: TransactionState) -> None:
        """Raises: IllegalTransition (COMMITTED and FAILED stay, RESERVED comes from
        ``reserve_transaction`` only), InvalidInput (not in the journal)."""

    @grouped
    async def get_transactions(self, sp_address: str, job_id: int) -> tuple[TransactionRow, ...]:
        """All transactions of a job, oldest first."""

    @alone
    async def return_nonces(self, signer_address: str, sequence: int) -> int:
        """COMMITTED and FAILED transactions of a signer with ``sequence``, or more, as their nonce
        become DEAD; returns how many. ``sequence`` is the account's, on a chain that does not lag:
        a block with such a transaction would have used its nonce, so the chain has lost it."""

    @alone
    async def list_reserved(self, signer_address: str) -> tuple[TransactionRow, ...]:
        """RESERVED transactions of a signer in nonce order."""

    @alone
    async def close(self) -> None: ...


# --- what is collected -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordedPage:
    """Of what rows are: finished columns by their integrity records, unfinished groups.

    ``next_row``: where the next page begins; None: this was the last one.
    """

    holdings: tuple[Holding, ...]
    next_row: int | None


class CollectorJournal(Protocol):
    """The journal as the Collector sees it. Every call returns after its commit is durable."""

    @alone
    async def load_knowledge(self) -> ChainKnowledge | None:
        """What was learnt of the chain; None: nothing yet."""

    @alone
    async def save_knowledge(
        self, knowledge: ChainKnowledge, found: Sequence[Collectable] = ()
    ) -> None:
        """With what was found to wait for its collection; what waits already keeps its time."""

    @alone
    async def start_anew(self, knowledge: ChainKnowledge) -> None:
        """With another history of the chain; all that waits is forgotten."""

    @alone
    async def list_collectable(self) -> tuple[Collectable, ...]:
        """What waits, the longest first."""

    @alone
    async def withdraw(self, waiting: Sequence[Collectable]) -> None:
        """They do not wait any more: the chain has them after all."""

    @alone
    async def list_recorded(self, from_row: int, limit: int) -> RecordedPage:
        """The first page begins at row 0; a record that is written again meanwhile may come
        twice."""

    @alone
    async def end_jobs(self, sp_addresses: Sequence[str], object_id: int, error: JobError) -> int:
        """End the jobs of an object that is gone, whoever holds them; one that is sealed keeps its
        state, with the error. Returns how many there were."""

    @alone
    async def finish_collection(
        self, sp_addresses: Sequence[str], collected: Collectable, error: JobError | None
    ) -> None:
        """Once its columns are removed: remove its integrity records and groups at these SPs, and
        that it waits, and end its jobs with ``error`` if there is one."""
