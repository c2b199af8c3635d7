"""What goes wrong around an upload: signer, journal, disk, object space, leases, cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from greenray.actors.uploader.actor import Uploader, choose_batch_segments
from greenray.actors.uploader.payload_source import ChunkedPayload
from greenray.actors.uploader.settings import UploaderSettings
from greenray.coding.checksums import hash_payload
from greenray.coding.codec import get_codec
from greenray.protocol.errors import (
    AlreadyUploaded,
    ComponentUnavailable,
    EmptyPayload,
    KeyMissing,
    NoSpaceLeft,
)
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import (
    Buffer,
    ColumnKey,
    ColumnWriter,
    Fence,
    IntegrityRecord,
    JobUpdate,
)
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.fake_chain import FakeChain
from tests.support.gateway_rig import SwitchableWaker, stream
from tests.support.payloads import ShortReader
from tests.support.spaces import MemorySpace
from tests.support.sps import KeySigner, SpKeys

PARAMS = StorageParams(max_segment_size_bytes=1000)
PAYLOAD = bytes(range(256)) * 50  # 12800 bytes: 13 segments, 4 batches


class FailingSigner(KeySigner):
    async def sign_as_approver(self, sp_address: str, data: bytes) -> bytes:
        raise KeyMissing("no approval key", sp_address)


class LosingJournal(SqliteJobStore):
    """Commits the end of an upload, and loses the answer."""

    async def finish_upload(self, update: JobUpdate, record: IntegrityRecord) -> JobContext:
        await super().finish_upload(update, record)
        raise ComponentUnavailable("the journal is being restarted", "job store")


class FullStore(MemoryPieceStore):
    """Takes ``room`` batches of a column."""

    room = 1

    def create(self, *args: Any, **kwargs: Any) -> ColumnWriter:
        writer = super().create(*args, **kwargs)
        append, store = writer.append, self

        def full(buffers: Sequence[Buffer]) -> None:
            if store.room == 0:
                raise NoSpaceLeft("the disk is full", "store")
            store.room -= 1
            append(buffers)

        writer.append = full  # type: ignore[method-assign]  # of this writer only
        return writer


class Bench:
    def __init__(
        self,
        folder: Path,
        *,
        signer: type[KeySigner] = KeySigner,
        journal: type[SqliteJobStore] = SqliteJobStore,
        store: MemoryPieceStore | None = None,
        space: MemorySpace | None = None,
        settings: UploaderSettings | None = None,
    ) -> None:
        self.sp = SpKeys.numbered(0)
        self.chain = FakeChain([self.sp.provider()], PARAMS)
        self.chain.add_bucket("0xowner", "album", self.sp.address)
        self.jobs = journal.open(folder / "jobs.db")
        self.store = store or MemoryPieceStore()
        self.waker = SwitchableWaker()
        self.uploader = Uploader(
            job_store=self.jobs,
            piece_stores={self.sp.address: self.store},
            object_space=space or MemorySpace(),
            signer=signer([self.sp]),
            waker=self.waker,
            owner="uploader",
            settings=settings or UploaderSettings(buffer_budget_bytes=1 << 20, ahead_after_bytes=0),
        )

    def create_object(self, payload: bytes = PAYLOAD) -> ObjectInfo:
        checksums = hash_payload(ShortReader(payload, 999), 1000, 4, 2, get_codec("numpy"))
        return self.chain.add_object("album", "photo", len(payload), checksums.integrity_hashes)

    async def upload(
        self, info: ObjectInfo, chunks: AsyncIterator[bytes] | None = None
    ) -> JobContext:
        chunks = chunks or stream([PAYLOAD[i : i + 700] for i in range(0, len(PAYLOAD), 700)])
        return await self.uploader.ingest(self.sp.address, info, PARAMS, ChunkedPayload(chunks))

    async def state(self, info: ObjectInfo) -> tuple[JobState, str | None]:
        job = await self.jobs.get_job(self.sp.address, info.id)
        assert job is not None
        return job.state, job.error.reason if job.error else None

    def leftovers(self) -> list[object]:
        return [*self.store.list_columns(), *self.store.list_unfinished()]

    async def close(self) -> None:
        await self.uploader.close()
        await self.jobs.close()


async def test_without_a_signature_nothing_is_stored_and_the_job_says_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path, signer=FailingSigner)
    info = bench.create_object()
    with pytest.raises(KeyMissing):
        await bench.upload(info)
    assert await bench.state(info) == (JobState.UPLOAD_OBJECT_ERROR, "key-missing")
    assert bench.leftovers() == []
    assert bench.waker.woken == 0
    await bench.close()


async def test_a_full_disk_is_said_at_once_and_the_space_is_given_back(tmp_path: Path) -> None:
    store = FullStore()
    bench = Bench(tmp_path, store=store)
    info = bench.create_object()
    with pytest.raises(NoSpaceLeft):
        await bench.upload(info)
    assert await bench.state(info) == (JobState.UPLOAD_OBJECT_ERROR, "no-space-left")
    assert bench.leftovers() == []
    store.room = 100
    assert (await bench.upload(info)).state is JobState.UPLOAD_OBJECT_DONE
    await bench.close()


async def test_a_lost_answer_of_the_journal_never_costs_a_stored_payload(tmp_path: Path) -> None:
    bench = Bench(tmp_path, journal=LosingJournal)
    info = bench.create_object()
    with pytest.raises(ComponentUnavailable):
        await bench.upload(info)
    assert await bench.state(info) == (JobState.UPLOAD_OBJECT_DONE, None)
    assert bench.store.exists(ColumnKey(info.id, SEGMENTS))
    with pytest.raises(AlreadyUploaded):
        await bench.upload(info)
    await bench.close()


async def test_a_full_object_space_only_makes_the_object_cold(tmp_path: Path) -> None:
    bench = Bench(tmp_path, space=MemorySpace(capacity_bytes=5000))
    info = bench.create_object()
    assert (await bench.upload(info)).state is JobState.UPLOAD_OBJECT_DONE
    hot = [await bench.uploader.hot_columns(bench.sp.address, info.id, b) for b in range(4)]
    assert hot[0] is not None
    assert hot[1:] == [None, None, None]
    await bench.close()


@pytest.mark.parametrize(
    ("ahead_after_bytes", "told_after_bytes"),
    [(0, 0), (1, 4000), (4000, 4000), (4001, 8000), (8000, 8000), (8001, None)],
)
async def test_a_payload_is_sent_ahead_once_enough_of_it_is_stored_and_not_all(
    tmp_path: Path, ahead_after_bytes: int, told_after_bytes: int | None
) -> None:
    settings = UploaderSettings(
        buffer_budget_bytes=1 << 20, batch_segments=4, ahead_after_bytes=ahead_after_bytes
    )
    bench = Bench(tmp_path, settings=settings)
    info = bench.create_object()  # 12 800 bytes, in batches of 4 000
    followed = bench.waker.followed
    whole = len(PAYLOAD) if told_after_bytes is None else told_after_bytes

    async def watched() -> AsyncIterator[bytes]:
        yield PAYLOAD[: max(1, whole - 1)]
        if whole > 1:
            assert not followed.is_set()
            yield PAYLOAD[whole - 1 : whole]
        if told_after_bytes is not None:
            await asyncio.wait_for(followed.wait(), 10)
            yield PAYLOAD[max(1, whole) :]

    assert (await bench.upload(info, watched())).state is JobState.UPLOAD_OBJECT_DONE
    await bench.close()
    assert followed.is_set() is (told_after_bytes is not None)


async def test_an_upload_that_is_cancelled_cleans_up_to_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    info = bench.create_object()
    arrived = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield PAYLOAD[:9000]
        arrived.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(bench.upload(info, stalling()))
    await arrived.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert await bench.state(info) == (JobState.UPLOAD_OBJECT_ERROR, "payload-interrupted")
    assert bench.leftovers() == []
    await bench.close()


async def test_the_lease_of_a_slow_upload_is_renewed(tmp_path: Path) -> None:
    settings = UploaderSettings(buffer_budget_bytes=1 << 20, ahead_after_bytes=0, lease_s=0.03)
    bench = Bench(tmp_path, settings=settings)
    info = bench.create_object()

    async def slow() -> AsyncIterator[bytes]:
        yield PAYLOAD[:1]
        job = await bench.jobs.get_job(bench.sp.address, info.id)
        assert job is not None
        first_lease = job.lease_expires_at
        while job.lease_expires_at <= first_lease + 2 * settings.lease_s:
            await asyncio.sleep(0.001)
            job = await bench.jobs.get_job(bench.sp.address, info.id)
            assert job is not None
        yield PAYLOAD[1:]

    assert (await bench.upload(info, slow())).state is JobState.UPLOAD_OBJECT_DONE
    await bench.close()


async def test_nothing_is_read_from_the_sender_without_credit(tmp_path: Path) -> None:
    # One buffer of the smallest size.
    settings = UploaderSettings(buffer_budget_bytes=64 * 1024, ahead_after_bytes=0)
    release, appending = threading.Event(), threading.Event()

    class SlowStore(MemoryPieceStore):
        def create(self, *args: Any, **kwargs: Any) -> ColumnWriter:
            writer = super().create(*args, **kwargs)
            append = writer.append

            def slow(buffers: Sequence[Buffer]) -> None:
                appending.set()
                assert release.wait(10)
                append(buffers)

            writer.append = slow  # type: ignore[method-assign]  # of this writer only
            return writer

    bench = Bench(tmp_path, store=SlowStore(), settings=settings)
    info = bench.create_object()
    sent: list[int] = []

    async def sender() -> AsyncIterator[bytes]:
        for start in range(0, len(PAYLOAD), 1000):
            sent.append(start)
            yield PAYLOAD[start : start + 1000]

    upload = asyncio.create_task(bench.upload(info, sender()))
    await asyncio.to_thread(appending.wait, 10)
    for _ in range(100):
        await asyncio.sleep(0)
    job = await bench.jobs.get_job(bench.sp.address, info.id)
    assert job is not None
    assert len(sent) == job.batch_segments  # one batch, and not a chunk more
    release.set()
    assert (await upload).state is JobState.UPLOAD_OBJECT_DONE
    await bench.close()


async def test_an_empty_payload_makes_no_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    info = bench.create_object()
    with pytest.raises(EmptyPayload):
        await bench.upload(info, stream([b"", b""]))
    assert await bench.jobs.get_job(bench.sp.address, info.id) is None
    await bench.close()


async def test_the_sweep_removes_what_dead_uploads_have_left_and_nothing_else(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    info = bench.create_object()
    layout = PayloadLayout.of(info, PARAMS).segments
    bench.store.create(ColumnKey(99), layout, fence=Fence(3)).append([memoryview(b"x")])
    bench.store.create(ColumnKey(99, 2), layout, fence=Fence(3)).append([memoryview(b"x")])
    swept: list[int] = []

    async def sweeping() -> AsyncIterator[bytes]:
        yield PAYLOAD[:5000]
        swept.append(await bench.uploader.sweep())
        yield PAYLOAD[5000:]

    await bench.upload(info, sweeping())
    assert swept == [1]
    assert list(bench.store.list_unfinished()) == [(ColumnKey(99, 2), 3)]
    assert list(bench.store.list_columns()) == [ColumnKey(info.id)]
    await bench.close()


@pytest.mark.parametrize(
    ("payload_size", "limit", "budget_mib", "uploads", "expected"),
    [
        (1024, 4, 256, 1, 4),
        (1024, 4, 256, 8, 4),
        (1024, 4, 256, 16, 2),
        (1024, 4, 256, 100, 1),
        (1024, 8, 256, 1, 4),
        (1024, 8, 512, 1, 8),
        (20, 4, 256, 1, 2),
        (16, 4, 256, 1, 1),
    ],
)
def test_many_uploads_share_the_budget_by_smaller_batches(
    payload_size: int, limit: int, budget_mib: int, uploads: int, expected: int
) -> None:
    mib = 1 << 20
    layout = PayloadLayout(payload_size * mib, 16 * mib, 4, 2)
    assert choose_batch_segments(layout, limit, budget_mib * mib, uploads) == expected
