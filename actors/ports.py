"""What actors need from each other. Plain classes implement these; ``cluster`` binds them to Ray.

Nothing here knows Ray: a column travels as an opaque reference that an ``ObjectSpace`` made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenray.protocol.approvals import Approval
from greenray.protocol.collection import Cause, Collectable
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.job import JobContext, SecondaryReceipt
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import ObjectInfo, StorageParams, StorageProvider
from greenray.protocol.scrub import ScrubOrder, ScrubRun
from greenray.seam.travel import alone, grouped, with_column
from greenray.storage.ports import ColumnKey, Fence, GroupKey
from greenray.timeline.stage_trace import WorkTime

Column = NDArray[np.uint8]
"""One column of one batch: a flat array of unsigned bytes."""

ColumnRef = Any
"""An opaque reference to a Column (``ray.ObjectRef`` in a cluster, the array itself without)."""


ColumnRuns = tuple[Column, ...]
"""One column of one batch in the runs of memory that it lies in, one after the other."""


@dataclass(frozen=True, slots=True)
class BorrowedColumn:
    """One column of one batch, in memory that its sender will use for others once it is read."""

    column: Column
    check: Callable[[], None]
    """Raises SharedBlockGone when that has happened already. Who has read the column and is told
    nothing has read this one."""


@dataclass(frozen=True, slots=True)
class BlockSlice:
    """Some bytes of a block that lies in an ``ObjectSpace``."""

    block: ColumnRef
    offset_bytes: int
    size_bytes: int


class ObjectSpace(Protocol):
    """Where columns live between actors."""

    async def put(self, column: Column) -> ColumnRef:
        """Copy the column in; the caller may reuse its buffer afterwards."""

    async def get(self, ref: ColumnRef) -> Column:
        """A read-only view. Raises NoSuchPiece when the object is gone (its owner died)."""

    async def splice(self, slices: Sequence[BlockSlice]) -> ColumnRef:
        """The column that these slices make together. A large one is not copied, and gone when one
        of its blocks is. Raises NoSuchPiece."""


class Encoder(Protocol):
    """Makes the m parity columns of a batch beside its data columns."""

    async def encode(
        self,
        data: tuple[ColumnRef, ...],
        m: int,
        on_encoded: Callable[[WorkTime], None],
        *,
        column_size_bytes: int,
    ) -> tuple[ColumnRef, ...]:
        """``data``: k columns of ``column_size_bytes``. Returns m references, perhaps before the
        columns are made; ``on_encoded`` is told when they were. Raises CodingError."""

    async def warm_up(self) -> None:
        """Start what the first ``encode`` would have to wait for; returns at once."""


@dataclass(frozen=True, slots=True)
class GroupOrder:
    """What a primary asks of a secondary: hold this group. Consensus values travel with it."""

    object_info: ObjectInfo
    params: StorageParams
    redundancy_index: int
    batch_segments: int
    fence: Fence
    """Of the approval round: groups of another round are other groups."""
    approval: Approval

    def key_at(self, sp_address: str) -> GroupKey:
        """Of this group at the SP that holds it."""
        return GroupKey(sp_address, self.object_info.id, self.redundancy_index, self.fence)


@dataclass(frozen=True, slots=True)
class HeldPiece:
    """A piece as its holder gives it, unverified."""

    piece: Column
    checksums: tuple[bytes, ...]
    """Of all pieces of its column, in segment order."""


class ReceiverPort(Protocol):
    """Takes replicate groups for the SPs hosted here. Every call names the SP it is meant for.

    ``column`` is a top-level argument, so that a cluster can pass a reference and deliver the
    array. Any call may raise ComponentUnavailable when the process behind it is gone.
    """

    @alone
    async def order_for(
        self, sp_address: str, approval: Approval, redundancy_index: int
    ) -> GroupOrder:
        """Complete what replicate-piece does not carry: the chain's parameters, a batch size, and
        a fence of its own, so that no two requests ever write into one column.

        Raises: ApprovalError, before anything else is looked at; ChainError.
        """

    @alone
    async def open(self, sp_address: str, order: GroupOrder) -> int:
        """Check the approval and open the group, or find it again.

        Returns how many leading batches are held durably; all of them once it is finished.
        Raises: ApprovalError, SignatureError, WrongRedundancyIndex, NoSuchObject,
        WrongObjectStatus, InvalidInput, ChainError, StoreError.
        """

    @with_column
    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        """Hold the next batch durably. The same batch again changes nothing. Of a column that was
        spliced, its ColumnRuns may be delivered; one that was lent is a BorrowedColumn.

        Raises: GroupNotOpen (open it again), InvalidInput (a gap, or other bytes than before),
        PayloadSizeMismatch, StoreError, SharedBlockGone (send it again from elsewhere).
        """

    @alone
    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        """Compare with the chain's checksum, then sign. Called again: the same receipt.

        Raises: GroupNotOpen, InvalidInput (batches are missing), IntegrityHashMismatch (nothing
        is kept), StoreError.
        """

    @grouped
    async def hold_group(
        self, sp_address: str, order: GroupOrder, column: ColumnRef
    ) -> UnverifiedReceipt:
        """``open``, ``write_batch`` and ``finish`` of a group of one batch. All or nothing: what is
        not finished is not acknowledged. The same group again: the same receipt.

        Raises: what those three raise, but for GroupNotOpen.
        """

    @alone
    async def begin_repair(
        self,
        sp_address: str,
        object_id: int,
        redundancy_index: int,
        params: StorageParams,
        batch_segments: int,
    ) -> GroupKey:
        """Open a group of a sealed object that the SP has to hold, to write it anew: under a fence
        of its own, so that the next one to be opened supersedes it. ``write_batch`` and ``finish``
        follow, which puts it in the place of what there is in one step.

        Raises: NoSuchObject, WrongObjectStatus, WrongRedundancyIndex, ChainError, StoreError.
        """

    @alone
    async def abort(self, sp_address: str, key: GroupKey) -> None:
        """Forget the unfinished group and its bytes. Idempotent; a finished group stays."""

    @alone
    async def read_piece(
        self, sp_address: str, key: ColumnKey, layout: ColumnLayout, piece_index: int
    ) -> HeldPiece:
        """A piece of a finished group. Raises NoSuchPiece (also without a record of its checksums),
        InvalidInput (outside the layout), StoreError."""


class PieceSource(Protocol):
    """The way to the pieces that other storage providers hold."""

    async def read_piece(
        self,
        sp_address: str,
        holder: str,
        key: ColumnKey,
        layout: ColumnLayout,
        piece_index: int,
    ) -> HeldPiece:
        """``sp_address`` asks ``holder`` (operator addresses). Raises GreenrayError, whatever is
        the matter with the holder."""

    async def close(self) -> None:
        """Close what is open to holders."""


class SecondaryGroup(Protocol):
    """One open replicate group at one secondary. Calls come one after the other.

    Raises SecondaryFailed, SecondaryTimeout, ApprovalError, or what the receiver refused with.
    """

    @property
    def batches_acknowledged(self) -> int:
        """How many leading batches the secondary holds durably already; they are not sent again."""

    async def write_batch(self, batch_index: int, column: ColumnRef) -> None:
        """Send the next batch. ``column`` holds exactly the bytes of the batch's pieces."""

    async def finish(self) -> UnverifiedReceipt:
        """After the last batch."""

    async def abort(self) -> None:
        """Give the group up; the secondary forgets it. Never raises for a dead secondary."""


class SecondaryClient(Protocol):
    """The way to one secondary SP."""

    @property
    def keeps_batches(self) -> bool:
        """Whether each batch is acknowledged, so that an open group may wait for the next one and
        be opened again; otherwise the whole group has to be sent in one go."""

    async def open(self, order: GroupOrder) -> SecondaryGroup: ...


class SecondaryDirectory(Protocol):
    """Finds the way to an SP: an actor in this cluster, or its HTTP endpoint."""

    def client(self, provider: StorageProvider) -> SecondaryClient: ...


class SignerPort(Protocol):
    """Signatures with SP keys, which never leave the Signer. ``sp_address`` is the operator's."""

    @grouped
    async def sign_as_operator(self, sp_address: str, sign_bytes: bytes) -> bytes:
        """65 bytes over keccak256(sign_bytes): P2P messages."""

    @grouped
    async def sign_as_approver(self, sp_address: str, sign_bytes: bytes) -> bytes:
        """65 bytes over keccak256(sign_bytes): integrity hashes, approvals for users."""


@dataclass(frozen=True, slots=True)
class SealOrder:
    """Everything the Signer needs to seal one object; it verifies all of it again."""

    sp_address: str
    job_id: int
    epoch: int
    object_info: ObjectInfo
    params: StorageParams
    secondaries: tuple[SecondaryReceipt, ...]


@dataclass(frozen=True, slots=True)
class SealTicket:
    """A seal transaction that is on its way (its nonce and bytes are in the journal), or has
    arrived already: ``watch_seal`` returns at once then.

    All fields are None when the object is SEALED by a transaction that the journal does not know.
    """

    tx_hash: str | None
    nonce: int | None = None
    timeout_height: int | None = None


@dataclass(frozen=True, slots=True)
class SealOutcome:
    """The object is sealed; ``tx_hash`` differs from the ticket's when an earlier one won, and
    both fields are None when the journal does not know the transaction."""

    tx_hash: str | None
    height: int | None


class SealerPort(Protocol):
    @alone
    async def submit_seal(self, order: SealOrder) -> SealTicket:
        """Reserve, store, broadcast. A job that already has a living transaction gets that one.

        Raises:
            SignatureError: the receipts are not n verified ones in index order.
            ReceiptInvalid, SecondaryOutOfService: receipts are void since they were verified.
            KeyMissing, NoSuchObject, WrongObjectStatus, StaleJob.
            SealAccountWithoutFunds: nothing is sent; it goes on by itself after a refill.
            TransactionRefused: the node does not take it.
            ChainUnavailable: what was reserved stays reserved and is sent again by the next call.
        """

    @alone
    async def watch_seal(self, order: SealOrder, timeout_s: float) -> SealOutcome:
        """Return once the chain shows the object SEALED, sending identical bytes again meanwhile.

        Raises:
            SealTimeout: not decided within ``timeout_s``; the transaction stays as it is.
            TransactionFailed: it is in a block with an error.
            ReceiptInvalid, SecondaryOutOfService: so it is, because receipts are void.
            TransactionLost: it is in no block and never will be; ``submit_seal`` makes another.
            NoSuchObject: the object was cancelled or rejected.
            SealAccountWithoutFunds, ChainUnavailable, StoreError.
        """

    @alone
    async def reject_seal(self, order: SealOrder) -> None:
        """Give the object up on chain, where the dialect can; a refusal is only reported."""


@dataclass(frozen=True, slots=True)
class ApprovalRound:
    """Verified approvals in the order they arrived, and a reason for every SP that gave none."""

    accepted: tuple[Approval, ...]
    not_accepted: tuple[tuple[str, str], ...]
    """(operator address, reason): refused, expired, unreachable, no-answer, bad-signature."""


class ApprovalSource(Protocol):
    """P2P as the task node sees it."""

    @alone
    async def get_secondary_approvals(
        self, object_info: ObjectInfo, sp_address: str, needed: int, timeout_s: float
    ) -> ApprovalRound: ...


class HotColumns(Protocol):
    """The data columns that the Uploader still holds in the object space: a cache, no promise."""

    @alone
    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None: ...

    @grouped
    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        """Everybody has this batch's columns."""

    @grouped
    async def release_object(self, sp_address: str, object_id: int) -> None:
        """The columns of this object are not needed any more."""


class RunningUploads(Protocol):
    """The uploads that an Uploader is receiving."""

    @alone
    async def wait_for_batch(self, job: JobContext, batch_index: int) -> bool:
        """True once the batch is stored, False when the upload of this job's epoch is over."""

    @alone
    async def wait_for_end(self, job: JobContext) -> None:
        """Return when the upload of this job's epoch is over; how it ended is in the job's row."""


class UploaderPort(HotColumns, RunningUploads, Protocol):
    """What an Uploader is to a TaskNode."""


class TaskWaker(Protocol):
    """The TaskNode as the Uploader sees it. Losing a call loses nothing but time."""

    @alone
    async def wake(self) -> None:
        """There may be work in the job store."""

    @alone
    async def follow_upload(self, job: JobContext) -> None:
        """This job's payload has begun to arrive; its batches may be sent ahead."""


@dataclass(frozen=True, slots=True)
class ScrubProgress:
    """``waits_for``: what keeps the scrub from going on, for people; empty while it goes on, or has
    ended."""

    run: ScrubRun
    waits_for: str = ""


class ScrubberPort(Protocol):
    """Scrubs what some of the hosted SPs store. One scrub goes on at a time, the others wait."""

    @alone
    async def start(self, order: ScrubOrder) -> int:
        """Put a scrub into the journal; returns its id. It goes on by itself, across restarts.

        Raises: NoSuchBucket, NoSuchObject, WrongObjectStatus (the object is not sealed),
        ChainError, JournalError.
        """

    @alone
    async def progress(self, run_id: int) -> ScrubProgress:
        """Raises InvalidInput (it is not remembered), JournalError."""

    @alone
    async def cancel(self, run_id: int) -> None:
        """End the scrub after the object that it is at."""


class JobOperator(Protocol):
    """The TaskNode as an operator sees it. Both calls are for jobs that nobody is working on; they
    raise NoSuchJob, IllegalTransition (the job has ended), StaleJob (somebody has it)."""

    @alone
    async def retry_now(self, sp_address: str, job_id: int) -> JobContext:
        """Go on with the job, however long its next retry is off; returns it as it was claimed.

        Raises: also InvalidInput, when its payload is not stored.
        """

    @alone
    async def give_up(self, sp_address: str, job_id: int) -> None:
        """Never try the job again, and reject its object on chain if the chain lets it.

        Raises: also IllegalTransition, when it is in no error state, and what rejecting raises;
        the job is given up then.
        """


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or with a dry run would be. ``sp_address`` empty: all of the object."""

    object_id: int
    cause: Cause
    sp_address: str
    redundancy_index: int
    columns: int
    size_bytes: int

    def __str__(self) -> str:
        where = f", index {self.redundancy_index} at {self.sp_address}" if self.sp_address else ""
        return (
            f"object {self.object_id}{where}: {self.cause.value}, {self.columns} columns, "
            f"{self.size_bytes} bytes"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"cause": self.cause.value}


@dataclass(frozen=True, slots=True)
class WaitingCollection:
    """``due_in_s``: until the chain is asked again."""

    collectable: Collectable
    due_in_s: float

    def to_json(self) -> dict[str, Any]:
        one = self.collectable
        return asdict(one) | {"cause": one.cause.value, "due_in_s": self.due_in_s}


@dataclass(frozen=True, slots=True)
class CollectionReport:
    collected: tuple[Collected, ...]
    waiting: tuple[WaitingCollection, ...]
    dry_run: bool

    @property
    def size_bytes(self) -> int:
        """Of what was collected."""
        return sum(one.size_bytes for one in self.collected)

    def to_json(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "collected": [one.to_json() for one in self.collected],
            "size_bytes": self.size_bytes,
            "waiting": [one.to_json() for one in self.waiting],
        }


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an index was made of. ``height``: of the block that it was begun at."""

    height: int
    buckets: int
    objects: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class CollectorPort(Protocol):
    """The Collector as an operator sees it."""

    @alone
    async def collect(self, *, dry_run: bool) -> CollectionReport:
        """Read the chain's blocks, compare all that is stored with it, and remove what has waited
        long enough; with ``dry_run`` only say what that would be.

        Raises: ChainNotComparable (the node is behind, or of another chain), ChainError,
        StoreError.
        """

    @alone
    async def rebuild_index(self) -> IndexReport:
        """Make the index of buckets and objects anew by asking the chain; returns when it is done.
        Until then it answers as before.

        Raises: ChainNotComparable, ChainError, StoreError.
        """


class IndexFollower(Protocol):
    """The Collector as who asks the index sees it."""

    @alone
    async def follow(self) -> None:
        """Read the blocks that the index does not have yet. Raises: ChainNotComparable, ChainError,
        StoreError."""
