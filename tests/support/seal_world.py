"""What a Signer needs around it: a chain model, a real job store, jobs that wait for a seal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from greenray.actors.ports import SealOrder
from greenray.actors.signer.actor import Signer
from greenray.actors.signer.settings import QueueSettings, SignerSettings, WatchSettings
from greenray.chain import keystore
from greenray.chain.crypto import address_of, sign_bytes
from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.protocol.errors import GreenrayError, StaleJob
from greenray.protocol.integrity import secondary_sign_bytes
from greenray.protocol.job import JobContext, JobError, JobState, SecondaryReceipt
from greenray.protocol.job_events import (
    JobEvent,
    ReplicateFinished,
    ReplicateStarted,
    RetryDue,
    SealFinished,
    SealWatchStarted,
    SecondaryFinished,
    SignFinished,
    SignStarted,
    UploadFinished,
)
from greenray.protocol.job_table import STATES, TaskNodeState
from greenray.protocol.objects import ObjectInfo, StorageParams, Visibility
from greenray.storage.ports import IntegrityRecord, JobStore, JobUpdate
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.seal_chain import FEE, SealChain
from tests.support.sps import SpKeys

PARAMS = StorageParams()
OWNER = address_of(b"\x12" * 32)
PLENTY = 1_000_000 * FEE


class SealWorld:
    """``store`` is what Signers get; tests may wrap it. ``chain`` likewise."""

    def __init__(self, store: JobStore, sps: int = 7) -> None:
        self.sps = [SpKeys.numbered(index) for index in range(sps)]
        self.chain = SealChain(sp.provider() for sp in self.sps)
        self.store = store
        self.primary = self.sps[0]
        self.sp_address = self.primary.address
        self.seal_address = address_of(self.primary.seal)
        self.chain.fund(self.seal_address, PLENTY)

    @classmethod
    def open(cls, folder: Path, name: str = "jobs") -> SealWorld:
        """A world whose journal is a file in ``folder``."""
        return cls(SqliteJobStore.open(folder / f"{name}.sqlite"))

    def signer(
        self,
        *,
        queue: QueueSettings | None = None,
        watch: WatchSettings | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> Signer:
        """A Signer whose every poll makes a block."""
        return Signer(
            chain=self.chain,
            store=self.store,
            keys=self.keys(),
            dialect=get_dialect("v0_2"),
            settings=SignerSettings(queue or QueueSettings(), watch or WatchSettings()),
            sleep=sleep or self.chain.sleep,
        )

    def keys(self) -> KeyRing:
        return KeyRing(
            {sp.address: keystore.SpKeys(sp.operator, sp.seal, sp.approval) for sp in self.sps}
        )

    def create_object(self, name: str) -> ObjectInfo:
        info = ObjectInfo(
            owner=OWNER,
            bucket_name="bucket",
            object_name=name,
            id=len(self.chain.objects) + 1,
            payload_size=5,
            visibility=Visibility.VISIBILITY_TYPE_INHERIT,
            content_type="text/plain",
            create_at=1,
            checksums=tuple(bytes([index + 1]) * 32 for index in range(PARAMS.n + 1)),
        )
        self.chain.objects[info.bucket_name, info.object_name] = info
        return info

    def receipts(self, info: ObjectInfo) -> tuple[SecondaryReceipt, ...]:
        return tuple(
            SecondaryReceipt(
                index,
                sp.address,
                info.checksums[index + 1],
                sign_bytes(
                    sp.approval,
                    secondary_sign_bytes(sp.address, info.id, info.checksums[index + 1]),
                ),
            )
            for index, sp in enumerate(self.sps[1 : PARAMS.n + 1])
        )

    async def add_job(self, name: str) -> JobContext:
        (job,) = await self._add_jobs([name])
        return job

    async def add_jobs(self, count: int) -> list[JobContext]:
        return await self._add_jobs([f"object-{index}" for index in range(count)])

    async def _add_jobs(self, names: list[str]) -> list[JobContext]:
        return await self.add_jobs_of([self.create_object(name) for name in names])

    async def add_jobs_of(self, infos: list[ObjectInfo]) -> list[JobContext]:
        """Jobs in SIGN_OBJECT_DOING, as the task node leaves them; commits are shared."""
        await asyncio.gather(*(self._upload(info) for info in infos))
        jobs = await self.claim(len(infos))
        return await asyncio.gather(*(self._replicate(job) for job in jobs))

    async def claim(self, limit: int) -> list[JobContext]:
        return list(await self.store.claim_jobs("task-node", 3600.0, limit))

    async def _upload(self, info: ObjectInfo) -> None:
        job = await self.store.begin_upload(
            self.sp_address, info, PARAMS, 4, "uploader", 3600.0, 86400.0
        )
        record = IntegrityRecord(self.sp_address, info.id, -1, (), info.checksums[0], b"s" * 65)
        update = JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, UploadFinished())
        await self.store.finish_upload(update, record)

    async def _replicate(self, job: JobContext) -> JobContext:
        events: tuple[JobEvent, ...] = (
            ReplicateStarted(),
            *map(SecondaryFinished, self.receipts(job.object_info)),
            ReplicateFinished(),
            SignStarted(),
        )
        for event in events:
            job = await self.record(job, event)
        return job

    async def record(self, job: JobContext, event: JobEvent) -> JobContext:
        return await self.store.apply(
            JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event)
        )

    async def get_job(self, job: JobContext) -> JobContext:
        found = await self.store.get_job(job.sp_address, job.object_id)
        assert found is not None
        return found

    # --- what a task node does with a signer ---------------------------------------------------

    async def seal(
        self, signer: Signer, job: JobContext, tries: int = 20, pause: Pause | None = None
    ) -> JobContext:
        """Drive the job to SEAL_OBJECT_DONE as the task node does: an error is recorded, and the
        step is tried again after ``pause``."""
        job = await self.get_job(job)
        for _ in range(tries):
            try:
                while not job.final:
                    job = await self._step(signer, job)
                return job
            except StaleJob:
                raise
            except GreenrayError as error:
                job = await self.get_job(job)
                row = STATES[job.state]
                assert isinstance(row, TaskNodeState), job.state
                job = await self.record(job, row.failure(JobError.of(error)))
                await (pause or _no_pause)()
        raise AssertionError(f"not sealed after {tries} tries: {job.error}")

    async def seal_all(
        self, signer: Signer, jobs: list[JobContext], pause: Pause | None = None
    ) -> list[JobContext]:
        return await asyncio.gather(*(self.seal(signer, job, pause=pause) for job in jobs))

    async def _step(self, signer: Signer, job: JobContext) -> JobContext:
        match job.state:
            case JobState.SIGN_OBJECT_ERROR | JobState.SEAL_OBJECT_ERROR:
                return await self.record(job, RetryDue())
            case JobState.SIGN_OBJECT_DOING:
                ticket = await signer.submit_seal(order_of(job))
                return await self.record(job, SignFinished(ticket.tx_hash))
            case JobState.SIGN_OBJECT_DONE:
                return await self.record(job, SealWatchStarted())
            case JobState.SEAL_OBJECT_TX_DOING:
                outcome = await signer.watch_seal(order_of(job), 60.0)
                return await self.record(job, SealFinished(outcome.height, outcome.tx_hash))
            case _:
                raise AssertionError(f"a signer has nothing to do in {job.state.name}")


Pause = Callable[[], Awaitable[None]]


async def _no_pause() -> None:
    return None


def order_of(job: JobContext) -> SealOrder:
    return SealOrder(
        job.sp_address, job.job_id, job.epoch, job.object_info, job.params, job.secondaries
    )
