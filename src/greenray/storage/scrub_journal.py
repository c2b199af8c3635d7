"""What a Scrubber needs of the journal: what there is to scrub, how far it got, what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from greenray.protocol.scrub import Finding, ScrubOrder, ScrubRun
from greenray.seam.travel import alone


@dataclass(frozen=True, slots=True)
class VisitedObject:
    """An object of which the columns of these SPs were looked at, with all that was found."""

    object_id: int
    sp_addresses: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """``finding_id`` grows; ``run_id`` is of the scrub that found it last."""

    finding_id: int
    run_id: int
    finding: Finding


class ScrubJournal(Protocol):
    """A part of the journal. Every call raises JournalError when it fails."""

    @alone
    async def known_objects(self, after: int, limit: int) -> tuple[int, ...]:
        """Ids of objects that the journal has a job, a record or a finding of, of whatever SP:
        ascending, from the first one above ``after`` on, at most ``limit``."""

    @alone
    async def begin_scrub(self, scrubber: str, order: ScrubOrder) -> ScrubRun:
        """A new run, which has done nothing. Runs that ended long ago are forgotten."""

    @alone
    async def list_scrubs(self, scrubber: str) -> tuple[ScrubRun, ...]:
        """All runs of a Scrubber that are remembered, oldest first; among them all that have not
        ended and the last one of the background."""

    @alone
    async def save_scrub(self, run: ScrubRun, visited: tuple[VisitedObject, ...]) -> None:
        """How far the run is, and what it found: in the place of what was found before of these
        columns, in one commit."""

    @alone
    async def list_findings(
        self, run_id: int | None, after: int, limit: int
    ) -> tuple[KeptFinding, ...]:
        """Of one run, or of all (None): ascending, from the first finding id above ``after`` on, at
        most ``limit``. A later run replaces what an earlier one found of the same column."""
