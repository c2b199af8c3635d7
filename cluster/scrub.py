"""A scrub of a whole network, from its start to its end, for who asked for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from greenray.actors import names
from greenray.client.network_file import NetworkFile
from greenray.cluster.attaching import attached_finder
from greenray.protocol.errors import (
    ComponentUnavailable,
    GreenrayError,
    InvalidInput,
)
from greenray.protocol.names import check_bucket_name, check_object_name
from greenray.protocol.scrub import Damage, Finding, FindingState, ScrubCounts, ScrubOrder, ScrubRun

if TYPE_CHECKING:
    from greenray.actors.ports import ScrubberPort, ScrubProgress
    from greenray.seam.finder import Finder
    from greenray.storage.scrub_journal import ScrubJournal

_POLL_S = 0.1
_OUTAGE_S = 60.0
"""How long a Scrubber may be away (its process is started again) before nobody waits for it."""
_PAGE = 1000

OnScrubProgress = Callable[[Sequence["ScrubProgress"]], None]
"""Told now and then how far each Scrubber is."""


def scrub_order(
    name: str | None, repair: bool, since: datetime | None, bandwidth_bytes_s: int
) -> ScrubOrder:
    """``name``: ``bucket`` or ``bucket/object``; None for all. ``since``: of local time if it names
    no zone. Raises InvalidInput (also for a time to come), InvalidName."""
    bucket_name, slash, object_name = (name or "").partition("/")
    if name is not None:
        check_bucket_name(bucket_name)
    if slash:
        check_object_name(object_name)
    if bandwidth_bytes_s < 0:
        raise InvalidInput(
            f"{bandwidth_bytes_s} bytes per second are no bandwidth", "", "Give 0 for no limit"
        )
    try:
        created_since = 0.0 if since is None else max(since.timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):  # years that the system's clock does not have
        raise InvalidInput("no object can be that old", f"since {since}") from None
    if created_since > time.time():
        raise InvalidInput(
            "nothing was created since then: it is still to come",
            f"since {since}",
            "Name a time that has passed, with its zone (2026-11-29T13:00Z), or an age such as 7d",
        )
    return ScrubOrder(repair, bucket_name, object_name, created_since, bandwidth_bytes_s)


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub did and found. ``counts`` are sums over all Scrubbers: each counts the objects
    that it has looked at. ``seconds``: of the longest."""

    counts: ScrubCounts
    findings: tuple[Finding, ...]
    seconds: float = 0.0

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What is broken still."""
        return self._of(FindingState.BROKEN)

    @property
    def repaired(self) -> tuple[Finding, ...]:
        return self._of(FindingState.REPAIRED)

    @property
    def orphans(self) -> tuple[Finding, ...]:
        return self._of(FindingState.ORPHAN)

    def _of(self, state: FindingState) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.state is state)

    def to_json(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "objects": counts.objects,
            "columns": counts.columns,
            "size_bytes": counts.size_bytes,
            "left_alone": counts.left_alone,
            "seconds": self.seconds,
            "broken": [_finding_json(finding) for finding in self.broken],
            "repaired": [_finding_json(finding) for finding in self.repaired],
            "orphans": [_finding_json(finding) for finding in self.orphans],
        }


def _finding_json(finding: Finding) -> Mapping[str, Any]:
    return {
        "name": finding.name,
        "object_id": finding.object_id,
        "redundancy_index": finding.redundancy_index,
        "operator_address": finding.sp_address,
        "damages": [_damage_json(damage) for damage in finding.damages],
        "reason": finding.reason,
    }


def _damage_json(damage: Damage) -> Mapping[str, Any]:
    return {"kind": damage.kind.value, "pieces": list(damage.pieces)}


class NetworkScrub:
    """Orders scrubs of all Scrubbers of a network, and reads what they found."""

    def __init__(self, finder: Finder, scrubbers: int) -> None:
        self._scrubbers = [finder.find(names.scrubber(index)) for index in range(scrubbers)]
        self._journal: ScrubJournal = finder.find(names.SCRUB_JOURNAL)

    async def run(
        self, order: ScrubOrder, on_progress: OnScrubProgress = lambda progress: None
    ) -> ScrubReport:
        """Start a scrub and wait for its end. It is ended when the caller is cancelled; when the
        network ends, it goes on with the next start.

        Raises: what ``ScrubberPort.start`` raises, ComponentUnavailable.
        """
        starts = [asyncio.ensure_future(each.start(order)) for each in self._scrubbers]
        try:
            run_ids = await asyncio.gather(*map(asyncio.shield, starts))
            running = list(zip(self._scrubbers, run_ids, strict=True))
            while True:
                shown = [await self._progress(*each) for each in running]
                on_progress(shown)
                if all(progress.run.ended_at is not None for progress in shown):
                    break
                await asyncio.sleep(_POLL_S)
        except BaseException:
            for scrubber, started in zip(self._scrubbers, starts, strict=True):
                with suppress(GreenrayError):  # it was not started, or is away
                    await scrubber.cancel(await started)
            raise
        findings = [finding for run_id in run_ids for finding in await self._findings(run_id)]
        return _report([progress.run for progress in shown], findings)

    async def known(self) -> ScrubReport:
        """What all scrubs have found, the background's too, and no later one has seen otherwise.

        Raises JournalError, ComponentUnavailable.
        """
        return ScrubReport(ScrubCounts(), tuple(await self._findings(None)))

    async def _progress(self, scrubber: ScrubberPort, run_id: int) -> ScrubProgress:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _OUTAGE_S
        while True:
            try:
                return await scrubber.progress(run_id)
            except ComponentUnavailable:
                if loop.time() >= give_up_at:
                    raise
            await asyncio.sleep(_POLL_S)

    async def _findings(self, run_id: int | None) -> list[Finding]:
        findings: list[Finding] = []
        after = 0
        while page := await self._journal.list_findings(run_id, after, _PAGE):
            findings += [kept.finding for kept in page]
            after = page[-1].finding_id
        return findings


def _report(runs: Sequence[ScrubRun], findings: Sequence[Finding]) -> ScrubReport:
    ordered = sorted(findings, key=lambda f: (f.object_id, f.redundancy_index, f.sp_address))
    return ScrubReport(
        sum((run.counts for run in runs), ScrubCounts()),
        tuple(ordered),
        max((run.ended_at or run.began_at) - run.began_at for run in runs),
    )


ScrubSource = Callable[[], NetworkScrub]
"""Called where an event loop runs, when something is to be scrubbed."""


def attached_scrub(network: NetworkFile) -> NetworkScrub:
    """Of a network that another process runs. Raises: as ``attached_finder``."""
    hosts = [names.scrubber(index).actor for index in range(network.scrubbers)]
    return NetworkScrub(attached_finder(network, "scrub", hosts), network.scrubbers)
