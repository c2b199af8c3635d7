"""Uploader: takes payloads in streaming and stores them as the primary (design §1 step 2, §3).

The committed row UPLOAD_OBJECT_DONE is the notification of the TaskNode; the call only wakes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

from greenray.actors.at_once import both
from greenray.actors.credit.buffers import capacity_for
from greenray.actors.credit.lending import OURSELVES, Borrower
from greenray.actors.credit.lending_pool import LendingPool, LentBuffer
from greenray.actors.ports import ColumnRef, ObjectSpace, SignerPort, TaskWaker
from greenray.actors.uploader.batches import batch_memory_bytes
from greenray.actors.uploader.feed import UploadFeed
from greenray.actors.uploader.hot_columns import HotColumnCache
from greenray.actors.uploader.ingest import IngestTools, PayloadIngest, run_in
from greenray.actors.uploader.payload_source import Payload, PayloadSource, ReferencedPayload
from greenray.actors.uploader.settings import UploaderSettings
from greenray.protocol.errors import (
    ComponentUnavailable,
    EmptyPayload,
    GreenrayError,
    IllegalTransition,
    IntegrityHashMismatch,
    NoSuchJob,
    PayloadInterrupted,
    StaleJob,
)
from greenray.protocol.integrity import integrity_hash, secondary_sign_bytes
from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_events import JobEvent, UploadFailed, UploadFinished
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.storage.ports import (
    Buffer,
    ColumnKey,
    ColumnWriter,
    Fence,
    IntegrityRecord,
    JobStore,
    JobUpdate,
    PieceStore,
)
from greenray.timeline.stage_trace import Stage, StageTrace, TracePart

_FIRST_BYTES = 4096

log = logging.getLogger(__name__)


def choose_batch_segments(
    layout: PayloadLayout, limit: int, budget_bytes: int, uploads: int
) -> int:
    """How many segments a batch of this payload has: as many as ``limit`` and the payload allow,
    but so few that the budget has buffers for four batches, and one for every second of ``uploads``
    uploads; at least one. Each batch costs the same whatever is in it, so uploads rather wait for
    each other's buffers a moment than make small ones."""
    share_bytes = budget_bytes // max(4, uploads // 2)
    segments = max(1, min(limit, layout.segment_count))
    while segments > 1:
        size_bytes = layout.data_columns * layout.shard_size(0) * segments
        if capacity_for(size_bytes) <= share_bytes:
            break
        segments -= 1
    return segments


class Uploader:
    """Implements ``greenray.actors.ports.HotColumns`` and ``RunningUploads`` besides ``ingest``.

    One per process; it may serve several SPs, which share nothing but its threads and budgets.
    """

    def __init__(
        self,
        *,
        job_store: JobStore,
        piece_stores: Mapping[str, PieceStore],
        object_space: ObjectSpace,
        signer: SignerPort,
        waker: TaskWaker,
        owner: str,
        settings: UploaderSettings | None = None,
    ) -> None:
        """``piece_stores`` by SP operator address; ``owner`` names this process in leases."""
        self._settings = settings = settings or UploaderSettings()
        self._jobs = job_store
        self._stores = piece_stores
        self._signer = signer
        self._waker = waker
        self._owner = owner
        self._upload_numbers = count(1)
        self._active = 0
        self._trace = StageTrace()
        self._feeds: dict[tuple[int, int], UploadFeed] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._io_pool = ThreadPoolExecutor(settings.io_threads, "uploader-io")
        self._hash_pool = ThreadPoolExecutor(
            settings.hash_threads or os.cpu_count() or 2, "uploader-hash"
        )
        self._hot = HotColumnCache(
            settings.hot_budget_bytes, settings.hot_idle_s, clock=time.monotonic
        )
        self._spliced = HotColumnCache(
            settings.spliced_budget_bytes, settings.hot_idle_s, clock=time.monotonic
        )
        self._tools = IngestTools(
            LendingPool(
                settings.buffer_budget_bytes,
                settings.lending,
                what="uploads",
                least_bytes_per_s=settings.least_bytes_per_s,
                at_once_bytes=settings.buffer_budget_bytes // 2,
            ),
            self._hot,
            self._spliced,
            object_space,
            self._hash_pool,
            self._io_pool,
            settings.hot_from_bytes,
        )

    # --- uploads ---------------------------------------------------------------------------------

    async def ingest(
        self,
        sp_address: str,
        object_info: ObjectInfo,
        params: StorageParams,
        payload: Payload,
        borrower: Borrower = OURSELVES,
    ) -> JobContext:
        """Store a payload of ``borrower``; returns its job in UPLOAD_OBJECT_DONE.

        The job is created when the first bytes of ``payload`` arrive. Whatever fails afterwards is
        recorded in the job and raised, and nothing of the payload is left behind.

        Raises:
            EmptyPayload, PayloadSizeMismatch, IntegrityHashMismatch: not the declared payload.
            AlreadyUploaded: it is stored already, or another upload of it is running.
            Overloaded: there is no memory for it, or others wait for what it has.
            StoreError, ComponentUnavailable, StaleJob: it cannot be stored or recorded.
        """
        store = self._store_of(sp_address)
        begun = await _begun(payload)
        if begun is None or object_info.payload_size == 0:
            raise EmptyPayload("the payload is empty", object_info.name, "Send the payload.")
        self._active += 1
        try:
            with self._trace.cpu.working():
                return await self._ingest(store, sp_address, object_info, params, begun, borrower)
        finally:
            self._active -= 1

    async def _ingest(
        self,
        store: PieceStore,
        sp_address: str,
        object_info: ObjectInfo,
        params: StorageParams,
        payload: Payload,
        borrower: Borrower,
    ) -> JobContext:
        settings = self._settings
        # An owner of its own per upload: a lease that nobody renews any more runs out by itself.
        owner = f"{self._owner}/upload-{next(self._upload_numbers)}"
        layout = self._layout_of(object_info, params)
        memory = await self._first_memory(layout, payload, borrower)
        try:
            job = await self._jobs.begin_upload(
                sp_address,
                object_info,
                params,
                layout.batch_segments,
                owner,
                settings.lease_s,
                settings.deadline_s,
            )
        except BaseException:
            if memory is not None:
                memory.give_back()
            raise
        lease = asyncio.create_task(self._keep_lease(owner))
        feed = self._feeds[job.job_id, job.epoch] = UploadFeed()
        layout = PayloadLayout.of(job.object_info, job.params, job.batch_segments)
        batches = self._batches_before_ahead(layout, payload)
        if batches < layout.batch_count - 1:
            self._start(self._send_ahead(job, feed, batches))
        try:
            done = await self._store_and_record(store, job, payload, feed, borrower, memory)
        finally:
            lease.cancel()
            del self._feeds[job.job_id, job.epoch]
            feed.end()
        self._start(self._tell_task_node(self._waker.wake()))
        return done

    def _layout_of(self, object_info: ObjectInfo, params: StorageParams) -> PayloadLayout:
        """With the batches that its upload is made of if it begins now."""
        settings, layout = self._settings, PayloadLayout.of(object_info, params)
        segments = choose_batch_segments(
            layout, settings.batch_segments, settings.buffer_budget_bytes, self._active
        )
        return replace(layout, batch_segments=segments)

    async def _first_memory(
        self, layout: PayloadLayout, payload: Payload, borrower: Borrower
    ) -> LentBuffer | None:
        """Before the job is begun and its payload read: who gets none has left no trace."""
        if isinstance(payload, ReferencedPayload):
            return None
        return await self._tools.buffers.lend_first(batch_memory_bytes(layout, 0), borrower)

    def _batches_before_ahead(self, layout: PayloadLayout, payload: Payload) -> int:
        """A payload in the object store waits for replication to take it: it is sent at once."""
        if isinstance(payload, ReferencedPayload):
            return 0
        batch_bytes = layout.batch_segments * layout.segment_size_bytes
        return -(-self._settings.ahead_after_bytes // batch_bytes)

    async def _send_ahead(self, job: JobContext, feed: UploadFeed, batches: int) -> None:
        if batches == 0 or await feed.wait_for(batches - 1):
            await self._tell_task_node(self._waker.follow_upload(job))

    async def _store_and_record(
        self,
        store: PieceStore,
        job: JobContext,
        payload: Payload,
        feed: UploadFeed,
        borrower: Borrower,
        memory: LentBuffer | None,
    ) -> JobContext:
        """``memory``: what the payload begins with, given back here."""
        layout = PayloadLayout.of(job.object_info, job.params, job.batch_segments)
        key = ColumnKey(job.object_id, SEGMENTS)
        stages = self._trace.of(job.object_id, job.sp_address)
        writer: ColumnWriter | None = None
        ingest: PayloadIngest | None = None
        try:
            writer = await run_in(
                self._io_pool, store.create, key, layout.segments, Fence(job.epoch)
            )
            ingest = PayloadIngest(
                self._tools,
                layout,
                job.sp_address,
                job.object_id,
                writer,
                stages,
                feed.batch_stored,
                borrower,
            )
            if isinstance(payload, ReferencedPayload):
                checksums = await ingest.take(payload)
            else:
                taken, memory = memory, None
                checksums = await ingest.receive(payload, taken)
            with stages.during(Stage.SIGNED):
                return await self._record(job, writer, checksums)
        except BaseException as error:
            if memory is not None:
                memory.give_back()
            # A cancelled request still cleans up to the end.
            await asyncio.shield(self._start(self._fail(job, ingest, writer, error)))
            raise

    async def _record(
        self, job: JobContext, writer: ColumnWriter, checksums: tuple[bytes, ...]
    ) -> JobContext:
        """Store, then record in one commit. The signature leaves this process with the commit only,
        so it is made while the disk works."""
        digest = integrity_hash(checksums)
        if digest != job.object_info.checksums[0]:
            raise IntegrityHashMismatch(
                f"the payload has the integrity hash {digest.hex()}, the chain has "
                f"{job.object_info.checksums[0].hex()}",
                job.object_info.name,
                "Send the payload whose checksums are on chain, or create the object anew.",
            )
        sign_bytes = secondary_sign_bytes(job.sp_address, job.object_id, digest)
        _, signature = await both(
            run_in(self._io_pool, writer.sync),
            self._signer.sign_as_approver(job.sp_address, sign_bytes),
        )
        await run_in(self._io_pool, writer.finish)
        return await self._jobs.finish_upload(
            _update(job, UploadFinished()),
            IntegrityRecord(job.sp_address, job.object_id, SEGMENTS, checksums, digest, signature),
        )

    async def _fail(
        self,
        job: JobContext,
        ingest: PayloadIngest | None,
        writer: ColumnWriter | None,
        error: BaseException,
    ) -> None:
        """Leave nothing half-written, then say in the job what happened.

        A column that is finished already stays: its bytes are the declared payload, the commit that
        failed may have happened nevertheless, and another upload replaces it in one step.
        """
        if ingest is not None:
            await ingest.drain()
        await self.release_object(job.sp_address, job.object_id)
        if writer is not None:
            await run_in(self._io_pool, writer.abort)
        event = UploadFailed(_job_error(error))
        try:
            await self._jobs.apply(_update(job, event))
        except (StaleJob, IllegalTransition, NoSuchJob, ComponentUnavailable) as refusal:
            # Another owner has the job by now, or will when the lease has run out.
            log.warning(
                "%s: the failed upload (%s) is not recorded: %s",
                job.object_info.name,
                event.error,
                refusal,
            )

    async def _keep_lease(self, owner: str) -> None:
        """Until cancelled. A renewal that fails is made good by the next; an upload whose lease ran
        out is fenced by its epoch."""
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            try:
                await self._jobs.renew_leases(owner, self._settings.lease_s)
            except GreenrayError as error:
                log.warning("the lease of %s is not renewed: %s", owner, error)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` to its end, whatever becomes of the caller."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _tell_task_node(self, call: Awaitable[None]) -> None:
        try:
            await call
        except Exception as error:
            # Harmless: the committed row is the notification, task nodes look for it themselves.
            log.warning("the task node was not told: %s", error)

    # --- hot columns -----------------------------------------------------------------------------

    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        """See ``greenray.actors.ports.HotColumns``."""
        hot = self._hot.get(sp_address, object_id, batch_index)
        return hot or self._spliced.get(sp_address, object_id, batch_index)

    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        """See ``greenray.actors.ports.HotColumns``."""
        self._hot.release_batch(sp_address, object_id, batch_index)
        self._spliced.release_batch(sp_address, object_id, batch_index)

    async def release_object(self, sp_address: str, object_id: int) -> None:
        """See ``greenray.actors.ports.HotColumns``."""
        self._hot.release(sp_address, object_id)
        self._spliced.release(sp_address, object_id)

    # --- running uploads -------------------------------------------------------------------------

    async def wait_for_batch(self, job: JobContext, batch_index: int) -> bool:
        """See ``greenray.actors.ports.RunningUploads``."""
        feed = self._feeds.get((job.job_id, job.epoch))
        return feed is not None and await feed.wait_for(batch_index)

    async def wait_for_end(self, job: JobContext) -> None:
        """See ``greenray.actors.ports.RunningUploads``."""
        feed = self._feeds.get((job.job_id, job.epoch))
        if feed is not None:
            await feed.wait_for_end()

    # --- trace -----------------------------------------------------------------------------------

    async def trace_of(self, object_id: int) -> TracePart:
        """See ``greenray.timeline.stage_trace.TraceSource``."""
        return self._trace.part(object_id)

    # --- housekeeping ----------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Remove unfinished columns of uploads that no process continues; returns how many."""
        removed = 0
        for sp_address, store in self._stores.items():
            for key, fence in await run_in(self._io_pool, _list_unfinished, store):
                if key.redundancy_index != SEGMENTS:
                    continue
                job = await self._jobs.get_job(sp_address, key.object_id)
                running = job is not None and job.state is JobState.UPLOAD_OBJECT_DOING
                if job is None or not running or job.epoch != fence:
                    await run_in(self._io_pool, store.delete_unfinished, key, fence)
                    removed += 1
        return removed

    async def close(self) -> None:
        """Wait for clean-ups and wake-up calls, stop the threads. Uploads must have ended."""
        if self._background:
            await asyncio.wait(set(self._background))
        self._io_pool.shutdown()
        self._hash_pool.shutdown()

    def _store_of(self, sp_address: str) -> PieceStore:
        try:
            return self._stores[sp_address]
        except KeyError:
            raise ComponentUnavailable(
                "this uploader does not serve the storage provider", sp_address
            ) from None


def _list_unfinished(store: PieceStore) -> list[tuple[ColumnKey, Fence]]:
    return list(store.list_unfinished())


async def _begun(payload: Payload) -> Payload | None:
    """The payload once its first bytes are there; None when there are none."""
    if isinstance(payload, ReferencedPayload):
        return payload if await payload.fetch(1) else None
    view = memoryview(bytearray(_FIRST_BYTES))
    first = view[: await payload.read_into(view)]
    return _Begun(first, payload) if first else None


class _Begun:
    """A payload whose first bytes were taken already."""

    def __init__(self, first: Buffer, rest: PayloadSource) -> None:
        self._first = first
        self._rest = rest

    @property
    def moved_bytes(self) -> int:
        return self._rest.moved_bytes

    async def read_into(self, view: Buffer) -> int:
        if not self._first:
            return await self._rest.read_into(view)
        count = min(len(view), len(self._first))
        view[:count] = self._first[:count]
        self._first = self._first[count:]
        return count


def _update(job: JobContext, event: JobEvent) -> JobUpdate:
    return JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event)


def _job_error(error: BaseException) -> JobError:
    if isinstance(error, GreenrayError):
        return JobError.of(error)
    if isinstance(error, asyncio.CancelledError):
        return JobError.of(PayloadInterrupted("the upload was cancelled"))
    return JobError(GreenrayError.reason, f"the upload ended with {type(error).__name__}", True)
