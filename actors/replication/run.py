"""One replication run: every missing replicate group goes to its secondary, all in parallel.

A run may begin while the payload still arrives. Until it is admitted, when its job has reached
REPLICATE_OBJECT_DOING, it only sends batches: nothing is finished, signed or recorded.

Batches are made once and handed to one stream per secondary through short queues, so that a slow
secondary slows the producer and memory stays bounded. A secondary that fails, lies or times out is
replaced by a spare and the run goes round again for its index.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.credit.byte_budget import ByteBudget, Lease
from greenray.actors.ports import ColumnRef, GroupOrder, SecondaryDirectory, SecondaryGroup
from greenray.actors.replication.batch_source import BatchSource
from greenray.actors.replication.settings import ReplicationSettings
from greenray.chain.dialect import Secondaries
from greenray.protocol.approvals import Approval
from greenray.protocol.errors import (
    GreenrayError,
    IllegalTransition,
    IntegrityHashMismatch,
    JournalError,
    NoSuchPiece,
    SecondaryOutOfService,
    SecondaryTimeout,
    SegmentsUnreadable,
    StaleJob,
    StoreError,
)
from greenray.protocol.job import JobContext, SecondaryReceipt
from greenray.protocol.job_events import JobEvent, SecondaryFinished, SecondaryReplaced
from greenray.protocol.layout import PayloadLayout
from greenray.protocol.objects import StorageProvider
from greenray.storage.ports import Fence
from greenray.timeline.stage_trace import ObjectStages, Stage, StageTrace

T = TypeVar("T")


class Record(Protocol):
    async def __call__(self, *events: JobEvent) -> JobContext:
        """Commit events of the job, together; returns the job after them."""


SegmentChecksums = Callable[[], Awaitable[Sequence[bytes]]]
"""Of the segments as they were stored, to tell our own corruption from a secondary's."""

Arrivals = Callable[[int], Awaitable[bool]]
"""Waits for a batch of a running upload: True when it is stored, False when the upload is over."""


@dataclass(frozen=True, slots=True)
class _Assignment:
    redundancy_index: int
    provider: StorageProvider
    approval: Approval


@dataclass(frozen=True, slots=True)
class _Item:
    """One batch of one column on its way; its credit is held until it is sent or dropped."""

    batch_index: int
    column: ColumnRef
    lease: Lease


@dataclass(slots=True)
class _Stream:
    assignment: _Assignment
    group: SecondaryGroup
    queue: asyncio.Queue[_Item | None]
    stages: ObjectStages
    failed: asyncio.Event


class ReplicationRun:
    """Replicates one job's object; the job's record says what is done already."""

    def __init__(
        self,
        job: JobContext,
        *,
        source: BatchSource,
        secondaries: SecondaryDirectory,
        rules: Secondaries,
        providers: ProviderBook,
        segment_checksums: SegmentChecksums,
        budget: ByteBudget,
        settings: ReplicationSettings,
        trace: StageTrace,
        arrivals: Arrivals,
    ) -> None:
        """
        Args:
            rules: the dialect's, for secondaries.
            budget: for the columns of all runs of this process in the object space.
            arrivals: asked for each batch until the run is admitted.
        """
        self._job = job
        self._admitted = asyncio.Event()
        self._record: Record = _not_admitted
        self._recording = asyncio.Lock()
        self._events: list[JobEvent] = []
        self._segment_checksums = segment_checksums
        self._openings: list[asyncio.Task[SecondaryGroup]] = []
        self._layout = PayloadLayout.of(job.object_info, job.params, job.batch_segments)
        self._source = source
        self._own_segments = asyncio.Lock()
        self._own_segments_are_right = False
        self._secondaries = secondaries
        self._rules = rules
        self._providers = providers
        self._budget = budget
        self._settings = settings
        self._trace = trace
        self._arrivals = arrivals

    @property
    def approval_round(self) -> int:
        """Whose assignments the run follows."""
        return self._job.approval_round

    def admit(self, job: JobContext, record: Record) -> None:
        """The payload is stored and ``job`` is in REPLICATE_OBJECT_DOING, with the approvals of
        this run: groups may be finished."""
        self._job = job
        self._record = record
        self._admitted.set()

    async def abandon(self) -> None:
        """Once ``run`` has ended: the secondaries forget what was sent ahead, also in groups that
        they were still opening when it was cancelled."""
        opened = await asyncio.gather(*self._openings, return_exceptions=True)
        groups = [group for group in opened if not isinstance(group, BaseException)]
        await asyncio.gather(*(group.abort() for group in groups))

    async def run(self) -> JobContext:
        """Until every index has a verified receipt on record.

        Raises: SecondariesExhausted, TooFewApprovals; StoreError (SegmentsUnreadable among them),
        CorruptPiece, CodingError when the primary's own data cannot be read; JournalError when the
        journal, its own and that of all SPs hosted here, fails; StaleJob when the job has another
        owner.
        """
        while True:
            plan = self._rules.plan(self._job)
            missing = plan.assignments()
            if not missing:
                return self._job
            assignments = [
                _Assignment(index, await self._providers.get(a.sp_operator_address), a)
                for index, a in sorted(missing.items())
            ]
            await self._round(assignments)

    async def _round(self, assignments: list[_Assignment]) -> None:
        opened = await asyncio.gather(*(self._open(a) for a in assignments))
        leases: list[Lease] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                streams = []
                for assignment, stream in zip(assignments, opened, strict=True):
                    if isinstance(stream, _Stream):
                        streams.append(stream)
                        tasks.create_task(self._serve(stream))
                    else:
                        tasks.create_task(self._replace(assignment, stream))
                tasks.create_task(self._produce(streams, leases))
        except ExceptionGroup as failures:
            # A secondary's failure never gets here; this is our own data or our own journal.
            raise failures.exceptions[0] from None
        finally:
            for lease in leases:
                lease.cancel()

    async def _open(self, assignment: _Assignment) -> _Stream | GreenrayError:
        """The stream to a secondary, or why there is none."""
        job = self._job
        if not assignment.provider.in_service:
            address = assignment.provider.operator_address
            return SecondaryOutOfService("it is not in service", f"secondary {address}")
        order = GroupOrder(
            job.object_info,
            job.params,
            assignment.redundancy_index,
            job.batch_segments,
            Fence(job.approval_round),
            assignment.approval,
        )
        client = self._secondaries.client(assignment.provider)
        stages = self._trace.of(
            job.object_id, assignment.provider.operator_address, assignment.redundancy_index
        )
        try:
            with stages.during(Stage.OPENED):
                opening = asyncio.create_task(self._within(client.open(order), "open"))
                self._openings.append(opening)
                group = await asyncio.shield(opening)
        except (StaleJob, JournalError):
            raise
        except GreenrayError as error:
            return error
        queue: asyncio.Queue[_Item | None] = asyncio.Queue(self._settings.window_batches)
        return _Stream(assignment, group, queue, stages, asyncio.Event())

    async def _produce(self, streams: list[_Stream], leases: list[Lease]) -> None:
        """Make each batch once and hand it to every stream that still needs it."""
        for batch_index in range(self._layout.batch_count):
            eager = [
                s
                for s in streams
                if not s.failed.is_set() and batch_index >= s.group.batches_acknowledged
            ]
            if not eager:
                continue
            wanted = [s.assignment.redundancy_index for s in eager]
            if not self._admitted.is_set() and not await self._arrivals(batch_index):
                await self._admitted.wait()
            lease = await self._budget.acquire(self._batch_bytes(batch_index, wanted))
            leases.append(lease)
            await self._hand_out(batch_index, eager, lease)
        for stream in streams:
            await self._offer(stream, None)

    async def _hand_out(self, batch_index: int, eager: list[_Stream], lease: Lease) -> None:
        """A call of its own, as is ``_serve_next``: a reference to a column that outlives its
        credit, if only in a variable, keeps the column in the object space."""
        wanted = [s.assignment.redundancy_index for s in eager]
        columns = await self._columns(batch_index, wanted)
        lease.share(len(eager))
        for stream in eager:
            column = columns[stream.assignment.redundancy_index]
            await self._offer(stream, _Item(batch_index, column, lease))

    async def _columns(self, batch_index: int, wanted: Collection[int]) -> Mapping[int, ColumnRef]:
        try:
            return await self._source.columns(batch_index, wanted)
        except NoSuchPiece as error:
            if self._admitted.is_set():
                raise _unreadable(error) from error
        # What a running upload has stored last may be readable only when it is over.
        await self._admitted.wait()
        try:
            return await self._source.columns(batch_index, wanted)
        except NoSuchPiece as error:
            raise _unreadable(error) from error

    def _batch_bytes(self, batch_index: int, wanted: list[int]) -> int:
        """What a batch takes in the object space: its data columns, and parity if it is made."""
        layout = self._layout
        parity = any(index >= layout.k for index in wanted) and not layout.replica
        columns = layout.data_columns + (layout.m if parity else 0)
        return columns * layout.pieces.batch_size_bytes(batch_index)

    async def _offer(self, stream: _Stream, item: _Item | None) -> None:
        """Wait for room in the stream's window, unless the stream fails meanwhile."""
        if not (stream.queue.full() or stream.failed.is_set()):
            stream.queue.put_nowait(item)
            return
        put = asyncio.create_task(stream.queue.put(item))
        failed = asyncio.create_task(stream.failed.wait())
        try:
            await asyncio.wait((put, failed), return_when=asyncio.FIRST_COMPLETED)
            if not put.done() and item is not None:
                item.lease.done()
        finally:
            put.cancel()
            failed.cancel()

    async def _serve(self, stream: _Stream) -> None:
        """Send what arrives, finish, verify, record; on failure replace the secondary."""
        assignment = stream.assignment
        try:
            while await self._serve_next(stream):
                pass
            await self._admitted.wait()
            with stream.stages.during(Stage.RECEIPT):
                claimed = await self._within(stream.group.finish(), "finish")
                receipt = self._rules.verify_receipt(
                    claimed, self._job.object_info, assignment.provider
                )
        except (JournalError, SegmentsUnreadable):
            raise  # ours, not the secondary's: an SP hosted here has its rows in our own journal
        except GreenrayError as error:
            stream.failed.set()
            while not stream.queue.empty():
                if (dropped := stream.queue.get_nowait()) is not None:
                    dropped.lease.done()
            await stream.group.abort()
            if isinstance(error, IntegrityHashMismatch):
                await self._check_own_segments()
            await self._replace(assignment, error)
        else:
            await self._finished(receipt)

    async def _serve_next(self, stream: _Stream) -> bool:
        """Send one batch when it comes; False after the last."""
        item = await stream.queue.get()
        if item is None:
            return False
        size_bytes = self._layout.pieces.batch_size_bytes(item.batch_index)
        try:
            with stream.stages.during(Stage.SENT, item.batch_index, size_bytes):
                await self._send(stream, item.batch_index, item.column)
        finally:
            sent_to_all = item.lease.done()
        if sent_to_all:
            await self._source.release(item.batch_index)
        return True

    async def _check_own_segments(self) -> None:
        """A secondary found another hash than the chain's: it must not be ours that is wrong.

        Raises CorruptPiece, SegmentsUnreadable. Looks once, however many secondaries complain.
        """
        async with self._own_segments:
            if self._own_segments_are_right:
                return
            checksums = await self._segment_checksums()
            try:
                await self._source.check_segments(checksums)
            except NoSuchPiece as error:
                raise _unreadable(error) from error
            self._own_segments_are_right = True

    async def _send(self, stream: _Stream, batch_index: int, column: ColumnRef) -> None:
        try:
            await self._within(stream.group.write_batch(batch_index, column), "write_batch")
        except NoSuchPiece:
            # The object space lost the column, not the secondary: read it again from the store.
            again = await self._read_again(batch_index, stream.assignment.redundancy_index)
            await self._within(stream.group.write_batch(batch_index, again), "write_batch")

    async def _read_again(self, batch_index: int, redundancy_index: int) -> ColumnRef:
        try:
            columns = await self._source.columns(batch_index, [redundancy_index], cold=True)
        except (NoSuchPiece, StoreError) as error:
            raise _unreadable(error) from error
        return columns[redundancy_index]

    async def _within(self, call: Awaitable[T], step: str) -> T:
        timeout_s = self._settings.batch_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await call
        except TimeoutError:
            raise SecondaryTimeout(f"no answer to {step} within {timeout_s:g} s") from None

    async def _finished(self, receipt: SecondaryReceipt) -> None:
        await self._commit(SecondaryFinished(receipt))

    async def _replace(self, assignment: _Assignment, error: GreenrayError) -> None:
        await self._admitted.wait()
        event = SecondaryReplaced(
            assignment.redundancy_index,
            assignment.provider.operator_address,
            error.reason,
            str(error),
        )
        await self._commit(event)

    async def _commit(self, event: JobEvent) -> None:
        """Record the event together with those that come in the same step of the event loop, or
        while others are being recorded. What cannot be recorded ends the run."""
        self._events.append(event)
        async with self._recording:
            await asyncio.sleep(0)
            events, self._events = self._events, []
            if events:
                self._job = await self._record(*events)


def _unreadable(error: GreenrayError) -> SegmentsUnreadable:
    return SegmentsUnreadable(
        f"the stored payload cannot be read: {error.what}",
        error.where,
        "See that the disk of the primary's pieces is there; it is tried again",
    )


async def _not_admitted(*events: JobEvent) -> JobContext:
    raise IllegalTransition(f"{events[0].name} before the run was admitted")
