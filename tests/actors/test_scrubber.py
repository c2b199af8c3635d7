"""The Scrubber by itself: what it waits for, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.downloader.recovery import RecoveryTools
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.scrubber.actor import Scrubber
from greenray.actors.scrubber.column_repair import RepairTools
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.traffic import Traffic
from greenray.chain.dialects import get_dialect
from greenray.coding.codec import get_codec
from greenray.protocol.errors import (
    InvalidInput,
    NoSuchBucket,
    NoSuchObject,
    WrongObjectStatus,
)
from greenray.protocol.scrub import DamageKind, ScrubOrder, ScrubRun
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import IntegrityRecord
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.fake_chain import FakeChain
from tests.support.faulty_secondaries import NoPieces
from tests.support.sps import KeySigner, SpKeys

SP = SpKeys.numbered(0)


class Scrubbing:
    """A Scrubber of one SP, which has lost the only object that it is the primary of."""

    def __init__(self, folder: Path, settings: ScrubberSettings | None = None) -> None:
        self.journal = SqliteJobStore.open(folder / "jobs.sqlite")
        self.chain = FakeChain([SP.provider()])
        self.chain.add_account(SP.address)
        self.chain.add_bucket(SP.address, "album", SP.address)
        self.info = self.chain.add_object("album", "photo", 10, (bytes(32),) * 7)
        pool = ThreadPoolExecutor(4)
        slots = asyncio.Semaphore(1)
        self.scrubber = Scrubber(
            name="scrubber-0",
            journal=self.journal,
            tools=RepairTools(
                chain=self.chain,
                jobs=self.journal,
                stores={SP.address: MemoryPieceStore()},
                receivers={},
                recovery=RecoveryTools(NoPieces(), get_codec, pool, slots, DownloaderSettings()),
                records=RecordMaker(self.journal, KeySigner([SP]), get_dialect()),
                codec=get_codec,
                pool=pool,
            ),
            pool=pool,
            clock=lambda: 1000.0,
            uploads=Traffic(),
            settings=settings or ScrubberSettings(retry_s=0.01),
        )

    async def seal(self) -> None:
        self.chain.seal_object("album", "photo")
        await self.journal.put_integrity(IntegrityRecord(SP.address, 1, -1, (), b"", b""))

    async def until_it_waits(self, run_id: int) -> str:
        while True:
            progress = await self.scrubber.progress(run_id)
            if progress.waits_for:
                return progress.waits_for
            await asyncio.sleep(0.01)

    async def until_it_ended(self, run_id: int) -> ScrubRun:
        while True:
            run = (await self.scrubber.progress(run_id)).run
            if run.ended_at is not None:
                return run
            await asyncio.sleep(0.01)


@pytest.fixture
async def scrubbing(tmp_path: Path) -> AsyncIterator[Scrubbing]:
    scrubbing = Scrubbing(tmp_path)
    running = asyncio.create_task(scrubbing.scrubber.run())
    yield scrubbing
    await scrubbing.scrubber.close()
    await running
    await scrubbing.journal.close()


async def test_a_chain_that_is_away_is_waited_for(scrubbing: Scrubbing) -> None:
    await scrubbing.seal()
    scrubbing.chain.unavailable = True
    run_id = await scrubbing.scrubber.start(ScrubOrder())
    assert "chain-unavailable" in await scrubbing.until_it_waits(run_id)
    scrubbing.chain.unavailable = False
    run = await scrubbing.until_it_ended(run_id)
    assert (run.counts.objects, run.counts.broken) == (1, 1)


async def test_what_is_lost_for_good_is_listed_with_the_reason(scrubbing: Scrubbing) -> None:
    await scrubbing.seal()
    run_id = await scrubbing.scrubber.start(ScrubOrder(repair=True, bucket_name="album"))
    await scrubbing.until_it_ended(run_id)
    [kept] = await scrubbing.journal.list_findings(run_id, 0, 10)
    assert [damage.kind for damage in kept.finding.damages] == [
        DamageKind.MISSING,
        DamageKind.WRONG_RECORD,
    ]
    assert kept.finding.reason.startswith("segment-lost: segment 0 is broken here")


async def test_a_background_scrub_that_is_switched_off_does_not_go_on(tmp_path: Path) -> None:
    scrubbing = Scrubbing(tmp_path, ScrubberSettings(bandwidth_bytes_s=0))
    await scrubbing.seal()
    begun = await scrubbing.journal.begin_scrub("scrubber-0", ScrubOrder(background=True))
    running = asyncio.create_task(scrubbing.scrubber.run())
    run_id = await scrubbing.scrubber.start(ScrubOrder())
    await scrubbing.until_it_ended(run_id)
    await scrubbing.scrubber.close()
    await running
    assert begun in await scrubbing.journal.list_scrubs("scrubber-0")
    await scrubbing.journal.close()


async def test_a_defect_is_told_and_the_scrubber_lives_on(
    scrubbing: Scrubbing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scrubbing.seal()
    with monkeypatch.context() as broken:
        broken.setattr(scrubbing.chain, "head_bucket", None)
        run_id = await scrubbing.scrubber.start(ScrubOrder())
        assert await scrubbing.until_it_waits(run_id) == "a defect, see the log: TypeError"
    assert (await scrubbing.until_it_ended(run_id)).counts.broken == 1


async def test_what_cannot_be_scrubbed_is_refused(scrubbing: Scrubbing) -> None:
    start = scrubbing.scrubber.start
    with pytest.raises(NoSuchBucket):
        await start(ScrubOrder(bucket_name="nothing"))
    with pytest.raises(NoSuchObject):
        await start(ScrubOrder(bucket_name="album", object_name="nothing"))
    with pytest.raises(WrongObjectStatus):
        await start(ScrubOrder(bucket_name="album", object_name="photo"))
    with pytest.raises(InvalidInput):
        await scrubbing.scrubber.progress(77)
    assert await scrubbing.journal.list_findings(None, 0, 10) == ()
