"""Scrubber: reads all that some hosted SPs store, compares it with the chain, and repairs it.

It lives in the process of the Receiver that serves the same SPs, which takes the time that uploads
leave. One scrub goes on at a time: one that somebody waits for, else that of the background. How
far it got is in the journal, so that it goes on there after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from greenray.actors.credit.throttle import Throttle
from greenray.actors.ports import ScrubProgress
from greenray.actors.scrubber.column_reader import ColumnReader
from greenray.actors.scrubber.column_repair import RepairTools
from greenray.actors.scrubber.object_scrub import ObjectScrub
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.scrubber.walk import WalkedObject, columns_of_one, walk
from greenray.actors.traffic import Traffic
from greenray.actors.uploader.ingest import run_in
from greenray.protocol.errors import GreenrayError, InvalidInput, NoSuchObject, WrongObjectStatus
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.scrub import (
    ScrubOrder,
    ScrubRun,
    is_scrubbed,
    next_background_at,
    next_run,
)
from greenray.storage.scrub_journal import ScrubJournal, VisitedObject

log = logging.getLogger(__name__)

_ASKED_AT_ONCE = 32
"""Objects that the chain is asked for together."""


@dataclass(slots=True)
class _Progress:
    """How far a run is, and what of it is not in the journal yet."""

    run: ScrubRun
    visited: list[VisitedObject]
    saved_at: float


class Scrubber:
    """Implements ``greenray.actors.ports.ScrubberPort``; ``run`` does the work."""

    def __init__(
        self,
        *,
        name: str,
        journal: ScrubJournal,
        tools: RepairTools,
        pool: ThreadPoolExecutor,
        clock: Callable[[], float],
        uploads: Traffic,
        settings: ScrubberSettings | None = None,
    ) -> None:
        """``name``: whose scrubs in the journal are this one's. ``pool``: also that of ``tools``;
        it and the source of pieces are this one's to close. ``clock``: unix seconds. ``uploads``:
        what the background's scrub gives way to."""
        self._name = name
        self._journal = journal
        self._tools = tools
        self._pool = pool
        self._clock = clock
        self._uploads = uploads
        self._settings = settings or ScrubberSettings()
        self._current: _Progress | None = None
        self._waits_for = ""
        self._cancelled: set[int] = set()
        self._ordered = asyncio.Event()
        """Somebody has asked for something that ``run`` has not seen yet."""
        self._working: asyncio.Task[None] | None = None

    # --- the port --------------------------------------------------------------------------------

    async def start(self, order: ScrubOrder) -> int:
        """See ``ScrubberPort.start``."""
        if order.object_name:
            info = await self._tools.chain.head_object(order.bucket_name, order.object_name)
            if not is_scrubbed(info):
                raise WrongObjectStatus(
                    f"only a sealed object is scrubbed, it is {info.object_status.name}",
                    info.name,
                    "Wait until it is sealed.",
                )
        elif order.bucket_name:
            await self._tools.chain.head_bucket(order.bucket_name)
        run = await self._journal.begin_scrub(self._name, order)
        self._ordered.set()
        return run.run_id

    async def progress(self, run_id: int) -> ScrubProgress:
        """See ``ScrubberPort.progress``."""
        current = self._current
        if current is not None and current.run.run_id == run_id:
            return ScrubProgress(current.run, self._waits_for)
        for run in await self._journal.list_scrubs(self._name):
            if run.run_id == run_id:
                waits_for = self._waits_for if current is None else "another scrub to end"
                return ScrubProgress(run, waits_for if run.ended_at is None else "")
        raise InvalidInput("no such scrub is remembered", str(run_id))

    async def cancel(self, run_id: int) -> None:
        """See ``ScrubberPort.cancel``."""
        self._cancelled.add(run_id)
        self._ordered.set()

    async def run(self) -> None:
        """Do what is ordered, and what is due, until ``close``."""
        self._working = asyncio.create_task(self._work())
        await asyncio.wait([self._working])

    async def close(self) -> None:
        """Leave the scrub under way to be continued; a repair under way is ended before."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        await self._tools.recovery.source.close()
        self._pool.shutdown()

    # --- which scrub -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            try:
                await self._next()
                self._waits_for = ""
                continue
            except GreenrayError as error:
                log.warning("%s waits: %s", self._name, error)
                self._waits_for = f"{error.reason}: {error.what}"
            except Exception as error:  # the next scrub may do better, and none is silent about it
                log.exception("%s", self._name)
                self._waits_for = f"a defect, see the log: {type(error).__name__}"
            await asyncio.sleep(self._settings.retry_s)

    async def _next(self) -> None:
        self._ordered.clear()
        runs = await self._end_cancelled(await self._journal.list_scrubs(self._name))
        background_runs = self._settings.bandwidth_bytes_s > 0
        run = next_run([r for r in runs if background_runs or not r.order.background])
        if run is None:
            run = await self._due(runs)
        if run is not None:
            await self._go_on(run)

    async def _end_cancelled(self, runs: Sequence[ScrubRun]) -> list[ScrubRun]:
        """The others."""
        cancelled = [run for run in runs if run.run_id in self._cancelled]
        for run in cancelled:
            if run.ended_at is None:
                ended = replace(run, ended_at=self._clock(), cancelled=True)
                await self._journal.save_scrub(ended, ())
            self._cancelled.discard(run.run_id)
        return [run for run in runs if run not in cancelled]

    async def _due(self, runs: Sequence[ScrubRun]) -> ScrubRun | None:
        """The background's next scrub when its time has come; None when something else has."""
        order = ScrubOrder(repair=True, background=True)
        if not self._settings.bandwidth_bytes_s:
            await self._ordered.wait()
            return None
        if not any(run.order.background for run in runs):
            # From now on the first one is waited for, across restarts.
            begun = await self._journal.begin_scrub(self._name, order)
            await self._journal.save_scrub(replace(begun, ended_at=begun.began_at), ())
            runs = [*runs, begun]
        now = self._clock()
        due_in_s = next_background_at(runs, self._settings.interval_s, now) - now
        try:
            async with asyncio.timeout(max(due_in_s, 0)):
                await self._ordered.wait()
            return None
        except TimeoutError:
            return await self._journal.begin_scrub(self._name, order)

    # --- one scrub -------------------------------------------------------------------------------

    async def _go_on(self, run: ScrubRun) -> None:
        reader = ColumnReader(self._pool, Throttle(partial(self._bandwidth_bytes_s, run.order)))
        scrub = ObjectScrub(self._tools, reader, run.order)
        progress = self._current = _Progress(run, [], self._clock())
        try:
            async with aclosing(self._objects(run)) as pages:
                async for page in pages:
                    if await self._visit(page, scrub, progress):
                        return
            progress.run = replace(progress.run, ended_at=self._clock())
            log.info("%s: scrub %d has ended: %s", self._name, run.run_id, progress.run.counts)
        finally:
            await self._save(progress)
            self._current = None

    def _bandwidth_bytes_s(self, order: ScrubOrder) -> int:
        if not order.background:
            return order.bandwidth_bytes_s
        return self._settings.background_bytes_s(beside_uploads=self._uploads.is_flowing)

    async def _objects(self, run: ScrubRun) -> AsyncGenerator[tuple[WalkedObject, ...], None]:
        """What is left of the run, in pages."""
        order, stores = run.order, self._tools.stores
        if order.object_name:
            try:
                info = await self._tools.chain.head_object(order.bucket_name, order.object_name)
            except NoSuchObject:
                return
            yield (await run_in(self._pool, columns_of_one, stores, info.id),)
            return
        async with aclosing(walk(self._journal, stores, run.position, self._pool)) as pages:
            async for page in pages:
                for start in range(0, len(page), _ASKED_AT_ONCE):
                    yield page[start : start + _ASKED_AT_ONCE]

    async def _visit(
        self, page: Sequence[WalkedObject], scrub: ObjectScrub, progress: _Progress
    ) -> bool:
        """Whether the scrub has to make room for another, or is cancelled."""
        infos = await asyncio.gather(*(self._info(stored.object_id) for stored in page))
        for stored, info in zip(page, infos, strict=True):
            work = asyncio.create_task(scrub.scrub(stored, info))
            if not await self._worked(work, progress.run):
                return True
            scrubbed = work.result()
            run = progress.run
            if scrubbed is not None:
                progress.visited.append(
                    VisitedObject(stored.object_id, tuple(self._tools.stores), scrubbed.findings)
                )
                run = replace(run, counts=run.counts + scrubbed.counts)
            progress.run = replace(run, position=stored.object_id)
            if self._clock() - progress.saved_at >= self._settings.save_interval_s:
                await self._save(progress)
        return False

    async def _worked(self, work: asyncio.Task[Any], run: ScrubRun) -> bool:
        """Wait for it; False when it was broken off, because the run has to give way. A repair is
        ended before."""
        try:
            while not work.done():
                news = asyncio.create_task(self._ordered.wait())
                await asyncio.wait([work, news], return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if self._ordered.is_set() and self._gives_way(run):
                    return work.done()
                self._ordered.clear()
            return True
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait([work])

    async def _info(self, object_id: int) -> ObjectInfo | None:
        try:
            return await self._tools.chain.head_object_by_id(object_id)
        except NoSuchObject:
            return None

    def _gives_way(self, run: ScrubRun) -> bool:
        return run.order.background or run.run_id in self._cancelled

    async def _save(self, progress: _Progress) -> None:
        await self._journal.save_scrub(progress.run, tuple(progress.visited))
        progress.visited.clear()
        progress.saved_at = self._clock()
