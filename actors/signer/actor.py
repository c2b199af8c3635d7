"""Signer: holds the keys of the storage providers of this host, and seals objects with them.

It signs for the other actors, checks again everything that it seals, and answers for nonces: one
queue per seal address (``greenray.actors.signer.seal_queue``), one watcher for all
(``greenray.actors.signer.seal_watcher``). The journal is its only memory: a new Signer over the
same store goes on where a killed one stopped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.ports import SealOrder, SealOutcome, SealTicket
from greenray.actors.signer.nonce_ledger import NonceLedger
from greenray.actors.signer.seal_queue import SealQueue, TransactionRequest
from greenray.actors.signer.seal_watcher import SealWatcher
from greenray.actors.signer.settings import SignerSettings
from greenray.chain import crypto
from greenray.chain.dialect import Dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import (
    NoSuchJob,
    ReceiptInvalid,
    SecondaryLied,
    SecondaryOutOfService,
    SignatureError,
    TransactionFailed,
    TransactionRefused,
    VoidReceipt,
)
from greenray.protocol.job import JobState, SecondaryReceipt
from greenray.protocol.objects import ObjectInfo, ObjectStatus
from greenray.storage.ports import JobStore, TransactionRow, TransactionState
from greenray.timeline.stage_trace import StageTrace, TracePart

log = logging.getLogger(__name__)


class Signer:
    """Implements ``SignerPort`` and ``SealerPort`` for every SP whose keys are in ``keys``."""

    def __init__(
        self,
        *,
        chain: ChainClient,
        store: JobStore,
        keys: KeyRing,
        dialect: Dialect,
        settings: SignerSettings | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._chain = chain
        self._store = store
        self._keys = keys
        self._dialect = dialect
        self._settings = settings or SignerSettings()
        self._clock = clock
        self._providers = ProviderBook(chain, clock)
        self._queues: dict[str, SealQueue] = {}
        self._trace = StageTrace()
        self._watcher = SealWatcher(chain, store, self._settings.watch, sleep)

    # --- SignerPort ----------------------------------------------------------------------------

    async def sign_as_operator(self, sp_address: str, sign_bytes: bytes) -> bytes:
        return crypto.sign_bytes(self._keys.operator_key(sp_address), sign_bytes)

    async def sign_as_approver(self, sp_address: str, sign_bytes: bytes) -> bytes:
        return crypto.sign_bytes(self._keys.approval_key(sp_address), sign_bytes)

    # --- SealerPort ----------------------------------------------------------------------------

    async def submit_seal(self, order: SealOrder) -> SealTicket:
        queue = self._queue(order.sp_address)
        rows = await self._rows(order)
        if _living(rows) is not None and queue.stale:
            await queue.sync()
            rows = await self._rows(order)
        living = _living(rows)
        if living is not None:
            return _ticket(living)
        await queue.check_funds()  # before receipts, whose signatures take long to verify
        await self._check_receipts(order)
        outcome = await self._watcher.sealed_outcome(order, rows)
        if outcome is not None:
            return SealTicket(outcome.tx_hash)
        request = TransactionRequest(
            message=self._dialect.seal_message(
                queue.ledger.address, order.object_info, order.secondaries
            ),
            where=order.object_info.name,
            sp_address=order.sp_address,
            job_id=order.job_id,
            object_id=order.object_info.id,
            epoch=order.epoch,
            expected_state=JobState.SIGN_OBJECT_DOING,
            simulate=any(row.state is TransactionState.FAILED for row in rows),
            earlier=list(rows),
        )
        try:
            row = await queue.submit(request)
        except TransactionRefused:
            await self._check_receipts(order, again=True)
            raise
        self._watcher.made(row.tx_hash)
        return _ticket(row)

    async def watch_seal(self, order: SealOrder, timeout_s: float) -> SealOutcome:
        rows = await self._rows(order)
        living = _living(rows)
        try:
            if living is None:
                return await self._watcher.ended(order, rows)
            queue = self._queue(order.sp_address)
            return await self._watcher.watch(order, living, queue, timeout_s)
        except TransactionFailed:
            await self._check_receipts(order, again=True)
            raise

    async def reject_seal(self, order: SealOrder) -> None:
        """A v0.2 chain never takes this message (protocol 04 §10.4), so it is always simulated
        first: a refusal costs no fee, and is only logged because nothing depends on it.

        Raises: NoSuchJob, StaleJob, NoSuchObject, ChainUnavailable, StoreError.
        """
        info = order.object_info
        job = await self._store.job_of(order.sp_address, info.identity)
        if job is None:
            raise NoSuchJob("there is no job to give up", info.name)
        rows = await self._rows(order)
        found = await self._chain.head_object(info.bucket_name, info.object_name)
        if found.identity != info.identity:
            log.warning("%s is not rejected on chain: its name is another's", info.name)
            return
        if (
            _living(rows) is not None
            or found.object_status is not ObjectStatus.OBJECT_STATUS_CREATED
        ):
            log.warning("%s is not rejected on chain: it is or may become sealed", info.name)
            return
        queue = self._queue(order.sp_address)
        request = TransactionRequest(
            message=self._dialect.reject_seal_message(queue.ledger.address, info),
            where=info.name,
            sp_address=order.sp_address,
            job_id=order.job_id,
            object_id=info.id,
            epoch=order.epoch,
            expected_state=job.state,
            simulate=True,
            earlier=list(rows),
        )
        try:
            await queue.submit(request)
        except TransactionRefused as error:
            log.warning("%s could not be rejected on chain: %s", info.name, error)

    async def trace_of(self, object_id: int) -> TracePart:
        """See ``greenray.timeline.stage_trace.TraceSource``."""
        return self._trace.part(object_id)

    async def close(self) -> None:
        """Stop sending and watching. What is reserved stays in the journal."""
        await self._watcher.close()
        for queue in self._queues.values():
            await queue.close()

    # --- parts ---------------------------------------------------------------------------------

    def _queue(self, sp_address: str) -> SealQueue:
        queue = self._queues.get(sp_address)
        if queue is None:
            private_key = self._keys.seal_key(sp_address)
            settings = self._settings.queue
            address = crypto.address_of(private_key)
            queue = SealQueue(
                private_key,
                NonceLedger(address, self._chain, self._store, settings.settle_blocks),
                chain=self._chain,
                store=self._store,
                dialect=self._dialect,
                settings=settings,
                clock=self._clock,
                trace=self._trace,
            )
            self._queues[sp_address] = queue
        return queue

    async def _check_receipts(self, order: SealOrder, *, again: bool = False) -> None:
        """What the chain would refuse (protocol 04 §10.3, 1, 2 and 8), before it costs anything.
        ``again``: it has refused, whatever was known of the providers.

        Raises: SignatureError, ReceiptInvalid, SecondaryOutOfService, ChainError.
        """
        info = order.object_info
        indices = [receipt.redundancy_index for receipt in order.secondaries]
        if indices != list(range(order.params.n)):
            raise SignatureError(
                f"the receipts are of indices {indices}, not 0 to {order.params.n - 1}", info.name
            )
        if again:
            self._providers.forget()
        checked = [await self._void(receipt, info) for receipt in order.secondaries]
        void = tuple(found for found in checked if found is not None)
        if void:
            kind = SecondaryOutOfService if void[0].is_gone else ReceiptInvalid
            first = void[0]
            raise kind(
                f"{len(void)} of {len(checked)} receipts are void: {first.why}",
                f"{info.name}, secondary {first.operator_address}, index {first.redundancy_index}",
                "They are made again",
                void,
            )

    async def _void(self, receipt: SecondaryReceipt, info: ObjectInfo) -> VoidReceipt | None:
        index, address = receipt.redundancy_index, receipt.operator_address
        provider = await self._providers.find(address)
        if provider is None or not provider.in_service:
            why = "it is not in service" if provider else "it is no storage provider on chain"
            return VoidReceipt(index, address, is_gone=True, why=why)
        try:
            self._dialect.secondaries.verify_receipt(receipt, info, provider)
        except SecondaryLied as error:
            return VoidReceipt(index, address, is_gone=False, why=error.what)
        return None

    async def _rows(self, order: SealOrder) -> tuple[TransactionRow, ...]:
        return await self._store.get_transactions(order.sp_address, order.job_id)


def _living(rows: Sequence[TransactionRow]) -> TransactionRow | None:
    return next((row for row in rows if row.state is TransactionState.RESERVED), None)


def _ticket(row: TransactionRow) -> SealTicket:
    return SealTicket(row.tx_hash, row.nonce, row.timeout_height)
