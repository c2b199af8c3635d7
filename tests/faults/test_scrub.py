"""What is sealed is looked after: a scrub finds what is broken anywhere, and repairs it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors import names
from greenray.actors.ports import ReceiverPort
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.client.storage_client import WaitFor
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.scrub import (
    Damage,
    DamageKind,
    Finding,
    FindingState,
    ScrubCounts,
    ScrubRun,
)
from greenray.storage.file_location import FileLocation
from greenray.storage.ports import ColumnKey, GroupKey, IntegrityRecord
from tests.support.faulty_secondaries import PassingReceiver
from tests.support.payloads import ctr_payload
from tests.support.whole_network import SEGMENT_SIZE_BYTES, WholeNetwork, whole_network

SEGMENTS_OF_IT = 6
PAYLOAD = bytes(ctr_payload("scrub", (SEGMENTS_OF_IT - 1) * SEGMENT_SIZE_BYTES + 1234))
COLUMNS = range(SEGMENTS, 6)
ALL_PIECES = tuple(range(SEGMENTS_OF_IT))


class Scrubbed:
    """A network with one sealed object, and what its files were."""

    def __init__(self, network: WholeNetwork) -> None:
        self.network = network
        self.info: ObjectInfo
        self._files: dict[int, bytes] = {}

    async def put(self, *, replica: bool = False) -> None:
        await self.network.start()
        await self.network.put(PAYLOAD, replica=replica)
        self.info = await self.network.live.actors["chain"].head_object("album", "photo.jpg")
        self._files = {index: self.file(index).read_bytes() for index in COLUMNS}

    def holder(self, index: int) -> str:
        return self.network.primary if index == SEGMENTS else self.secondaries[index]

    @property
    def secondaries(self) -> tuple[str, ...]:
        return self.info.secondary_sp_addresses

    def file(self, index: int) -> Path:
        pieces = FileLocation(self.network.folder / "pieces", durable=False)
        return Path(pieces.place(self.holder(index), ColumnKey(self.info.id, index)))

    def remove_store(self, index: int) -> None:
        """All files of the SP that holds the column."""
        for file in sorted(self.file(index).parents[2].rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()

    def wrong_columns(self) -> list[int]:
        """Those whose file is not what it was."""
        return [
            index
            for index, content in self._files.items()
            if not self.file(index).is_file() or self.file(index).read_bytes() != content
        ]

    async def nothing_is_left_over(self) -> bool:
        for sp in self.network.sps:
            store = self.network.piece_store(sp.address)
            if list(store.list_unfinished()):
                return False
            if await self.network.live.job_store.list_groups(sp.address):
                return False
        return True

    async def records(self) -> Mapping[int, IntegrityRecord | None]:
        get = self.network.live.job_store.get_integrity
        return {index: await get(self.holder(index), self.info.id, index) for index in COLUMNS}

    def finding(self, index: int, state: FindingState, *damages: Damage) -> Finding:
        return Finding(
            self.holder(index), self.info.id, index, "album/photo.jpg", state, tuple(damages)
        )

    def change_journal(self, statement: str) -> None:
        with closing(sqlite3.connect(self.network.folder / "jobs.sqlite")) as journal:
            journal.execute(statement)
            journal.commit()


@pytest.fixture
async def scrubbed(tmp_path: Path) -> AsyncIterator[Scrubbed]:
    async with whole_network(tmp_path) as network:
        yield Scrubbed(network)


def _without_reason(findings: tuple[Finding, ...]) -> list[Finding]:
    return [replace(finding, reason="") for finding in findings]


def _removed(file: Path, piece_bytes: int) -> Damage:
    file.unlink()
    return Damage(DamageKind.MISSING, ALL_PIECES)


def _flipped(file: Path, piece_bytes: int) -> Damage:
    damaged = bytearray(file.read_bytes())
    damaged[piece_bytes + 7] ^= 1
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    return Damage(DamageKind.FLIPPED, (1, SEGMENTS_OF_IT - 1))


def _cut(file: Path, piece_bytes: int) -> Damage:
    file.write_bytes(file.read_bytes()[: 3 * piece_bytes + 5])
    return Damage(DamageKind.SHORT, ALL_PIECES[3:])


def _emptied(file: Path, piece_bytes: int) -> Damage:
    file.write_bytes(b"")
    return Damage(DamageKind.SHORT, ALL_PIECES)


def _unreadable(file: Path, piece_bytes: int) -> Damage:
    """A link to itself: whoever opens it, root as well, is refused by the operating system."""
    file.unlink()
    file.symlink_to(file.name)
    return Damage(DamageKind.UNREADABLE, ALL_PIECES)


FAULTS: list[Callable[[Path, int], Damage]] = [_removed, _flipped, _cut, _emptied, _unreadable]


@pytest.mark.parametrize("replica", [False, True], ids=["ec", "replica"])
async def test_what_is_broken_is_named_and_repaired_byte_for_byte(
    scrubbed: Scrubbed, replica: bool
) -> None:
    await scrubbed.put(replica=replica)
    sound = await scrubbed.network.scrub(repair=True)
    assert sound.findings == ()
    assert sound.counts.columns == 7
    for fault in FAULTS:
        broken = []
        for index in (SEGMENTS, 1, 5):
            whole = index == SEGMENTS or replica
            piece_bytes = SEGMENT_SIZE_BYTES if whole else SEGMENT_SIZE_BYTES // 4
            damage = fault(scrubbed.file(index), piece_bytes)
            broken.append(scrubbed.finding(index, FindingState.BROKEN, damage))
        only_named = await scrubbed.network.scrub()
        assert _without_reason(only_named.findings) == broken
        assert scrubbed.wrong_columns() == [SEGMENTS, 1, 5]
        mended = await scrubbed.network.scrub(repair=True)
        assert [*mended.findings] == [replace(f, state=FindingState.REPAIRED) for f in broken]
        assert scrubbed.wrong_columns() == []
    assert (await scrubbed.network.scrub()).findings == ()
    assert await scrubbed.nothing_is_left_over()


async def test_the_primary_and_two_secondaries_may_lose_their_whole_directories(
    scrubbed: Scrubbed,
) -> None:
    await scrubbed.put()
    for index in (SEGMENTS, 0, 4):
        scrubbed.remove_store(index)
    report = await scrubbed.network.scrub(repair=True, object_name="photo.jpg", bucket_name="album")
    # Each SP has a Scrubber here, so a secondary may be looked at before the primary is repaired.
    assert len(report.repaired) == 3
    assert report.broken == ()
    assert scrubbed.wrong_columns() == []
    assert await scrubbed.nothing_is_left_over()


async def test_with_too_much_lost_it_is_listed_and_repaired_once_it_can_be(
    scrubbed: Scrubbed,
) -> None:
    await scrubbed.put()
    files = {index: scrubbed.file(index).read_bytes() for index in (SEGMENTS, 0, 2, 5)}
    for index in files:
        scrubbed.file(index).unlink()
    report = await scrubbed.network.scrub(repair=True)
    assert [finding.redundancy_index for finding in report.broken] == list(files)
    assert all("segment-lost" in finding.reason for finding in report.broken)
    assert report.counts.broken == 4
    assert await scrubbed.nothing_is_left_over()

    scrubbed.file(2).write_bytes(files[2])  # its disk is back
    report = await scrubbed.network.scrub(repair=True)
    assert {finding.redundancy_index for finding in report.repaired} >= {SEGMENTS}
    await scrubbed.network.scrub(repair=True)
    assert scrubbed.wrong_columns() == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("DELETE FROM integrity_records", DamageKind.NO_RECORD),
        ("UPDATE integrity_records SET piece_checksums = ''", DamageKind.WRONG_RECORD),
    ],
)
async def test_lost_and_wrong_records_are_made_again(
    scrubbed: Scrubbed, change: str, kind: DamageKind
) -> None:
    await scrubbed.put()
    before = await scrubbed.records()
    scrubbed.change_journal(change)
    damages = [scrubbed.finding(index, FindingState.BROKEN, Damage(kind)) for index in COLUMNS]
    assert _without_reason((await scrubbed.network.scrub()).findings) == damages
    report = await scrubbed.network.scrub(repair=True)
    assert [finding.state for finding in report.findings] == [FindingState.REPAIRED] * 7
    assert await scrubbed.records() == before


async def test_a_broken_column_without_a_record_is_written_anew(scrubbed: Scrubbed) -> None:
    await scrubbed.put()
    before = await scrubbed.records()
    for index in (SEGMENTS, 3):
        _flipped(scrubbed.file(index), SEGMENT_SIZE_BYTES if index == SEGMENTS else 1024)
        scrubbed.change_journal(f"DELETE FROM integrity_records WHERE redundancy_index = {index}")
        report = await scrubbed.network.scrub(repair=True)
        assert report.findings == (
            scrubbed.finding(
                index,
                FindingState.REPAIRED,
                Damage(DamageKind.FLIPPED, ALL_PIECES),
                Damage(DamageKind.NO_RECORD),
            ),
        )
    assert scrubbed.wrong_columns() == []
    assert await scrubbed.records() == before


async def test_columns_that_nobody_needs_are_named_and_left_where_they_are(
    scrubbed: Scrubbed,
) -> None:
    await scrubbed.put()
    replaced = scrubbed.file(1).with_name(scrubbed.file(2).name)
    replaced.write_bytes(scrubbed.file(1).read_bytes())
    unknown = scrubbed.file(1).with_name("e77_p1")
    unknown.write_bytes(b"what the chain has never heard of")
    report = await scrubbed.network.scrub(repair=True)
    found = [(f.sp_address, f.object_id, f.redundancy_index) for f in report.orphans]
    assert found == [(scrubbed.holder(1), scrubbed.info.id, 2), (scrubbed.holder(1), 77, 1)]
    assert report.broken == report.repaired == ()
    assert replaced.exists()
    assert unknown.exists()


async def test_an_object_that_is_not_sealed_yet_is_left_alone(scrubbed: Scrubbed) -> None:
    await scrubbed.network.start(task_node=False)
    await scrubbed.network.put(PAYLOAD, wait=WaitFor.UPLOADED)
    store = scrubbed.network.piece_store(scrubbed.network.primary)
    [column] = store.list_columns()
    store.delete(column)  # as broken as can be, and its job's matter
    report = await scrubbed.network.scrub(repair=True)
    assert report.findings == ()
    assert report.counts == ScrubCounts(left_alone=7, objects=7)


async def test_only_what_is_asked_for_is_scrubbed(scrubbed: Scrubbed) -> None:
    await scrubbed.put()
    await scrubbed.network.put(PAYLOAD[:100], "other.jpg")
    scrub = scrubbed.network.scrub
    assert (await scrub()).counts.columns == 14
    assert (await scrub(bucket_name="album", object_name="other.jpg")).counts.columns == 7
    assert (await scrub(bucket_name="album")).counts.columns == 14
    later = scrubbed.info.create_at + 1000.0
    assert (await scrub(created_since=later)).counts == ScrubCounts()


async def _until(reached: Callable[[], bool]) -> None:
    """The test's own timeout ends a wait in vain."""
    while True:
        if reached():
            return
        await asyncio.sleep(0.02)


async def test_the_background_scrub_repairs_by_itself(scrubbed: Scrubbed) -> None:
    scrubbed.network.scrubber = ScrubberSettings(bandwidth_bytes_s=1 << 30, interval_s=0.2)
    await scrubbed.put()
    scrubbed.network.start_scrubbers()
    for index in (SEGMENTS, 2):
        _removed(scrubbed.file(index), 0)
        await _until(lambda: scrubbed.wrong_columns() == [])


async def test_a_scrub_goes_on_after_a_restart_where_it_was(scrubbed: Scrubbed) -> None:
    network = scrubbed.network
    # A column counts as 256 KiB: four of these objects a second.
    network.scrubber = ScrubberSettings(retry_s=0.1, save_interval_s=0.001)
    await scrubbed.put()
    for number in range(3):
        await network.put(PAYLOAD[:1000], f"small-{number}.jpg")
    _removed(scrubbed.file(SEGMENTS), 0)
    waiting = asyncio.create_task(network.scrub(repair=True, bandwidth_bytes_s=1 << 20))
    journal = network.folder / "jobs.sqlite"

    def two_objects_are_done() -> bool:
        with closing(sqlite3.connect(journal)) as db:
            rows = db.execute("SELECT state FROM scrub_runs WHERE background = 0").fetchall()
        return any(json.loads(state)["position"] >= 2 for (state,) in rows)

    await _until(two_objects_are_done)
    await network.kill()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await network.start()
    network.start_scrubbers()
    runs = await _runs_of(network, lambda runs: all(run.ended_at is not None for run in runs))
    assert [run.counts.objects for run in runs] == [4] * 7
    assert scrubbed.wrong_columns() == []


async def _runs_of(
    network: WholeNetwork, reached: Callable[[list[ScrubRun]], bool], *, background: bool = False
) -> list[ScrubRun]:
    """Of all Scrubbers, once there are some and they have ``reached`` something."""
    while True:
        of_each = [
            await network.live.job_store.list_scrubs(names.scrubber(index).actor)
            for index in range(7)
        ]
        runs = [r for of_one in of_each for r in of_one if r.order.background == background]
        if runs and reached(runs):
            return runs
        await asyncio.sleep(0.02)


def _unfinished(runs: list[ScrubRun]) -> list[ScrubRun]:
    return [run for run in runs if run.ended_at is None]


class Interrupted(PassingReceiver):
    """Calls ``before_finish`` before a group is finished."""

    before_finish: Callable[[GroupKey], None] = staticmethod(lambda key: None)

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        self.before_finish(key)
        return await super().finish(sp_address, key)


async def test_what_is_deleted_during_its_repair_stays_deleted(scrubbed: Scrubbed) -> None:
    receivers: dict[str, Interrupted] = {}

    def decorate(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        receivers[sp_address] = Interrupted(receiver)
        return receivers[sp_address]

    scrubbed.network.decorate = decorate
    await scrubbed.put()
    _flipped(scrubbed.file(3), 1024)
    store = scrubbed.network.piece_store(scrubbed.holder(3))
    receivers[scrubbed.holder(3)].before_finish = lambda key: store.delete(
        ColumnKey(key.object_id, key.redundancy_index)
    )
    [finding] = (await scrubbed.network.scrub(repair=True)).findings
    assert finding.state is FindingState.BROKEN
    assert not scrubbed.file(3).exists()
    assert await scrubbed.nothing_is_left_over()


async def test_a_download_and_a_scrub_may_repair_the_same_column(scrubbed: Scrubbed) -> None:
    await scrubbed.put()
    for _ in range(3):
        _removed(scrubbed.file(SEGMENTS), 0)
        payload, _report = await asyncio.gather(
            scrubbed.network.get(), scrubbed.network.scrub(repair=True)
        )
        assert payload == PAYLOAD
        await _until(lambda: scrubbed.wrong_columns() == [])


async def test_scrubs_beside_uploads_find_nothing_and_break_nothing(scrubbed: Scrubbed) -> None:
    await scrubbed.put()

    async def scrub_again_and_again() -> None:
        while True:
            report = await scrubbed.network.scrub(repair=True)
            assert report.findings == ()

    scrubbing = asyncio.create_task(scrub_again_and_again())
    for number in range(3):
        await scrubbed.network.put(PAYLOAD, f"{number}.jpg")
    assert not scrubbing.done() or scrubbing.result()
    scrubbing.cancel()
    await asyncio.gather(scrubbing, return_exceptions=True)
    for number in range(3):
        assert await scrubbed.network.get(f"{number}.jpg") == PAYLOAD


async def test_a_slow_scrub_makes_room_at_once(scrubbed: Scrubbed) -> None:
    """At a byte per second the second object would take days."""
    network = scrubbed.network
    network.scrubber = ScrubberSettings(bandwidth_bytes_s=1, interval_s=0.01)
    await scrubbed.put()
    await network.put(PAYLOAD[:1000], "other.jpg")
    network.start_scrubbers()
    await _runs_of(network, lambda runs: len(_unfinished(runs)) == 7, background=True)
    assert (await network.scrub()).counts.columns == 14  # before the background's

    slow = asyncio.create_task(network.scrub(bandwidth_bytes_s=1))
    await _runs_of(network, lambda runs: len(_unfinished(runs)) == 7)
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert (await network.scrub()).counts.columns == 14
