"""What is sealed stays readable: broken segments are rebuilt from the secondaries, and repaired."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from greenray.actors.ports import HeldPiece, ReceiverPort
from greenray.chain.crypto import keccak256, sign_digest
from greenray.client.download_sources import DownloadSources
from greenray.protocol.errors import ComponentUnavailable, GreenrayError, JournalError
from greenray.protocol.http_auth import canonical_request, format_authorization, message_to_sign
from greenray.protocol.layout import SEGMENTS, ColumnLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.file_location import FileLocation
from greenray.storage.ports import ColumnKey
from tests.support.faulty_secondaries import PassingReceiver
from tests.support.payloads import ctr_payload
from tests.support.whole_network import (
    SEGMENT_SIZE_BYTES,
    USER_KEY,
    WholeNetwork,
    whole_network,
)

PAYLOAD = bytes(ctr_payload("broken segments", 5 * SEGMENT_SIZE_BYTES + 1234))


class PieceKeeper(PassingReceiver):
    """Remembers the pieces that it was asked for, and may be dead, silent or false."""

    def __init__(self, honest: ReceiverPort) -> None:
        super().__init__(honest)
        self.asked: list[int] = []
        """Segments, one for each call."""
        self.dead = False
        self.failing: GreenrayError | None = None
        self.false: Callable[[HeldPiece], HeldPiece] | None = None
        self.silent = False
        self.goes_on = asyncio.Event()

    async def read_piece(
        self, sp_address: str, key: ColumnKey, layout: ColumnLayout, piece_index: int
    ) -> HeldPiece:
        self.asked.append(piece_index)
        if self.dead:
            raise ComponentUnavailable("the process is gone", "test")
        if self.failing is not None:
            raise self.failing
        if self.silent:
            await self.goes_on.wait()
        held = await super().read_piece(sp_address, key, layout, piece_index)
        return self.false(held) if self.false else held


class Sealed:
    """A network with one sealed object, its files, and the keepers of its pieces."""

    def __init__(self, network: WholeNetwork) -> None:
        self.network = network
        self._keepers: dict[str, PieceKeeper] = {}
        self.info: ObjectInfo
        network.decorate = self._keeper

    def _keeper(self, sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        self._keepers[sp_address] = PieceKeeper(receiver)
        return self._keepers[sp_address]

    async def put(self, *, replica: bool = False) -> None:
        await self.network.start()
        await self.network.put(PAYLOAD, replica=replica)
        chain = self.network.live.actors["chain"]
        self.info = await chain.head_object("album", "photo.jpg")

    def keeper(self, index: int) -> PieceKeeper:
        return self._keepers[self.info.secondary_sp_addresses[index]]

    @property
    def asked(self) -> dict[int, list[int]]:
        """Segments by the redundancy index that was asked for its pieces of them."""
        keepers = {index: self.keeper(index) for index in range(6)}
        return {index: keeper.asked for index, keeper in keepers.items() if keeper.asked}

    def file(self, index: int = SEGMENTS) -> Path:
        holder = self.network.primary
        if index != SEGMENTS:
            holder = self.info.secondary_sp_addresses[index]
        pieces = FileLocation(self.network.folder / "pieces", durable=False)
        return Path(pieces.place(holder, ColumnKey(self.info.id, index)))

    @property
    def downloaded(self) -> list[Path]:
        """Files that a download has left."""
        return list(self.network.folder.glob("downloaded-*"))

    async def repaired(self) -> None:
        """Return when the primary's file is the payload again; the test's timeout ends a wait in
        vain."""
        while True:
            if self.file().is_file() and self.file().read_bytes() == PAYLOAD:
                return
            await asyncio.sleep(0.02)

    async def get_range(self, header: str) -> bytes:
        """A GET over HTTP, signed by the user. Raises aiohttp.ClientError when it breaks off."""
        endpoint = self.network.live.endpoints[self.network.primary]
        headers = {"Host": endpoint.removeprefix("http://"), "Range": header}
        path = "/album/photo.jpg"
        canonical = canonical_request("GET", path, "", headers.items(), headers["Host"])
        message = message_to_sign(canonical, keccak256)
        authorization = format_authorization(message, sign_digest(USER_KEY, message))
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                endpoint + path,
                headers={**headers, "Authorization": authorization},
                skip_auto_headers=["Content-Type"],
            ) as answer,
        ):
            assert answer.status == 206, await answer.text()
            return await answer.read()


@pytest.fixture
async def sealed(tmp_path: Path) -> AsyncIterator[Sealed]:
    async with whole_network(tmp_path) as network:
        yield Sealed(network)


def _removed(file: Path) -> None:
    file.unlink()


def _flipped(file: Path) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[SEGMENT_SIZE_BYTES + 7] ^= 1
    file.write_bytes(damaged)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: 3 * SEGMENT_SIZE_BYTES + 5])


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _unreadable(file: Path) -> None:
    """A link to itself: whoever opens it, root as well, is refused by the operating system."""
    file.unlink()
    file.symlink_to(file.name)


FAULTS = [_removed, _flipped, _cut, _emptied, _unreadable]


@pytest.mark.parametrize("replica", [False, True], ids=["ec", "replica"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_broken_segment_file_is_read_as_if_nothing_were_and_is_whole_afterwards(
    sealed: Sealed, fault: Callable[[Path], None], replica: bool
) -> None:
    await sealed.put(replica=replica)
    fault(sealed.file())
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()
    assert list(sealed.network.piece_store(sealed.network.primary).list_unfinished()) == []
    for keeper in range(6):
        sealed.keeper(keeper).asked.clear()
    assert await sealed.network.get() == PAYLOAD
    assert sealed.asked == {}, "a repaired object was rebuilt again"


async def test_an_object_that_is_whole_is_nobody_elses_business(sealed: Sealed) -> None:
    await sealed.put()
    assert await sealed.network.get() == PAYLOAD
    assert sealed.asked == {}


async def test_the_whole_piece_directory_of_the_primary_may_be_gone(sealed: Sealed) -> None:
    await sealed.put()
    store = sealed.file().parents[2]
    for file in sorted(store.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()


@pytest.mark.parametrize("lost", [(0, 1), (0, 3), (2, 5), (4, 5)])
async def test_any_two_secondaries_may_be_gone_as_well(
    sealed: Sealed, lost: tuple[int, int]
) -> None:
    await sealed.put()
    _removed(sealed.file())
    sealed.keeper(lost[0]).dead = True
    _removed(sealed.file(lost[1]))
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()


def _other_bytes(held: HeldPiece) -> HeldPiece:
    return replace(held, piece=held.piece[::-1].copy())


def _other_length(held: HeldPiece) -> HeldPiece:
    return replace(held, piece=held.piece[1:])


def _other_bytes_with_their_own_checksums(held: HeldPiece) -> HeldPiece:
    false = _other_bytes(held)
    digest = hashlib.sha256(false.piece.data).digest()
    return replace(false, checksums=(digest,) * len(held.checksums))


def _fewer_checksums(held: HeldPiece) -> HeldPiece:
    return replace(held, checksums=held.checksums[:-1])


@pytest.mark.parametrize(
    "lie", [_other_bytes, _other_length, _other_bytes_with_their_own_checksums, _fewer_checksums]
)
async def test_who_lies_is_found_out_and_not_asked_again(
    sealed: Sealed, lie: Callable[[HeldPiece], HeldPiece]
) -> None:
    await sealed.put()
    _removed(sealed.file())
    sealed.keeper(1).false = lie
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()
    # The segments that are read at once may all have asked before the first lie was known.
    assert len(sealed.keeper(1).asked) <= 2
    assert len(sealed.keeper(4).asked) > 2


async def test_a_flipped_byte_at_a_secondary_is_found_out(sealed: Sealed) -> None:
    await sealed.put()
    _removed(sealed.file())
    damaged = bytearray(sealed.file(2).read_bytes())
    damaged[3] ^= 1
    sealed.file(2).write_bytes(damaged)
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()


async def test_who_is_silent_is_raced_by_others(sealed: Sealed) -> None:
    sealed.network.downloader = replace(sealed.network.downloader, hedge_s=0.05)
    await sealed.put()
    _removed(sealed.file())
    sealed.keeper(0).silent = sealed.keeper(3).silent = True
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()
    sealed.keeper(0).goes_on.set()
    sealed.keeper(3).goes_on.set()


async def test_a_range_asks_only_for_the_segments_it_needs(sealed: Sealed) -> None:
    await sealed.put()
    _flipped(sealed.file())
    first = SEGMENT_SIZE_BYTES - 10
    assert await sealed.get_range(f"bytes={first}-{first + 19}") == PAYLOAD[first : first + 20]
    await sealed.repaired()
    assert {segment for segments in sealed.asked.values() for segment in segments} == {1}
    assert set(sealed.asked) == {0, 1, 2, 3}, "parity is asked for although all data is there"


async def test_with_too_much_lost_the_answer_names_the_lost_pieces_and_no_file_appears(
    sealed: Sealed,
) -> None:
    await sealed.put()
    _removed(sealed.file())
    for index in (0, 2, 5):
        _removed(sealed.file(index))
    with pytest.raises(GreenrayError) as refused:
        await sealed.network.get()
    assert refused.value.reason == "segment-lost"
    text = str(refused.value)
    assert [index for index in range(6) if f"index {index} at" in text] == [0, 2, 5]
    assert not sealed.downloaded


async def test_what_breaks_off_in_the_middle_does_not_pass_as_whole(
    sealed: Sealed,
) -> None:
    await sealed.put()
    _flipped(sealed.file())
    for index in (1, 2, 3):
        sealed.keeper(index).dead = True
    with pytest.raises(aiohttp.ClientError):
        await sealed.get_range("bytes=0-9000")
    with pytest.raises(GreenrayError):
        await sealed.network.get()
    assert not sealed.downloaded
    assert await sealed.get_range("bytes=0-9") == PAYLOAD[:10]


async def test_downloads_at_once_repair_once(sealed: Sealed) -> None:
    await sealed.put()
    _removed(sealed.file())
    downloads = [sealed.network.get() for _ in range(4)]
    assert await asyncio.gather(*downloads) == [PAYLOAD] * 4
    await sealed.repaired()
    assert list(sealed.network.piece_store(sealed.network.primary).list_unfinished()) == []


@pytest.mark.parametrize("fault", [_removed, _flipped, _cut])
async def test_what_a_download_has_rebuilt_its_repair_does_not_rebuild_again(
    sealed: Sealed, fault: Callable[[Path], None]
) -> None:
    await sealed.put()
    fault(sealed.file())
    assert await sealed.network.get() == PAYLOAD
    await sealed.repaired()
    for segments in sealed.asked.values():
        assert len(segments) == len(set(segments)), "a piece was asked for twice"


async def test_a_repair_goes_on_alone_when_its_download_is_broken_off(sealed: Sealed) -> None:
    await sealed.put()
    _removed(sealed.file())
    assert await sealed.get_range("bytes=0-9") == PAYLOAD[:10]
    await sealed.repaired()


def _forget_record(sealed: Sealed) -> None:
    """As a journal that was restored from an older backup."""
    with closing(sqlite3.connect(sealed.network.folder / "jobs.sqlite")) as journal:
        journal.execute("DELETE FROM integrity_records WHERE redundancy_index = -1")
        journal.commit()


@pytest.mark.parametrize("fault", [None, _removed, _flipped])
async def test_a_lost_integrity_record_is_made_again(
    sealed: Sealed, fault: Callable[[Path], None] | None
) -> None:
    await sealed.put()
    journal, primary = sealed.network.live.job_store, sealed.network.primary
    before = await journal.get_integrity(primary, sealed.info.id, SEGMENTS)
    _forget_record(sealed)
    if fault is not None:
        fault(sealed.file())
    downloads = [sealed.network.get() for _ in range(2)]
    assert await asyncio.gather(*downloads) == [PAYLOAD] * 2
    await sealed.repaired()
    assert await journal.get_integrity(primary, sealed.info.id, SEGMENTS) == before


async def test_without_record_and_enough_pieces_the_answer_says_what_is_lost(
    sealed: Sealed,
) -> None:
    await sealed.put()
    _forget_record(sealed)
    _removed(sealed.file())
    for index in (0, 2, 5):
        _removed(sealed.file(index))
    with pytest.raises(GreenrayError) as refused:
        await sealed.network.get()
    assert refused.value.reason == "segment-lost"


async def test_a_journal_that_fails_is_blamed_on_nobody(sealed: Sealed) -> None:
    await sealed.put()
    _removed(sealed.file())
    for index in range(6):
        sealed.keeper(index).failing = JournalError("cannot be read", "jobs.sqlite")
    with pytest.raises(GreenrayError) as refused:
        await sealed.network.get()
    assert refused.value.reason == "journal-error"
    for index in range(6):
        sealed.keeper(index).failing = None
        sealed.keeper(index).asked.clear()
    assert await sealed.network.get() == PAYLOAD
    assert set(sealed.asked) == {0, 1, 2, 3}, "holders were distrusted"


async def _sources(sealed: Sealed) -> DownloadSources:
    """Of a download of the whole object."""
    told: list[DownloadSources] = []
    async with sealed.network.client() as client:
        target = sealed.network.folder / "downloaded-with-sources"
        await client.get("album", "photo.jpg", target, on_sources=told.append)
    assert target.read_bytes() == PAYLOAD
    return told[0]


async def test_a_download_tells_that_all_came_from_the_primary(sealed: Sealed) -> None:
    await sealed.put()
    assert await _sources(sealed) == DownloadSources(len(PAYLOAD), 0, {})


async def test_a_download_tells_what_was_rebuilt_and_who_gave_the_pieces(sealed: Sealed) -> None:
    await sealed.put()
    _flipped(sealed.file())
    givers = sealed.info.secondary_sp_addresses[:4]
    assert await _sources(sealed) == DownloadSources(
        len(PAYLOAD) - SEGMENT_SIZE_BYTES,
        SEGMENT_SIZE_BYTES,
        dict.fromkeys(givers, SEGMENT_SIZE_BYTES // 4),
    )


async def test_of_a_replica_object_one_copy_is_enough(sealed: Sealed) -> None:
    await sealed.put(replica=True)
    _removed(sealed.file())
    giver = sealed.info.secondary_sp_addresses[0]
    assert await _sources(sealed) == DownloadSources(0, len(PAYLOAD), {giver: len(PAYLOAD)})
