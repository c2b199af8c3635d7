"""Receiver: takes replicate groups from primaries, for every SP hosted in this process.

SPs share nothing but the process: every call names the SP it is meant for, every row is keyed by
its operator address, and every SP has a piece store of its own. Hashing and disk work run in a
thread pool, so the event loop stays free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from mmap import PAGESIZE
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from greenray.actors.chain_view.object_finder import ObjectFinder
from greenray.actors.ports import (
    BorrowedColumn,
    Column,
    ColumnRuns,
    GroupOrder,
    HeldPiece,
    SignerPort,
)
from greenray.actors.receiver.column_intake import (
    IncomingColumn,
    piece_checksums,
    store_batch,
    store_whole,
)
from greenray.actors.receiver.open_group import (
    OpenGroup,
    check_batch,
    check_same_batches,
    is_of_another,
    not_open,
    where,
)
from greenray.actors.receiver.settings import ReceiverSettings
from greenray.actors.traffic import Traffic
from greenray.chain.crypto import recover_signer
from greenray.chain.dialect import Dialect
from greenray.chain.ports import ChainClient
from greenray.coding.buffers import address_of
from greenray.protocol.approvals import Approval, check_approval
from greenray.protocol.errors import (
    ComponentUnavailable,
    GroupNotOpen,
    IntegrityHashMismatch,
    InvalidInput,
    JournalError,
    NoSuchPiece,
    PayloadSizeMismatch,
    StaleJob,
    StoreError,
)
from greenray.protocol.integrity import UnverifiedReceipt, expected_integrity_hash
from greenray.protocol.layout import SEGMENTS, ColumnLayout, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.protocol.receiving import check_group, check_received, check_repaired_group
from greenray.storage.ports import (
    ColumnKey,
    Fence,
    GroupKey,
    GroupRow,
    IntegrityRecord,
    JobStore,
    PieceStore,
)
from greenray.timeline.stage_trace import ObjectStages, Stage, StageTrace, TracePart

T = TypeVar("T")


class Receiver:
    """Implements ``greenray.actors.ports.ReceiverPort`` over ports.

    Orderings (design §5): store, then record, then sign, then announce. What is acknowledged
    survives a kill; everything else is dropped when the group is opened again.

    A replica group is kept under its redundancy index like any other, so that two groups, or a
    group and an upload of the same object, never share a column.
    """

    def __init__(
        self,
        *,
        chain: ChainClient,
        job_store: JobStore,
        piece_stores: Mapping[str, PieceStore],
        signer: SignerPort,
        dialect: Dialect,
        clock: Callable[[], float],
        uploads: Traffic | None = None,
        settings: ReceiverSettings | None = None,
    ) -> None:
        """``piece_stores``: by operator address, one per hosted SP. ``clock``: unix seconds.
        ``uploads``: told of every batch that is stored."""
        self._uploads = uploads or Traffic()
        self._settings = settings or ReceiverSettings()
        self._chain = chain
        self._finder = ObjectFinder(chain, self._settings.patience)
        self._jobs = job_store
        self._stores = piece_stores
        self._signer = signer
        self._dialect = dialect
        self._clock = clock
        self._pool = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="receiver")
        self._groups: dict[GroupKey, OpenGroup] = {}
        self._locks: WeakValueDictionary[GroupKey, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[Any]] = set()
        self._trace = StageTrace()
        self._last_wire_fence = Fence(0)

    # --- the port --------------------------------------------------------------------------------

    async def order_for(
        self, sp_address: str, approval: Approval, redundancy_index: int
    ) -> GroupOrder:
        """See ``ReceiverPort.order_for``."""
        self._store_of(sp_address)
        # Before anything is waited for, or asked of the chain, for who has no approval.
        check_approval(
            approval,
            own_address=sp_address,
            object_info=approval.object_info,
            now_s=int(self._clock()),
            recover=recover_signer,
        )
        params = await self._chain.storage_params()
        layout = PayloadLayout.of(approval.object_info, params).pieces
        pieces = self._settings.wire_batch_bytes // max(1, layout.piece_size_bytes)
        batch_segments = max(1, min(pieces, layout.piece_count))
        fence = self._next_wire_fence()
        return GroupOrder(
            approval.object_info, params, redundancy_index, batch_segments, fence, approval
        )

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        """See ``ReceiverPort.open``."""
        return await self._uncancelled(self._open(sp_address, order))

    async def write_batch(
        self,
        sp_address: str,
        key: GroupKey,
        batch_index: int,
        column: Column | ColumnRuns | BorrowedColumn,
    ) -> None:
        """See ``ReceiverPort.write_batch``. ``column``: flat uint8, exactly the batch's pieces."""
        self._check_key(sp_address, key)
        incoming = IncomingColumn.of(column)
        self._uploads.flows()
        await self._uncancelled(self._write_batch(key, batch_index, incoming))

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        """See ``ReceiverPort.finish``."""
        self._check_key(sp_address, key)
        return await self._uncancelled(self._finish(key))

    async def hold_group(
        self, sp_address: str, order: GroupOrder, column: Column
    ) -> UnverifiedReceipt:
        """See ``ReceiverPort.hold_group``. ``column``: flat uint8, all pieces of the group."""
        self._uploads.flows()
        return await self._uncancelled(
            self._hold_group(sp_address, order, IncomingColumn.of(column))
        )

    async def begin_repair(
        self,
        sp_address: str,
        object_id: int,
        redundancy_index: int,
        params: StorageParams,
        batch_segments: int,
    ) -> GroupKey:
        """See ``ReceiverPort.begin_repair``."""
        store = self._store_of(sp_address)
        info = await self._chain.head_object_by_id(object_id)
        check_repaired_group(
            redundancy_index, object_info=info, params=params, own_address=sp_address
        )
        key = GroupKey(sp_address, object_id, redundancy_index, self._next_wire_fence())
        row = GroupRow(key, info, params, batch_segments, 0, (), self._clock())
        await self._uncancelled(self._open_row(store, row))
        return key

    async def abort(self, sp_address: str, key: GroupKey) -> None:
        """See ``ReceiverPort.abort``."""
        self._check_key(sp_address, key)
        await self._uncancelled(self._abort(key))

    async def read_piece(
        self, sp_address: str, key: ColumnKey, layout: ColumnLayout, piece_index: int
    ) -> HeldPiece:
        """See ``ReceiverPort.read_piece``."""
        store = self._store_of(sp_address)
        record = await self._jobs.get_integrity(sp_address, key.object_id, key.redundancy_index)
        if record is None:
            raise NoSuchPiece(
                "no checksums are recorded of the group",
                f"object {key.object_id}, redundancy index {key.redundancy_index} at {sp_address}",
            )
        piece = _at_a_page(layout.piece_length(piece_index))
        offset = layout.piece_offset(piece_index)
        await self._in_pool(store.read_into, key, layout, offset, [piece.data])
        return HeldPiece(piece, record.piece_checksums)

    async def trace_of(self, object_id: int) -> TracePart:
        """See ``greenray.timeline.stage_trace.TraceSource``."""
        return self._trace.part(object_id)

    async def sweep(self, idle_for_s: float) -> int:
        """Remove what no primary will come back for: groups idle for ``idle_for_s`` seconds,
        groups whose fence a higher one supersedes, and unfinished columns that no group owns.

        Returns how many groups and columns were removed. Raises StoreError.
        """
        removed = 0
        for sp_address, store in self._stores.items():
            removed += await self._sweep_groups(sp_address, idle_for_s)
            removed += await self._sweep_columns(sp_address, store)
        return removed

    async def close(self) -> None:
        """Wait for running calls, leave unfinished groups to be continued, stop the threads."""
        if self._running:
            await asyncio.wait(set(self._running))
        for key in list(self._groups):
            await self._set_aside(key)
        self._pool.shutdown()

    # --- opening ---------------------------------------------------------------------------------

    async def _open(self, sp_address: str, order: GroupOrder) -> int:
        store = self._store_of(sp_address)
        key = order.key_at(sp_address)
        object_info = await self._check_order(sp_address, order)
        layout = PayloadLayout.of(object_info, order.params, order.batch_segments).pieces
        async with self._lock(key):
            group = self._groups.get(key)
            if group is not None and is_of_another(group.row, object_info):
                await self._forget(key)
                group = None
            if group is None:
                if await self._is_held(store, key, object_info):
                    return layout.batch_count
                fresh = GroupRow(
                    key, object_info, order.params, order.batch_segments, 0, (), self._clock()
                )
                row = await self._jobs.open_group(fresh)
                if is_of_another(row, object_info):
                    await self._forget(key)
                    row = await self._jobs.open_group(fresh)
                check_same_batches(row, order)
                group = await self._continue(store, row, layout)
                await self._make_room()
                self._groups[key] = group
            check_same_batches(group.row, order)
            return group.row.batches_acknowledged

    async def _open_row(self, store: PieceStore, row: GroupRow) -> None:
        """Of a group that nobody knows yet."""
        layout = PayloadLayout.of(row.object_info, row.params, row.batch_segments).pieces
        async with self._lock(row.key):
            opened = await self._jobs.open_group(row)
            group = await self._continue(store, opened, layout)
            await self._make_room()
            self._groups[row.key] = group

    async def _check_order(self, sp_address: str, order: GroupOrder) -> ObjectInfo:
        """The check ladder against what the chain says; returns the chain's object."""
        object_info = await self._finder.find(order.object_info.id)
        check_group(
            order.approval,
            order.redundancy_index,
            object_info=object_info,
            params=order.params,
            own_address=sp_address,
            now_s=int(self._clock()),
            recover=recover_signer,
        )
        return object_info

    async def _is_held(self, store: PieceStore, key: GroupKey, object_info: ObjectInfo) -> bool:
        """Whether this group was finished before, under whatever fence, and is still there."""
        record = await self._jobs.get_integrity(key.sp_address, key.object_id, key.redundancy_index)
        expected = expected_integrity_hash(object_info, key.redundancy_index)
        if record is None or record.integrity_hash != expected:
            return False
        return await self._in_pool(store.exists, _column_key(key))

    async def _continue(self, store: PieceStore, row: GroupRow, layout: ColumnLayout) -> OpenGroup:
        """The row's column, cut to what was acknowledged; a new one when those bytes are gone."""
        key, column = row.key, _column_key(row.key)
        if row.batches_acknowledged:
            size_bytes = layout.prefix_size_bytes(row.batches_acknowledged)
            try:
                writer = await self._in_pool(store.resume, column, layout, size_bytes, key.fence)
                return OpenGroup(row, layout, writer)
            except NoSuchPiece:
                complete = row.batches_acknowledged == layout.batch_count
                if complete and await self._in_pool(store.exists, column):
                    # Killed between finishing the column and recording it. Only bytes that match
                    # the chain's checksum are ever finished, so the column is this group's.
                    return OpenGroup(row, layout, None)
            await self._jobs.drop_group(key)
            row = await self._jobs.open_group(
                replace(row, batches_acknowledged=0, piece_checksums=())
            )
        writer = await self._in_pool(store.create, column, layout, key.fence)
        return OpenGroup(row, layout, writer)

    async def _make_room(self) -> None:
        """Set the longest unused group aside when too many are open."""
        if len(self._groups) < self._settings.max_open_groups:
            return
        for key in list(self._groups):
            lock = self._lock(key)
            if not lock.locked():
                async with lock:
                    await self._set_aside(key)
                return
        raise ComponentUnavailable(
            f"{len(self._groups)} groups are being written at this moment",
            "receiver",
            "Try again, or raise receiver.max_open_groups",
        )

    # --- writing ---------------------------------------------------------------------------------

    async def _write_batch(self, key: GroupKey, batch_index: int, column: IncomingColumn) -> None:
        async with self._lock(key):
            group = self._groups.pop(key, None)
            if group is None or group.writer is None:
                raise not_open(key)
            self._groups[key] = group  # now the most recently used one
            check_batch(group, batch_index, column)
            if batch_index < group.row.batches_acknowledged:
                await self._check_same_bytes(group, batch_index, column)
                return
            stages = self._stages(key)
            try:
                with stages.during(Stage.STORED, batch_index, column.size_bytes):
                    checksums = await store_batch(
                        self._pool, group.writer, group.layout, batch_index, column, stages
                    )
                    group.row = await self._jobs.acknowledge_batch(key, batch_index, checksums)
            except JournalError:
                await self._set_aside(key)  # what was acknowledged is there, and stays
                raise
            except (StoreError, GroupNotOpen):
                await self._forget(key)
                raise
            except StaleJob as error:
                await self._set_aside(key)
                raise not_open(key) from error  # somebody else has written to the group
            except BaseException:
                # The column may be ahead of its row; opening the group again cuts it back.
                await self._set_aside(key)
                raise

    async def _check_same_bytes(
        self, group: OpenGroup, batch_index: int, column: IncomingColumn
    ) -> None:
        pieces = group.layout.batch_range(batch_index)
        checksums = await piece_checksums(self._pool, group.layout, column)
        if checksums != group.row.piece_checksums[pieces.start : pieces.stop]:
            raise InvalidInput(
                f"batch {batch_index} was acknowledged with other bytes", where(group.row.key)
            )

    # --- finishing -------------------------------------------------------------------------------

    async def _finish(self, key: GroupKey) -> UnverifiedReceipt:
        async with self._lock(key):
            group = self._groups.get(key)
            if group is None:
                record = await self._jobs.get_integrity(
                    key.sp_address, key.object_id, key.redundancy_index
                )
                if record is None:
                    raise not_open(key)
                # Signed anew: the approval key may be another one by now.
                return await self._vouch(key, record.piece_checksums, record.integrity_hash)
            digest = await self._checked_integrity_hash(group)
            with self._stages(key).during(Stage.SIGNED):
                return await self._finish_and_sign(group, digest)

    async def _finish_and_sign(self, group: OpenGroup, digest: bytes) -> UnverifiedReceipt:
        key = group.row.key
        if group.writer is not None:
            try:
                await self._in_pool(group.writer.finish)
            except StoreError:
                await self._forget(key)
                raise
            except BaseException:
                # What was acknowledged stays, finished or not: ``open`` finds out which.
                await self._set_aside(key)
                raise
            group.writer = None
        receipt = await self._vouch(key, group.row.piece_checksums, digest)
        del self._groups[key]
        return receipt

    async def _vouch(
        self, key: GroupKey, piece_checksums: tuple[bytes, ...], digest: bytes
    ) -> UnverifiedReceipt:
        """Sign for a column that is finished, and record it."""
        sign_bytes = self._dialect.secondaries.receipt_sign_bytes(
            key.sp_address, key.object_id, digest
        )
        record = IntegrityRecord(
            key.sp_address,
            key.object_id,
            key.redundancy_index,
            piece_checksums,
            digest,
            await self._signer.sign_as_approver(key.sp_address, sign_bytes),
        )
        await self._jobs.finish_group(key, record)
        return _receipt(record)

    async def _checked_integrity_hash(self, group: OpenGroup) -> bytes:
        """The group's integrity hash if it is the chain's; else the group is forgotten."""
        key, row = group.row.key, group.row
        if row.batches_acknowledged < group.layout.batch_count:
            raise InvalidInput(
                f"only {row.batches_acknowledged} of {group.layout.batch_count} batches are there",
                where(key),
            )
        try:
            return check_received(
                row.piece_checksums,
                key.redundancy_index,
                object_info=row.object_info,
                params=row.params,
            )
        except IntegrityHashMismatch:
            await self._forget(key)
            raise

    # --- a whole group ---------------------------------------------------------------------------

    async def _hold_group(
        self, sp_address: str, order: GroupOrder, column: IncomingColumn
    ) -> UnverifiedReceipt:
        """No row says that the group is open: before it is finished nothing is acknowledged, and
        what a crash leaves of it is a column without an owner, which is swept. Nobody asks whether
        it was finished before either: the same bytes once more cost less than the question."""
        store = self._store_of(sp_address)
        key = order.key_at(sp_address)
        object_info = await self._check_order(sp_address, order)
        layout = PayloadLayout.of(object_info, order.params, order.batch_segments).pieces
        if column.size_bytes != layout.size_bytes or layout.batch_count != 1:
            raise PayloadSizeMismatch(
                f"the group has {layout.size_bytes} bytes in {layout.batch_count} batches, "
                f"{column.size_bytes} came at once",
                where(key),
            )
        async with self._lock(key):
            await self._set_aside(key)
            stages = self._stages(key)
            with stages.during(Stage.STORED, 0, column.size_bytes):
                with stages.during(Stage.HASHED, 0, column.size_bytes):
                    checksums = await piece_checksums(self._pool, layout, column)
                digest = check_received(
                    checksums, key.redundancy_index, object_info=object_info, params=order.params
                )
                name = _column_key(key)
                write = stages.timed(Stage.WRITTEN, 0, column.size_bytes, store_whole)
                await self._in_pool(write, store, name, layout, key.fence, column)
            with stages.during(Stage.SIGNED):
                return await self._vouch(key, checksums, digest)

    # --- giving up -------------------------------------------------------------------------------

    async def _abort(self, key: GroupKey) -> None:
        async with self._lock(key):
            await self._forget(key)

    async def _forget(self, key: GroupKey) -> None:
        """Remove the unfinished group, bytes first: a row without bytes is swept, too."""
        group = self._groups.pop(key, None)
        if group is not None and group.writer is not None:
            await self._in_pool(group.writer.abort)
        store = self._store_of(key.sp_address)
        await self._in_pool(store.delete_unfinished, _column_key(key), key.fence)
        await self._jobs.drop_group(key)

    async def _set_aside(self, key: GroupKey) -> None:
        """Close the column and keep it on disk, to be continued by the next ``open``."""
        group = self._groups.pop(key, None)
        if group is not None and group.writer is not None:
            await self._in_pool(group.writer.close)

    async def _sweep_groups(self, sp_address: str, idle_for_s: float) -> int:
        idle = {row.key for row in await self._jobs.list_groups(sp_address, idle_for_s=idle_for_s)}
        keys = [row.key for row in await self._jobs.list_groups(sp_address)]
        newest: dict[ColumnKey, int] = {}
        for key in keys:
            column = _column_key(key)
            newest[column] = max(key.fence, newest.get(column, key.fence))
        stale = [k for k in keys if k in idle or k.fence < newest[_column_key(k)]]
        stale = [k for k in stale if not self._lock(k).locked()]
        for key in stale:
            await self._abort(key)
        return len(stale)

    async def _sweep_columns(self, sp_address: str, store: PieceStore) -> int:
        # Columns first: a group has its row before its column, so a column without a row in the
        # later list has no owner.
        columns = await self._in_pool(lambda: list(store.list_unfinished()))
        owned = {row.key for row in await self._jobs.list_groups(sp_address)}
        removed = 0
        for column, fence in columns:
            key = GroupKey(sp_address, column.object_id, column.redundancy_index, fence)
            if column.redundancy_index == SEGMENTS or key in owned:
                continue
            async with self._lock(key):
                if key not in self._groups:
                    await self._in_pool(store.delete_unfinished, column, fence)
                    removed += 1
                elif not await self._has_row(key):
                    # A group of a higher fence was finished, and took the row of this one along.
                    await self._forget(key)
                    removed += 1
        return removed

    async def _has_row(self, key: GroupKey) -> bool:
        return any(row.key == key for row in await self._jobs.list_groups(key.sp_address))

    # --- plumbing --------------------------------------------------------------------------------

    def _store_of(self, sp_address: str) -> PieceStore:
        store = self._stores.get(sp_address)
        if store is None:
            raise ComponentUnavailable("no receiver of this storage provider here", sp_address)
        return store

    def _check_key(self, sp_address: str, key: GroupKey) -> None:
        self._store_of(sp_address)
        if key.sp_address != sp_address:
            raise InvalidInput(f"the group belongs to {key.sp_address}", sp_address)

    def _stages(self, key: GroupKey) -> ObjectStages:
        return self._trace.of(key.object_id, key.sp_address, key.redundancy_index)

    def _lock(self, key: GroupKey) -> asyncio.Lock:
        """One call per group at a time. The lock lives as long as somebody uses it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    def _next_wire_fence(self) -> Fence:
        """Higher than every one before it, here and before a restart (microseconds)."""
        at_us = int(self._clock() * 1e6)
        self._last_wire_fence = Fence(max(self._last_wire_fence + 1, at_us))
        return self._last_wire_fence

    async def _in_pool(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _uncancelled(self, call: Coroutine[Any, Any, T]) -> T:
        """Run to the end even when the caller goes away: a thread cannot be stopped half-way."""
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


# --- small pure parts ----------------------------------------------------------------------------


def _at_a_page(size_bytes: int) -> Column:
    """Memory that is read into past the page cache without a copy. NumPy asks for huge pages, which
    are several times cheaper than those of an anonymous map."""
    memory = np.empty(size_bytes + PAGESIZE, np.uint8)
    start = -address_of(memory) % PAGESIZE
    return memory[start : start + size_bytes]


def _column_key(key: GroupKey) -> ColumnKey:
    return ColumnKey(key.object_id, key.redundancy_index)


def _receipt(record: IntegrityRecord) -> UnverifiedReceipt:
    return UnverifiedReceipt(
        record.redundancy_index, record.sp_address, record.integrity_hash, record.signature
    )
