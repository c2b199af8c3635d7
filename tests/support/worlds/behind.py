"""Looks behind the API when a world has ended: the chain, the journal, every piece on disk."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from greenray.api.inspection import Inspector, SealTransaction
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.rpc.json_rpc import JsonRpc
from greenray.coding.codec import get_codec
from greenray.coding.segments import encode_segment
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.job_table import TRANSITIONS
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo, ObjectStatus, StorageProvider
from greenray.storage.ports import ColumnKey, TransactionState
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.worlds.clients import UsersObject
from tests.support.worlds.network import World

_SEALS = "message.action='/greenfield.storage.MsgSealObject'"
_TIMEOUT_S = 10.0


class Behind(AsyncExitStack):
    """Of a world that has stopped; its chain still answers."""

    def __init__(self, world: World, objects: Sequence[UsersObject]) -> None:
        super().__init__()
        self._world = world
        self._objects = {f"{each.bucket}/{each.name}": each for each in objects}
        config = world.config
        self._chain = RpcChainClient(world.chain.endpoint, get_dialect())
        self._rpc = JsonRpc(world.chain.endpoint, _TIMEOUT_S)
        self._inspector = Inspector(
            self._chain, self._rpc, get_dialect(), config.state, config.pieces
        )
        self._jobs = SqliteJobStore.open(config.state.job_store_file)
        self._stores = config.pieces.open(config.hosted)
        self._infos: dict[int, ObjectInfo] = {}
        """Of the objects on chain that clients wanted to store, by id."""
        self.outcomes: Counter[str] = Counter()
        """How many objects, transactions and columns there are, by what has become of them."""
        for close in (self._chain.close, self._rpc.close, self._jobs.close):
            self.push_async_callback(close)

    async def findings(self) -> list[str]:
        """The promises that are broken."""
        await self._jobs.release_all()  # as at the next start
        seals = await self._seals()
        jobs = {job.object_info.name: job for job in await self._jobs.list_jobs()}
        found: list[str] = []
        for name, each in self._objects.items():
            job = jobs.get(name)
            if job is not None:
                self._infos[job.object_id] = job.object_info
                found += await self._history(job)
            if each.taken:
                found += await self._sealed(name, job, seals[name])
            else:
                found += await self._not_taken(name, job, len(seals[name]))
        for sp_address in self._stores:
            found += await self._leftovers(sp_address)
        return found + await self._nonces()

    # --- the chain -------------------------------------------------------------------------------

    async def _seals(self) -> dict[str, list[SealTransaction]]:
        """Of each object, all seals in blocks that succeeded."""
        seals: dict[str, list[SealTransaction]] = defaultdict(list)
        answer = await self._rpc.request("tx_search", {"query": _SEALS, "per_page": "100"})
        for tx in answer["txs"]:
            if tx["tx_result"]["code"] == 0:
                seal = await self._inspector.seal_transaction("a seal", tx["hash"])
                name = f"{seal.message.bucket_name}/{seal.message.object_name}"
                seals[name].append(seal)
            else:
                self.outcomes["seals that failed in a block"] += 1
        return seals

    async def _sealed(
        self, name: str, job: JobContext | None, seals: Sequence[SealTransaction]
    ) -> list[str]:
        """What an object lacks that was taken."""
        if job is None:
            return [f"{name} was taken and has no job"]
        if job.state is not JobState.SEAL_OBJECT_DONE:
            return [f"{name} was taken and is in {job.state.name}: {job.error}"]
        info = await self._chain.head_object_by_id(job.object_id)
        layout = PayloadLayout.of(info, job.params)
        columns = columns_of(self._objects[name].payload, layout)
        found = []
        if info.object_status is not ObjectStatus.OBJECT_STATUS_SEALED:
            found.append(f"{name} is done and {info.object_status.name} on chain")
        if info.checksums != tuple(hash_of(column, layout, i) for i, column in columns.items()):
            found.append(f"{name} has other checksums on chain than its payload")
        if [seal.tx_hash for seal in seals] != [job.seal_tx_hash]:
            hashes = [seal.tx_hash for seal in seals]
            found.append(f"{name} is sealed by {hashes}, its job says {job.seal_tx_hash}")
        found += await self._receipts(name, info, seals)
        holders = {SEGMENTS: job.sp_address, **dict(enumerate(info.secondary_sp_addresses))}
        for index, holder in holders.items():
            found += await self._column(name, ColumnKey(info.id, index), holder, columns[index])
        self.outcomes["objects sealed"] += 1
        return found

    async def _receipts(
        self, name: str, info: ObjectInfo, seals: Sequence[SealTransaction]
    ) -> list[str]:
        """The secondaries' signatures on chain are of their approval keys."""
        approvals = {p.operator_address: p.approval_address for p in await self._providers()}
        expected = [approvals[holder] for holder in info.secondary_sp_addresses]
        return [
            f"{name} has signatures of {seal.approved_by}, not of {expected}"
            for seal in seals
            if list(seal.approved_by) != expected
        ]

    async def _providers(self) -> Sequence[StorageProvider]:
        return await self._chain.storage_providers()

    # --- what is on disk -------------------------------------------------------------------------

    async def _column(self, name: str, key: ColumnKey, holder: str, expected: bytes) -> list[str]:
        what = f"{name}, redundancy index {key.redundancy_index} at {holder}"
        found = []
        stored = _bytes_of(Path(self._world.config.pieces.place(holder, key)))
        if stored is None:
            found.append(f"{what}: the column is not there")
        elif stored != expected:
            found.append(f"{what}: the column has other bytes")
        record = await self._jobs.get_integrity(holder, key.object_id, key.redundancy_index)
        digest = self._infos[key.object_id].checksums[key.redundancy_index + 1]
        if record is None or record.integrity_hash != digest:
            found.append(f"{what}: the record is {record}")
        return found

    async def _not_taken(self, name: str, job: JobContext | None, seals: int) -> list[str]:
        """What is there of an object that was refused."""
        self.outcomes["uploads refused"] += 1
        if job is None:
            return []
        found = []
        if job.state is not JobState.UPLOAD_OBJECT_ERROR or seals:
            found.append(f"{name} was refused and is in {job.state.name}, {seals} seals")
        for sp_address, store in self._stores.items():
            for index in range(SEGMENTS, job.params.n):
                where = f"redundancy index {index} at {sp_address}"
                if store.exists(ColumnKey(job.object_id, index)):
                    found.append(f"{name} was refused, and a column is there: {where}")
                if await self._jobs.get_integrity(sp_address, job.object_id, index):
                    found.append(f"{name} was refused, and a record is there: {where}")
        return found

    async def _leftovers(self, sp_address: str) -> list[str]:
        """What nobody has ended, and what nobody knows."""
        store = self._stores[sp_address]
        found = [f"an unfinished column of {c} at {sp_address}" for c in store.list_unfinished()]
        groups = await self._jobs.list_groups(sp_address)
        found += [f"an unfinished group at {sp_address}: {row.key}" for row in groups]
        for key in store.list_columns():
            info = self._infos.get(key.object_id)
            if info is None:
                found.append(f"a column of an object that no job knows: {key} at {sp_address}")
            elif key.redundancy_index != SEGMENTS:
                on_chain = await self._chain.head_object_by_id(info.id)
                holders = dict(enumerate(on_chain.secondary_sp_addresses))
                if holders.get(key.redundancy_index) != sp_address:
                    found.append(
                        f"{sp_address}, which is no holder, keeps {key} of an object that is "
                        f"{on_chain.object_status.name}"
                    )
        return found

    # --- the journal -----------------------------------------------------------------------------

    async def _history(self, job: JobContext) -> list[str]:
        """Every event was legal where it happened, and epochs only grow."""
        name, state, epoch = job.object_info.name, JobState.INIT_UNSPECIFIED, 0
        found = []
        for event in await self._jobs.list_events(job.sp_address, job.job_id):
            target = TRANSITIONS.get((event.from_state, event.event))
            if event.from_state is not state or target is not event.to_state:
                found.append(
                    f"{name}: {event.event.name} from {event.from_state.name} to "
                    f"{event.to_state.name}, in {state.name}"
                )
            if event.epoch < epoch:
                found.append(f"{name}: epoch {event.epoch} after {epoch}")
            state, epoch = event.to_state, event.epoch
        if state is not job.state:
            found.append(f"{name} is in {job.state.name}, its events lead to {state.name}")
        return found

    async def _nonces(self) -> list[str]:
        """Those of seals that are in blocks are all that the chain has counted."""
        by_signer: dict[str, list[int]] = defaultdict(list)
        found = []
        for job in await self._jobs.list_jobs():
            for row in await self._jobs.get_transactions(job.sp_address, job.job_id):
                self.outcomes[f"transactions {row.state.value}"] += 1
                if row.state is TransactionState.RESERVED:
                    found.append(f"nonce {row.nonce} of {row.signer_address} is undecided")
                if row.state in (TransactionState.COMMITTED, TransactionState.FAILED):
                    by_signer[row.signer_address].append(row.nonce)
        for sp in self._world.sps:
            address = address_of(sp.seal)
            sequence = (await self._chain.account(address)).sequence
            if sorted(by_signer[address]) != list(range(sequence)):
                found.append(
                    f"{address} has nonces {sorted(by_signer[address])} in blocks, the "
                    f"chain has counted {sequence}"
                )
        return found


def _bytes_of(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def columns_of(payload: bytes, layout: PayloadLayout) -> dict[int, bytes]:
    """What each redundancy index has to hold, with ``SEGMENTS`` first."""
    size = layout.segment_size_bytes
    segments = [payload[start : start + size] for start in range(0, len(payload), size)]
    if layout.replica:
        return dict.fromkeys(range(SEGMENTS, layout.n), payload)
    encoded = [encode_segment(segment, layout.k, layout.m, get_codec()) for segment in segments]
    columns = {i: b"".join(shards[i].tobytes() for shards in encoded) for i in range(layout.n)}
    return {SEGMENTS: payload, **columns}


def hash_of(column: bytes, layout: PayloadLayout, index: int) -> bytes:
    """Its integrity hash."""
    pieces = layout.column(index)
    offsets = map(pieces.piece_offset, range(pieces.piece_count))
    lengths = map(pieces.piece_length, range(pieces.piece_count))
    return integrity_hash(
        [hashlib.sha256(column[o : o + n]).digest() for o, n in zip(offsets, lengths, strict=True)]
    )
