"""Collector: removes columns and rows of objects that the chain has no more, and groups of
secondaries that were replaced.

It learns of them from the blocks' events and by comparing all that is stored with the chain, writes
down since when they wait, asks the chain again when their time has come, and removes only what it
confirms (``greenray.protocol.collection``). Bytes go before their rows: what a crash leaves is
found again by either. The blocks that it reads make the index of buckets and objects, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from greenray.actors.collector.index_keeper import IndexKeeper
from greenray.actors.collector.leftovers import Leftover, Leftovers
from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.collector.stored import Found, found_in_rows, found_in_stores, in_batches
from greenray.actors.ports import Collected, CollectionReport, IndexReport, WaitingCollection
from greenray.chain.ports import FollowedChain
from greenray.protocol.collection import (
    BlockNews,
    Cause,
    ChainKnowledge,
    ChainTip,
    Collectable,
    Holding,
    ObjectSighting,
    Standing,
    cause_of,
    collectable_of,
    gone_error,
)
from greenray.protocol.errors import ChainNotComparable, ComponentUnavailable, GreenrayError
from greenray.protocol.job import JobError
from greenray.protocol.layout import SEGMENTS
from greenray.storage.object_index import IndexRows
from greenray.storage.ports import (
    CollectorJournal,
    ColumnKey,
    JobStore,
    PieceStore,
    StoredColumn,
)

log = logging.getLogger(__name__)

_BLOCKS_AT_ONCE = 32
_OBJECTS_AT_ONCE = 64
_MAX_BLOCKS_BEHIND = 10_000
"""Who is further behind compares instead of reading them all."""

_OBSTACLES = {
    Standing.BEHIND: "the node is behind what it has shown before; nothing is collected meanwhile",
    Standing.OTHER_CHAIN: "the node is of another chain than the pieces are of",
    Standing.OTHER_HISTORY: "the chain went back while it was compared",
    Standing.NEW: "nothing is known of the chain yet",
}


class Collector:
    """One for all SPs of a network; ``run`` lives as long as the actor."""

    def __init__(
        self,
        *,
        chain: FollowedChain,
        journal: CollectorJournal,
        job_store: JobStore,
        piece_stores: Mapping[str, PieceStore],
        clock: Callable[[], float],
        index: IndexRows | None = None,
        settings: CollectorSettings | None = None,
    ) -> None:
        """``piece_stores``: by operator address, of all hosted SPs. ``clock``: unix seconds.
        ``index``: of buckets and objects, kept from the same blocks; None: nobody lists them."""
        self._chain = chain
        self._journal = journal
        self._jobs = job_store
        self._stores = piece_stores
        self._clock = clock
        self._settings = settings or CollectorSettings()
        self._leftovers = Leftovers()
        self._index = IndexKeeper(chain, index) if index is not None else None
        self._working = asyncio.Lock()
        self._reading = asyncio.Lock()
        """Held by who changes what is known of the chain."""
        self._histories = 0
        """How many histories of the chain were seen to end."""
        self._closing = asyncio.Event()
        self._compared_at: float | None = None
        self._complaint = ""

    async def run(self) -> None:
        """Look for what can be collected, end the jobs of what is gone, and collect if that is
        enabled; keep the index; until ``close``."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repeat(self._try_pass, self._settings.poll_s))
                if self._index is not None:
                    tasks.create_task(self._repeat(self._try_follow, self._settings.follow_s))
        finally:
            if self._index is not None:
                await self._index.close()

    async def _repeat(self, act: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while not self._closing.is_set():
            await act()
            try:
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()
            except TimeoutError:
                continue

    async def collect(self, *, dry_run: bool) -> CollectionReport:
        """See ``greenray.actors.ports.CollectorPort``."""
        async with self._working:
            await self._catch_up()
            await self._compare()
            collected = await self._collect_due(dry_run=dry_run)
            now = self._clock()
            waiting = [
                WaitingCollection(one, max(0.0, one.noticed_at + self._settings.delay_s - now))
                for one in await self._journal.list_collectable()
            ]
        return CollectionReport(tuple(collected), tuple(waiting), dry_run)

    async def follow(self) -> None:
        """See ``greenray.actors.ports.CollectorPort``."""
        if self._index is not None:
            await self._follow(self._index)

    async def rebuild_index(self) -> IndexReport:
        """See ``greenray.actors.ports.CollectorPort``."""
        if self._index is None:
            raise ComponentUnavailable("this network keeps no index", "index")
        report = await self._index.rebuild()
        await self._catch_up()
        return report

    async def close(self) -> None:
        """Let the pass that runs end."""
        self._closing.set()
        if self._index is not None:
            await self._index.close()
        async with self._working, self._reading:
            return

    # --- passes ----------------------------------------------------------------------------------

    async def _try_pass(self) -> None:
        """What is in the way is said once, until it changes."""
        complaint = ""
        try:
            async with self._working:
                await self._catch_up()
                if self._is_comparison_due():
                    await self._compare()
                if self._settings.enabled:
                    await self._collect_due(dry_run=False)
        except GreenrayError as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            log.warning("nothing can be collected: %s", complaint)
        self._complaint = complaint

    async def _try_follow(self) -> None:
        """What is in the way is said by the passes."""
        with suppress(GreenrayError):
            await self.follow()

    async def _follow(self, index: IndexKeeper) -> None:
        """Take new blocks into the index, and begin to build it if it is not there."""
        tip = await self._chain.latest_block()
        height, known = await index.height(), await self._journal.load_knowledge()
        if height is None or height < tip.height or known is None or known.anchor != tip:
            await self._catch_up()
        index.build_if_needed(await index.height())
        await index.wait_for_first()

    def _is_comparison_due(self) -> bool:
        interval_s = self._settings.compare_interval_s
        return self._compared_at is None or self._clock() >= self._compared_at + interval_s

    # --- what the chain says ---------------------------------------------------------------------

    async def _catch_up(self) -> ChainKnowledge:
        """Read the blocks that came since; what they removed waits from now on, and its jobs end.

        Raises: ChainNotComparable, ChainError, StoreError.
        """
        async with self._reading:
            known = await self._journal.load_knowledge()
            if known is None:
                first, tip = await asyncio.gather(
                    self._chain.first_block_hash(), self._chain.latest_block()
                )
                known = ChainKnowledge.start(first, tip)
                await self._journal.save_knowledge(known)
                return known
            first, tip, standing = await self._standing(known)
            if standing is Standing.OTHER_HISTORY:
                return await self._start_anew(known, first, tip)
            _check(standing, known)
            return await self._read_blocks(known, tip)

    async def _start_anew(
        self, known: ChainKnowledge, first_block_hash: str, tip: ChainTip
    ) -> ChainKnowledge:
        log.warning(
            "the chain is not what it was at height %d: what waited begins to wait anew",
            known.anchor.height,
        )
        self._histories += 1
        if self._index is not None:
            await self._index.forget()
        known = ChainKnowledge.start(first_block_hash or known.first_block_hash, tip)
        await self._journal.start_anew(known)
        self._compared_at = None
        return known

    async def _read_blocks(self, known: ChainKnowledge, tip: ChainTip) -> ChainKnowledge:
        news = await self._news_of(known, tip)
        after = known.after_blocks(news, tip)
        now = self._clock()
        found = [
            Collectable(removal.object_id, removal.cause, now, block.height)
            for block in news
            for removal in block.removals
        ]
        await self._journal.save_knowledge(after, found)
        await self._end_jobs(after, found)
        return after

    async def _news_of(self, known: ChainKnowledge, tip: ChainTip) -> list[BlockNews]:
        """Of the blocks that are not known yet, each read once for the index, too; where one is
        missing, or too many are, what is stored is compared, and the index is built anew."""
        index_height = await self._index.height() if self._index is not None else None
        heights = new = range(known.read_height + 1, tip.height + 1)
        if self._index is not None and index_height is not None:
            heights = range(min(known.read_height, index_height) + 1, tip.height + 1)
            if len(heights) > _MAX_BLOCKS_BEHIND:
                self._index.lose()
                heights = new
        news: list[BlockNews] = []
        if len(heights) > _MAX_BLOCKS_BEHIND:
            self._compared_at = None
            return news
        for some in in_batches(heights, _BLOCKS_AT_ONCE):
            answers = await asyncio.gather(*map(self._chain.block_record, some))
            read = [block for block in answers if block is not None]
            is_whole = len(read) == len(some)
            if not is_whole and some[-1] in new:
                self._compared_at = None
            if self._index is not None:
                await self._index.take(read, some[-1], is_whole=is_whole)
            news += (block.news for block in read if block.height in new)
        return news

    async def _end_jobs(self, known: ChainKnowledge, found: Iterable[Collectable]) -> None:
        """A job whose object is gone is not tried again; what it has stored waits."""
        gone = (one for one in found if one.is_whole_object)
        for some in in_batches(gone, _OBJECTS_AT_ONCE):
            sightings = await self._sight(one.object_id for one in some)
            for one in some:
                if one.holds_still(sightings[one.object_id], known):
                    await self._journal.end_jobs(list(self._stores), one.object_id, _error_of(one))

    async def _standing(self, known: ChainKnowledge) -> tuple[str, ChainTip, Standing]:
        """Of the node: the hash of its first block, its newest block, and what both mean."""
        # Asked together, they are answered together: by one node.
        first, tip, anchor_hash = await asyncio.gather(
            self._chain.first_block_hash(),
            self._chain.latest_block(),
            self._chain.block_hash(known.anchor.height),
        )
        return first, tip, known.standing(first, tip, anchor_hash)

    async def _sight(
        self, object_ids: Iterable[int], of_segments: Collection[int] = ()
    ) -> dict[int, ObjectSighting]:
        """``of_segments``: of these the primary is asked for, too."""
        answers = await asyncio.gather(*map(self._chain.sight_object, sorted(set(object_ids))))
        asked = [s for s in answers if s.object_info is not None and s.object_id in of_segments]
        return {s.object_id: s for s in (*answers, *await self._with_primaries(asked))}

    async def _with_primaries(self, sightings: Sequence[ObjectSighting]) -> list[ObjectSighting]:
        """One question for each bucket, not for each object."""
        height = max((sighting.height for sighting in sightings), default=0)
        buckets = {s.object_id: s.object_info.bucket_name for s in sightings if s.object_info}
        names = sorted(set(buckets.values()))
        primaries = await asyncio.gather(*(self._chain.primary_of(one, height) for one in names))
        primary_of = dict(zip(names, primaries, strict=True))
        return [replace(s, primary_sp_address=primary_of[buckets[s.object_id]]) for s in sightings]

    # --- comparing -------------------------------------------------------------------------------

    async def _compare(self) -> None:
        """Compare all that is stored, and all rows about it, with the chain; what it has no use for
        waits from now on."""
        self._leftovers.begin()
        async for found in found_in_stores(self._stores, _OBJECTS_AT_ONCE):
            await self._compare_some(found)
        async for found in found_in_rows(self._journal, self._jobs, self._stores, _OBJECTS_AT_ONCE):
            await self._compare_some(found)
        self._leftovers.end()
        self._compared_at = self._clock()

    async def _compare_some(self, found: Sequence[Found]) -> None:
        holdings = [one.holding for one in found]
        histories = self._histories
        sightings = await self._sight(
            (holding.object_id for holding in holdings), _of_segments(holdings)
        )
        async with self._reading:
            before = await self._known()
            known = await self._with_sightings(before, sightings.values(), histories)
            waiting = self._waiting_of(found, sightings, known)
            if waiting or known.highest_object_id != before.highest_object_id:
                await self._journal.save_knowledge(known, waiting)
        await self._end_jobs(known, {one.object_id: one for one in waiting}.values())

    async def _known(self) -> ChainKnowledge:
        """Raises ChainNotComparable: nothing, yet."""
        known = await self._journal.load_knowledge()
        if known is None:
            raise ChainNotComparable(_OBSTACLES[Standing.NEW], "chain", "Try again")
        return known

    async def _with_sightings(
        self,
        known: ChainKnowledge,
        sightings: Collection[ObjectSighting],
        histories: int,
    ) -> ChainKnowledge:
        """With what they show, which counts in this history only if it is still the one that is
        known. Raises ChainNotComparable."""
        _, tip, standing = await self._standing(known)
        if histories != self._histories:
            standing = Standing.OTHER_HISTORY
        _check(standing, known)
        return known.after_sightings(sightings, tip)

    def _waiting_of(
        self,
        found: Sequence[Found],
        sightings: Mapping[int, ObjectSighting],
        known: ChainKnowledge,
    ) -> list[Collectable]:
        """What the chain has no use for; what is left unfinished is remembered."""
        now = self._clock()
        waiting = []
        for one in found:
            sighting = sightings[one.holding.object_id]
            cause = cause_of(one.holding, sighting, known)
            if cause is Cause.LEFT_UNFINISHED:
                if one.column is not None:  # rows of groups are the Receiver's to sweep
                    self._leftovers.saw(one, now)
            elif cause is not None:
                waiting.append(collectable_of(one.holding, cause, sighting, now))
        return waiting

    # --- collecting ------------------------------------------------------------------------------

    async def _collect_due(self, *, dry_run: bool) -> list[Collected]:
        now, delay_s = self._clock(), self._settings.delay_s
        due = [one for one in await self._journal.list_collectable() if one.is_due(now, delay_s)]
        collected: list[Collected] = []
        for some in in_batches(due, _OBJECTS_AT_ONCE):
            confirmed = await self._confirmed(some)
            for one in confirmed:
                collected.append(await self._remove(one, dry_run=dry_run))
        for leftover in self._leftovers.due(now, delay_s):
            collected += await self._remove_leftover(leftover, dry_run=dry_run)
        return [one for one in collected if one.columns]

    async def _confirmed(self, due: Sequence[Collectable]) -> list[Collectable]:
        """Those that the chain, asked again now, has no use for; the others that it has are
        forgotten."""
        known = await self._journal.load_knowledge()
        if known is None:
            return []
        sightings, (_, _, standing) = await asyncio.gather(
            self._sight(
                (one.object_id for one in due),
                _of_segments(one for one in due if not one.is_whole_object),
            ),
            self._standing(known),
        )
        _check(standing, known)
        confirmed = [one for one in due if one.holds_still(sightings[one.object_id], known)]
        alive = [
            one
            for one in due
            if one not in confirmed and sightings[one.object_id].object_info is not None
        ]
        await self._journal.withdraw(alive)
        return confirmed

    async def _remove(self, one: Collectable, *, dry_run: bool) -> Collected:
        """Its columns, then its rows."""
        columns = size_bytes = 0
        served = list(self._stores) if one.is_whole_object else [one.sp_address]
        for sp_address in served:
            store = self._stores.get(sp_address)
            if store is None:
                continue
            stored = await _stored(store, one.object_id)
            if not one.is_whole_object:
                stored = [s for s in stored if s.key.redundancy_index == one.redundancy_index]
            columns += len(stored)
            size_bytes += sum(column.size_bytes for column in stored)
            if not dry_run:
                for key in sorted({column.key for column in stored}):
                    await asyncio.to_thread(store.delete, key)
        if not dry_run:
            error = _error_of(one) if one.is_whole_object else None
            await self._journal.finish_collection(list(self._stores), one, error)
        done = Collected(
            one.object_id, one.cause, one.sp_address, one.redundancy_index, columns, size_bytes
        )
        if columns and not dry_run:
            log.info("collected %s", done)
        return done

    async def _remove_leftover(self, leftover: Leftover, *, dry_run: bool) -> list[Collected]:
        """If it is still as it was, and its object is still sealed."""
        column = leftover.found.column
        holding = leftover.found.holding
        known = await self._journal.load_knowledge()
        if known is None or column is None or column.fence is None:
            return []
        store = self._stores[holding.sp_address]
        sightings = await self._sight([holding.object_id])
        cause = cause_of(holding, sightings[holding.object_id], known)
        stored = await _stored(store, holding.object_id)
        if cause is not Cause.LEFT_UNFINISHED or column not in stored:
            self._leftovers.forget(leftover)
            return []
        if not dry_run:
            key = ColumnKey(holding.object_id, holding.redundancy_index)
            await asyncio.to_thread(store.delete_unfinished, key, column.fence)
            self._leftovers.forget(leftover)
        return [
            Collected(
                holding.object_id,
                cause,
                holding.sp_address,
                holding.redundancy_index,
                1,
                column.size_bytes,
            )
        ]


def _of_segments(some: Iterable[Holding | Collectable]) -> set[int]:
    """Ids of the objects whose segments are among them."""
    return {one.object_id for one in some if one.redundancy_index == SEGMENTS}


def _error_of(gone: Collectable) -> JobError:
    return gone_error(gone.object_id, gone.cause, gone.noticed_height)


async def _stored(store: PieceStore, object_id: int) -> list[StoredColumn]:
    return await asyncio.to_thread(lambda: list(store.list_stored(object_id)))


def _check(standing: Standing, known: ChainKnowledge) -> None:
    """Raises: ChainNotComparable."""
    if standing is not Standing.SAME:
        raise ChainNotComparable(_OBSTACLES[standing], f"height {known.anchor.height}")
