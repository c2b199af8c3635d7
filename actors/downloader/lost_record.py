"""An integrity record that the journal has lost, made again from what is stored.

The chain has only one hash of all checksums of a column: with all of them found it proves them all,
with one missing none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import Executor

from greenray.actors.credit.lending_pool import LendingPool
from greenray.actors.downloader.recovery import SegmentRecovery
from greenray.actors.ports import Column, SignerPort
from greenray.actors.uploader.ingest import run_in
from greenray.chain.dialect import Dialect
from greenray.protocol.errors import CorruptPiece, NoSuchPiece, StoreError
from greenray.protocol.integrity import expected_integrity_hash, integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import ColumnKey, IntegrityRecord, JobStore, PieceStore

log = logging.getLogger(__name__)


class RecordMaker:
    """Signs and records checksums that are the chain's."""

    def __init__(self, job_store: JobStore, signer: SignerPort, dialect: Dialect) -> None:
        self._jobs = job_store
        self._signer = signer
        self._dialect = dialect

    async def make(
        self, sp_address: str, info: ObjectInfo, index: int, checksums: Sequence[bytes]
    ) -> IntegrityRecord:
        """Raises CorruptPiece (they are not the chain's), KeyMissing, StoreError."""
        digest = integrity_hash(checksums)
        if digest != expected_integrity_hash(info, index):
            raise CorruptPiece("what is stored is not the object on chain", info.name)
        sign_bytes = self._dialect.secondaries.receipt_sign_bytes(sp_address, info.id, digest)
        signature = await self._signer.sign_as_approver(sp_address, sign_bytes)
        record = IntegrityRecord(sp_address, info.id, index, tuple(checksums), digest, signature)
        await self._jobs.put_integrity(record)
        log.warning("%s: the integrity record of index %d is made again", info.name, index)
        return record


class LostRecord:
    """Of the primary's segments of one object."""

    def __init__(
        self,
        sp_address: str,
        info: ObjectInfo,
        layout: PayloadLayout,
        *,
        store: PieceStore,
        recovery: SegmentRecovery,
        buffers: LendingPool,
        pool: Executor,
        maker: RecordMaker,
    ) -> None:
        self._sp_address = sp_address
        self._info = info
        self._layout = layout
        self._store = store
        self._recovery = recovery
        self._buffers = buffers
        self._pool = pool
        self._maker = maker

    async def restored(self) -> IntegrityRecord:
        """From the stored segments if they are the chain's, else from the secondaries' pieces. The
        whole object is read, and nothing but the record is written.

        Raises SegmentLost, CorruptPiece, JournalError, KeyMissing, ComponentUnavailable.
        """
        stored = await self._checksums(rebuilt=False)
        if stored is None or integrity_hash(stored) != self._info.checksums[0]:
            stored = await self._checksums(rebuilt=True)
        assert stored is not None
        return await self._maker.make(self._sp_address, self._info, SEGMENTS, stored)

    async def _checksums(self, *, rebuilt: bool) -> list[bytes] | None:
        """None when a stored segment cannot be read."""
        checksums = []
        for segment in range(self._layout.segment_count):
            lent = await self._buffers.lend(self._layout.segment_length(segment))
            buffer = lent.buffer
            try:
                if rebuilt:
                    await self._recovery.rebuild(segment, None, buffer)
                elif not await run_in(self._pool, self._read, segment, buffer):
                    return None
                checksums.append(await run_in(self._pool, self._digest, segment, buffer))
            finally:
                lent.give_back()
        return checksums

    def _read(self, segment: int, buffer: Column) -> bool:
        view = buffer.data[: self._layout.segment_length(segment)]
        segments = self._layout.segments
        try:
            self._store.read_into(
                ColumnKey(self._info.id), segments, segments.piece_offset(segment), [view]
            )
        except (NoSuchPiece, StoreError):
            return False
        return True

    def _digest(self, segment: int, buffer: Column) -> bytes:
        return hashlib.sha256(buffer.data[: self._layout.segment_length(segment)]).digest()
