"""A journal made again from the chain and the stored pieces, while no network runs.

Only what is proved is written: the checksums of a column's pieces make its integrity hash, which
the chain has.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from greenray.chain import crypto
from greenray.chain.dialect import Dialect
from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.ports import ChainClient
from greenray.chain.rpc.client import RpcChainClient
from greenray.cluster.config.node_config import rpc_settings, upload_deadline_s
from greenray.cluster.config.settings import Settings
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.local_chain.process import ChainOptions, ChainProcess
from greenray.cluster.processes import ProcessRecord
from greenray.coding.hashing import TOGETHER, hash_messages
from greenray.protocol.errors import (
    InvalidInput,
    JournalDamaged,
    NoSuchObject,
    NoSuchPiece,
    SecondaryLied,
    StoreError,
)
from greenray.protocol.integrity import (
    UnverifiedReceipt,
    expected_integrity_hash,
    integrity_hash,
)
from greenray.protocol.job import JobContext, SecondaryReceipt
from greenray.protocol.known_chain import KnownChain
from greenray.protocol.layout import SEGMENTS, ColumnLayout, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageParams, StorageProvider
from greenray.protocol.rebuilding import FoundColumn, no_record_for, rebuilt_job
from greenray.storage.journal_file import (
    JournalSummary,
    check_journal,
    restore,
    write_journal,
)
from greenray.storage.ports import ColumnKey, IntegrityRecord, PieceStore

OnStep = Callable[[str], None]

_TOLD_EVERY = 100
"""Columns."""


@dataclass(frozen=True, slots=True)
class NotRebuilt:
    """A column that is there, and of which the new journal knows nothing."""

    column: FoundColumn
    reason: str

    def __str__(self) -> str:
        column = self.column
        return (
            f"object {column.object_id}, redundancy index {column.redundancy_index} at "
            f"{column.sp_address}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a new journal holds, and what it does not."""

    jobs: tuple[JobContext, ...]
    records: tuple[IntegrityRecord, ...]
    not_rebuilt: tuple[NotRebuilt, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "not_rebuilt": [
                {**asdict(each.column), "reason": each.reason} for each in self.not_rebuilt
            ]
        }


class JournalRebuild:
    """Goes through the stores of all SPs whose keys are there."""

    def __init__(
        self,
        chain: ChainClient,
        stores: Mapping[str, PieceStore],
        keys: KeyRing,
        dialect: Dialect,
        params: StorageParams,
        providers: Mapping[str, StorageProvider],
        batch_segments: int,
        deadline_s: float,
        on_step: OnStep,
    ) -> None:
        """``stores`` and ``providers``: by operator address. ``params``: by which pieces are read;
        the chain's of now. ``deadline_s``: from now on, of jobs that have not ended."""
        self._chain = chain
        self._stores = stores
        self._keys = keys
        self._dialect = dialect
        self._params = params
        self._providers = providers
        self._batch_segments = batch_segments
        self._deadline_s = deadline_s
        self._on_step = on_step
        self._infos: dict[int, tuple[ObjectInfo, str] | None] = {}
        self._at_once = asyncio.Semaphore(os.cpu_count() or 2)
        self._looked_at = 0

    async def run(self) -> Rebuilt:
        """Raises ChainError, StoreError, KeyMissing: nothing was written."""
        columns = await asyncio.to_thread(self._columns)
        self._on_step(f"{len(columns)} columns of {len(self._stores)} storage providers are there")
        outcomes = await asyncio.gather(*(self._look_at(c, len(columns)) for c in columns))
        records = tuple(found for found in outcomes if isinstance(found, IntegrityRecord))
        refused = tuple(found for found in outcomes if isinstance(found, NotRebuilt))
        return Rebuilt(self._jobs(records), records, refused)

    def _columns(self) -> list[FoundColumn]:
        return [
            FoundColumn(sp_address, key.object_id, key.redundancy_index)
            for sp_address, store in self._stores.items()
            for key in store.list_columns()
        ]

    async def _look_at(self, column: FoundColumn, count: int) -> IntegrityRecord | NotRebuilt:
        async with self._at_once:
            known = await self._on_chain(column.object_id)
            info, primary = known or (None, "")
            reason = no_record_for(column, info, primary)
            if reason is None and info is not None:
                outcome = await asyncio.to_thread(self._proved, column, info)
            else:
                outcome = NotRebuilt(column, reason or "")
        self._looked_at += 1
        if self._looked_at % _TOLD_EVERY == 0:
            self._on_step(f"{self._looked_at} of {count} columns are read")
        return outcome

    async def _on_chain(self, object_id: int) -> tuple[ObjectInfo, str] | None:
        """The object and its bucket's primary. What several columns need is asked for once, or a
        few times at once."""
        if object_id not in self._infos:
            try:
                info = await self._chain.head_object_by_id(object_id)
                bucket = await self._chain.head_bucket(info.bucket_name)
                self._infos[object_id] = info, bucket.primary_sp_address
            except NoSuchObject:
                self._infos[object_id] = None
        return self._infos[object_id]

    def _proved(self, column: FoundColumn, info: ObjectInfo) -> IntegrityRecord | NotRebuilt:
        sp_address, index = column.sp_address, column.redundancy_index
        try:
            layout = PayloadLayout.of(info, self._params).column(index)
            key = ColumnKey(info.id, index)
            checksums = piece_checksums(self._stores[sp_address], key, layout)
        except (NoSuchPiece, StoreError) as error:
            return NotRebuilt(column, f"it cannot be read: {error.what}")
        digest = integrity_hash(checksums)
        if digest != expected_integrity_hash(info, index):
            return NotRebuilt(column, "its bytes are not those of the object on chain")
        sign_bytes = self._dialect.secondaries.receipt_sign_bytes(sp_address, info.id, digest)
        signature = crypto.sign_bytes(self._keys.approval_key(sp_address), sign_bytes)
        return IntegrityRecord(sp_address, info.id, index, checksums, digest, signature)

    def _jobs(self, records: Sequence[IntegrityRecord]) -> tuple[JobContext, ...]:
        """Of objects whose segments are proved, oldest first. Receipts are those of secondaries
        whose pieces are proved here; others' signatures are lost."""
        receipts: dict[int, list[SecondaryReceipt]] = {}
        for record in records:
            receipt = self._receipt(record)
            if receipt is not None:
                receipts.setdefault(record.object_id, []).append(receipt)
        now = time.time()
        jobs = []
        for record in records:
            known = self._infos[record.object_id]
            if record.redundancy_index == SEGMENTS and known is not None:
                made = sorted(receipts.get(record.object_id, ()), key=lambda r: r.redundancy_index)
                jobs.append(
                    rebuilt_job(
                        record.sp_address,
                        known[0],
                        self._params,
                        self._batch_segments,
                        tuple(made),
                        now,
                        self._deadline_s,
                    )
                )
        return tuple(sorted(jobs, key=lambda job: (job.created_at, job.object_id)))

    def _receipt(self, record: IntegrityRecord) -> SecondaryReceipt | None:
        """None of segments, and where the key that signed is not the chain's any more."""
        known, provider = self._infos[record.object_id], self._providers.get(record.sp_address)
        if record.redundancy_index == SEGMENTS or known is None or provider is None:
            return None
        made = UnverifiedReceipt(
            record.redundancy_index, record.sp_address, record.integrity_hash, record.signature
        )
        try:
            return self._dialect.secondaries.verify_receipt(made, known[0], provider)
        except SecondaryLied as error:
            self._on_step(f"{known[0].name}: {error}")
            return None


def piece_checksums(store: PieceStore, key: ColumnKey, layout: ColumnLayout) -> tuple[bytes, ...]:
    """Of a finished column's pieces, read now. Raises NoSuchPiece, StoreError."""
    memory = memoryview(mmap.mmap(-1, max(1, TOGETHER * layout.piece_size_bytes)))
    checksums: list[bytes] = []
    for first in range(0, layout.piece_count, TOGETHER):
        some = range(first, min(first + TOGETHER, layout.piece_count))
        lengths = [layout.piece_length(index) for index in some]
        views = [
            memory[position * layout.piece_size_bytes :][:length]
            for position, length in enumerate(lengths)
        ]
        store.read_into(key, layout, layout.piece_offset(first), views)
        checksums += hash_messages([[view] for view in views])
    return tuple(checksums)


def rebuild_into(
    settings: Settings,
    journal: Path,
    aside: Path,
    on_step: OnStep,
    *,
    accept_rollback: bool = False,
) -> tuple[Rebuilt, JournalSummary]:
    """``rebuild_journal``, and put it to ``journal``; a damaged one there goes to ``aside``.

    Raises also InvalidInput: an intact journal, or another file, is there.
    """
    state = StateDir(settings.state_dir)
    _check_place(journal, state)
    part = journal.with_name(f"{journal.name}.rebuilt")
    part.unlink(missing_ok=True)
    ProcessRecord(
        state.root / "processes.json"
    ).end_all()  # a crash may have left the chain running
    try:
        rebuilt = asyncio.run(
            rebuild_journal(settings, part, on_step, accept_rollback=accept_rollback)
        )
        return rebuilt, restore(part, journal, aside)
    finally:
        part.unlink(missing_ok=True)


def _check_place(journal: Path, state: StateDir) -> None:
    if not journal.exists():
        return
    if journal != state.job_store_file:
        raise InvalidInput(
            "is there already, and is not overwritten", str(journal), "Name another file"
        )
    try:
        check_journal(journal)
    except JournalDamaged:
        return
    raise InvalidInput(
        "the journal is intact, and knows more than a rebuilt one would",
        str(journal),
        "Move it away, or name a new file for the rebuilt one",
    )


async def rebuild_journal(
    settings: Settings, journal: Path, on_step: OnStep, *, accept_rollback: bool
) -> Rebuilt:
    """Write what can be proved to ``journal``, a new file. The caller has locked the state
    directory; the embedded chain is started for it if the settings name no other.
    ``accept_rollback``: the chain may have gone back, or lag, behind what was seen of it.

    Raises: AnotherChain (than the state directory's), ChainRolledBack, ChainLags, ChainError,
    KeyMissing, StoreError.
    """
    state = StateDir(settings.state_dir)
    location = settings.pieces.location(state.pieces, settings.durable)
    dialect = get_dialect(settings.chain.dialect)
    history = KnownChain() if accept_rollback else state.known_chain()
    async with opened_chain(settings, state, history) as (chain, keys):
        state.compare_chain(await chain.chain_id(), await chain.first_block_hash())
        await chain.known_chain()  # which is as the state directory remembers it
        stores = {}
        for sp_address in keys.sp_addresses:
            try:
                stores[sp_address] = location.open_existing(sp_address)
            except NoSuchPiece:
                on_step(f"storage provider {sp_address} has no pieces at {location.url}")
        rebuild = JournalRebuild(
            chain,
            stores,
            keys,
            dialect,
            await chain.storage_params(),
            {provider.operator_address: provider for provider in await chain.storage_providers()},
            settings.batch_segments,
            upload_deadline_s(settings),
            on_step,
        )
        rebuilt = await rebuild.run()
    await asyncio.to_thread(write_journal, journal, rebuilt.jobs, rebuilt.records)
    return rebuilt


@asynccontextmanager
async def opened_chain(
    settings: Settings, state: StateDir, history: KnownChain
) -> AsyncGenerator[tuple[RpcChainClient, KeyRing]]:
    """The chain that the settings name, or the embedded one, started on a free port, held to
    ``history``; and the keys of the hosted SPs. Raises ChainUnavailable, KeyMissing,
    KeystoreError."""
    section = settings.chain
    process: ChainProcess | None = None
    keys = section.keys if section.endpoint is not None else state.keys_file
    ring = KeyRing.open(keys, os.environ)
    endpoint = section.endpoint
    if endpoint is None:
        process = await ChainProcess.start(
            ChainOptions(
                home=state.chain_home,
                genesis=state.genesis_file,
                port=0,
                block_interval_s=section.block_interval_s,
                dialect=section.dialect,
                log_file=state.log_dir / "chain.log",
            )
        )
        endpoint = process.endpoint
    rpc = rpc_settings(settings)
    chain = RpcChainClient(
        endpoint,
        get_dialect(section.dialect),
        rpc.timeout_s,
        rpc.max_answer_bytes,
        rpc.follow,
        history,
    )
    try:
        yield chain, ring
    finally:
        await chain.close()
        if process is not None:
            await process.stop()
