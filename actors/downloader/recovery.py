"""A broken segment, made again from what others hold of the object."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.ports import Column, HeldPiece, PieceSource
from greenray.actors.uploader.ingest import run_in
from greenray.coding.codec import Codec
from greenray.coding.hashing import hash_messages
from greenray.protocol.errors import (
    CorruptPiece,
    GreenrayError,
    JournalError,
    SecondaryLied,
    SegmentLost,
)
from greenray.protocol.integrity import expected_integrity_hash, integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.piece_race import PieceRace, races_for
from greenray.storage.ports import ColumnKey

log = logging.getLogger(__name__)

_FALSE_PIECE = "the piece does not have its checksum"


class HolderFaults:
    """What has gone wrong with the pieces of each holder since its last good one."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, holder: str, fault: str) -> None:
        self._counts[holder] += 1
        log.warning("%s, fault %d in a row: %s", holder, self._counts[holder], fault)

    def forgive(self, holder: str) -> None:
        self._counts.pop(holder, None)

    def of(self, holder: str) -> int:
        return self._counts[holder]


@dataclass(frozen=True, slots=True)
class RecoveryTools:
    """What every recovery of a process shares."""

    source: PieceSource
    codec: Callable[[], Codec]
    pool: Executor
    slots: asyncio.Semaphore
    settings: DownloaderSettings
    faults: HolderFaults = field(default_factory=HolderFaults)


class SegmentRecovery:
    """Makes segments of one sealed object from what others hold of it."""

    def __init__(
        self,
        sp_address: str,
        info: ObjectInfo,
        layout: PayloadLayout,
        tools: RecoveryTools,
        *,
        primary: str = "",
        repaired_index: int = SEGMENTS,
        suspects: Collection[int] = (),
    ) -> None:
        """``sp_address``: in whose name pieces are asked for. ``primary``: who holds the segments,
        if they are worth asking for. ``repaired_index``: the column that the segments are wanted
        for, of which nothing is asked. ``suspects``: columns that are known as broken."""
        self._sp_address = sp_address
        self._info = info
        self._layout = layout
        self._tools = tools
        self._holders = dict(enumerate(info.secondary_sp_addresses))
        if primary:
            self._holders[SEGMENTS] = primary
        self._repaired_index = repaired_index
        self._suspects = frozenset(suspects)

    async def rebuild(
        self, segment: int, checksum: bytes | None, into: Column
    ) -> Mapping[str, int]:
        """Write the segment to the start of ``into``; returns the bytes of pieces that it was made
        of, by holder. ``checksum`` None: it is not known, and pieces with theirs have to do. Where
        it is known it proves all pieces at once, and they are hashed one by one only to find out
        which is false.

        Raises: SegmentLost, CodingError, JournalError (the own one, so that nothing is known of
        pieces); what is in ``into`` is undefined then.
        """
        async with self._tools.slots:
            return await self._win_any(segment, checksum, into)

    async def _win_any(
        self, segment: int, checksum: bytes | None, into: Column
    ) -> Mapping[str, int]:
        """``rebuild`` by the first race that is won."""
        blamed = {i for i, holder in self._holders.items() if self._tools.faults.of(holder)}
        *first, last = races_for(
            self._repaired_index,
            self._holders,
            self._layout.data_columns,
            self._suspects | blamed,
        )
        for race in first:
            try:
                return await self._win(segment, checksum, into, race)
            except SegmentLost as error:
                log.debug("not from there: %s", error)
        return await self._win(segment, checksum, into, last)

    async def _win(
        self, segment: int, checksum: bytes | None, into: Column, race: PieceRace
    ) -> Mapping[str, int]:
        tools = self._tools
        pieces: dict[int, HeldPiece] = {}
        failures: dict[int, Exception] = {}
        while True:
            race = await self._collect(segment, race, pieces, failures, hashed=checksum is None)
            columns = {index: held.piece for index, held in pieces.items()}
            if await run_in(tools.pool, self._join, segment, checksum, columns, into):
                break
            false = await run_in(tools.pool, self._false_pieces, segment, pieces)
            if not false:
                raise SegmentLost(
                    f"segment {segment}, rebuilt from good pieces, does not have its checksum",
                    self._info.name,
                )
            for index in false:
                self._blame([index], _FALSE_PIECE)
                failures[index] = CorruptPiece(_FALSE_PIECE)
                del pieces[index]
            race = race.exposed(false)
        for index in pieces:
            tools.faults.forgive(self._holders[index])
        return {self._holders[index]: column.nbytes for index, column in columns.items()}

    async def _collect(
        self,
        segment: int,
        race: PieceRace,
        pieces: dict[int, HeldPiece],
        failures: dict[int, Exception],
        *,
        hashed: bool,
    ) -> PieceRace:
        """Run the race until it is won: then ``pieces`` has as many as make the segment, by
        redundancy index, each with the chain's checksums. ``hashed``: and with its own. What did
        not come is in ``failures``.

        Raises SegmentLost, JournalError.
        """
        fetches: dict[asyncio.Task[HeldPiece], int] = {}
        try:
            while not race.is_won:
                if race.is_lost:
                    raise self._lost(segment, race, failures)
                for index in race.next_indices:
                    fetches[asyncio.create_task(self._fetch(index, segment, hashed))] = index
                    race = race.asked([index])
                done, _ = await asyncio.wait(
                    fetches,
                    timeout=self._tools.settings.hedge_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    self._blame(race.running - race.slow, "it is slow")
                    race = race.stalled()
                for fetch in done:
                    index = fetches.pop(fetch)
                    try:
                        pieces[index] = fetch.result()
                        race = race.came(index)
                    except (GreenrayError, TimeoutError) as error:
                        failures[index] = error
                        if not isinstance(error, JournalError):
                            self._blame([index], _reason(error))
                        race = race.broke(index)
        finally:
            for fetch in fetches:
                fetch.cancel()
        return race

    async def _fetch(self, index: int, segment: int, hashed: bool) -> HeldPiece:
        tools, holder = self._tools, self._holders[index]
        async with asyncio.timeout(tools.settings.piece_timeout_s):
            held = await tools.source.read_piece(
                self._sp_address,
                holder,
                ColumnKey(self._info.id, index),
                self._layout.column(index),
                segment,
            )
        self._check(held, index, segment)
        if hashed:
            false = await run_in(tools.pool, self._false_pieces, segment, {index: held})
            if false:
                raise CorruptPiece(_FALSE_PIECE)
        return held

    def _check(self, held: HeldPiece, index: int, segment: int) -> None:
        """Compare the piece's size with its column's, and the checksums with the chain's."""
        expected = expected_integrity_hash(self._info, index)
        if len(held.checksums) != self._layout.segment_count:
            raise SecondaryLied(f"it has checksums of {len(held.checksums)} pieces")
        if integrity_hash(held.checksums) != expected:
            raise SecondaryLied("its checksums are not those of the object on chain")
        if held.piece.nbytes != self._layout.column(index).piece_length(segment):
            raise CorruptPiece(f"the piece has {held.piece.nbytes} bytes")

    def _false_pieces(self, segment: int, pieces: Mapping[int, HeldPiece]) -> list[int]:
        """Those that do not have their checksum."""
        digests = hash_messages([[held.piece.data] for held in pieces.values()])
        return [
            index
            for (index, held), digest in zip(pieces.items(), digests, strict=True)
            if digest != held.checksums[segment]
        ]

    def _join(
        self, segment: int, checksum: bytes | None, pieces: Mapping[int, Column], into: Column
    ) -> bool:
        """Whether what the pieces make has the checksum."""
        layout = self._layout
        view = into[: layout.segment_length(segment)]
        if layout.replica or SEGMENTS in pieces:
            view[:] = next(iter(pieces.values()))
        else:
            self._decode(segment, pieces, into)
        return checksum is None or hashlib.sha256(view.data).digest() == checksum

    def _decode(self, segment: int, pieces: Mapping[int, Column], into: Column) -> None:
        """The segment, and the zeros behind it that make its last shard a whole one."""
        layout = self._layout
        size_bytes, length = layout.shard_size(segment), layout.segment_length(segment)
        padded_bytes = layout.k * size_bytes
        place = into[:padded_bytes] if padded_bytes <= len(into) else np.empty(padded_bytes, "u1")
        shards = [pieces.get(index) for index in range(layout.n)]
        data = dict(enumerate(place.reshape(layout.k, size_bytes)))
        self._tools.codec().reconstruct_into(shards, layout.k, layout.m, data)
        if padded_bytes > len(into):
            into[:length] = place[:length]

    def _blame(self, indices: Collection[int], fault: str) -> None:
        for index in indices:
            where = f"a piece of {self._info.name}, redundancy index {index}"
            self._tools.faults.count(self._holders[index], f"{where}: {fault}")

    def _lost(
        self, segment: int, race: PieceRace, failures: Mapping[int, Exception]
    ) -> SegmentLost | JournalError:
        for failure in failures.values():
            if isinstance(failure, JournalError):
                return failure
        failed = "; ".join(
            f"index {index} at {self._holders[index]}: {_reason(failures[index])}"
            for index in sorted(failures)
        )
        return SegmentLost(
            f"segment {segment} is broken here, and of {len(race.order)} pieces {race.needed} are "
            f"needed to rebuild it, but these did not come: {failed or 'none has a holder'}",
            self._info.name,
            "Try again when their holders answer",
        )


def _reason(error: Exception) -> str:
    return error.what if isinstance(error, GreenrayError) else "no answer in time"
