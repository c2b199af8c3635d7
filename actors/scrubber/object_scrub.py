"""One object: which columns there must be, what is wrong with them, and their repair."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from greenray.actors.at_once import both
from greenray.actors.credit.lending_pool import LendingPool, unshared_pool
from greenray.actors.scrubber.column_reader import ColumnReader
from greenray.actors.scrubber.column_repair import ColumnRepair, RepairTools, ScrubbedObject
from greenray.actors.scrubber.walk import WalkedObject
from greenray.protocol.errors import GreenrayError, NoSuchObject, WrongObjectStatus
from greenray.protocol.integrity import expected_integrity_hash
from greenray.protocol.layout import DEFAULT_BATCH_SEGMENTS
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.scrub import (
    ColumnVerdict,
    Finding,
    FindingState,
    HeldColumn,
    Mending,
    ScrubCounts,
    ScrubOrder,
    columns_of,
    is_scrubbed,
    judge_column,
    orphans_among,
)
from greenray.storage.ports import ColumnKey

log = logging.getLogger(__name__)

_REPAIR_BUFFERS_BYTES = 64 << 20
"""Segments that are read, or rebuilt, for one repair."""


@dataclass(frozen=True, slots=True)
class ObjectScrubbed:
    counts: ScrubCounts
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class ObjectScrub:
    """Scrubs objects one after the other, for one scrub; what it remembers goes with it."""

    tools: RepairTools
    reader: ColumnReader
    order: ScrubOrder
    _buffers: LendingPool = field(default_factory=lambda: unshared_pool(_REPAIR_BUFFERS_BYTES))
    _primaries: dict[str, str] = field(default_factory=dict)
    """By bucket; it never changes."""

    async def scrub(self, stored: WalkedObject, info: ObjectInfo | None) -> ObjectScrubbed | None:
        """``info``: what the chain says, None when it has no such object; None when the order does
        not ask for it.

        Raises ChainError, JournalError, ComponentUnavailable: nothing is known of the object then.
        """
        if info is None:
            if self.order.bucket_name or self.order.created_since:
                return None
            why = "the chain has no such object"
            orphans = [_orphan(stored.object_id, held, "", why) for held in stored.columns]
            return _scrubbed(ScrubCounts(objects=1 if orphans else 0), orphans)
        if not self.order.wants(info):
            return None
        if not is_scrubbed(info):
            return ObjectScrubbed(ScrubCounts(objects=1, left_alone=1))
        return await self._scrub_sealed(stored, info)

    async def _scrub_sealed(self, stored: WalkedObject, info: ObjectInfo) -> ObjectScrubbed:
        of = await self._scrubbed_object(info)
        holders = columns_of(info, of.primary)
        held = {i: sp for i, sp in holders.items() if sp in self.tools.stores}
        recorded = await self._recorded(info, held)
        verdicts = {
            index: await self._verdict(of, index, sp, recorded[index]) for index, sp in held.items()
        }
        counts = ScrubCounts(
            objects=1,
            columns=len(held),
            size_bytes=sum(of.layout.column(index).size_bytes for index in held),
        )
        findings = await self._mended(of, held, verdicts)
        if findings is None:
            return ObjectScrubbed(replace(counts, left_alone=1))
        why = "a secondary of the object is another one"
        findings += [
            _orphan(info.id, each, info.name, why)
            for each in orphans_among(stored.columns, holders)
        ]
        return _scrubbed(counts, findings)

    async def _scrubbed_object(self, info: ObjectInfo) -> ScrubbedObject:
        chain, jobs = self.tools.chain, self.tools.jobs
        if info.bucket_name not in self._primaries:
            bucket = await chain.head_bucket(info.bucket_name)
            self._primaries[info.bucket_name] = bucket.primary_sp_address
        primary = self._primaries[info.bucket_name]
        job, params = await both(jobs.job_of(primary, info.identity), chain.storage_params())
        if job is None:
            return ScrubbedObject(info, primary, params, DEFAULT_BATCH_SEGMENTS)
        return ScrubbedObject(info, primary, job.params, job.batch_segments)

    async def _recorded(
        self, info: ObjectInfo, held: Mapping[int, str]
    ) -> Mapping[int, tuple[bytes, ...] | None]:
        get = self.tools.jobs.get_integrity
        records = await asyncio.gather(*(get(sp, info.id, index) for index, sp in held.items()))
        return {
            index: None if record is None else record.piece_checksums
            for index, record in zip(held, records, strict=True)
        }

    async def _verdict(
        self,
        of: ScrubbedObject,
        index: int,
        sp_address: str,
        recorded: tuple[bytes, ...] | None,
    ) -> ColumnVerdict:
        store, key = self.tools.stores[sp_address], ColumnKey(of.info.id, index)
        found = await self.reader.read(store, key, of.layout.column(index))
        return judge_column(found, recorded, expected_integrity_hash(of.info, index))

    async def _mended(
        self, of: ScrubbedObject, held: Mapping[int, str], verdicts: Mapping[int, ColumnVerdict]
    ) -> list[Finding] | None:
        """What is, or was, the matter with the object's columns, the primary's first: from it the
        others are repaired. None when the object is none to scrub any more."""
        damaged = {i: v for i, v in verdicts.items() if v.mending is not Mending.NOTHING}
        broken = {i for i, v in damaged.items() if v.mending is Mending.COLUMN}
        findings: list[Finding] = []
        for index, verdict in sorted(damaged.items()):
            repair = ColumnRepair(of, frozenset(broken), self.tools, self._buffers)
            finding = Finding(
                held[index],
                of.info.id,
                index,
                of.info.name,
                FindingState.BROKEN,
                verdict.damages,
                "" if self.order.repair else "no repair was asked for",
            )
            try:
                await repair.check_still_sealed()  # it may have been deleted while it was read
                finding = await self._repaired(repair, finding, verdict)
            except (NoSuchObject, WrongObjectStatus):
                return None
            if finding.state is FindingState.REPAIRED:
                broken.discard(index)
            _log(finding)
            findings.append(finding)
        return findings

    async def _repaired(
        self, repair: ColumnRepair, finding: Finding, verdict: ColumnVerdict
    ) -> Finding:
        """Raises NoSuchObject, WrongObjectStatus."""
        if not self.order.repair:
            return finding
        try:
            await _to_its_end(repair.repair(finding.sp_address, finding.redundancy_index, verdict))
        except (NoSuchObject, WrongObjectStatus):
            raise
        except GreenrayError as error:
            return replace(finding, reason=f"{error.reason}: {error.what}")
        return replace(finding, state=FindingState.REPAIRED)


async def _to_its_end(repair: Coroutine[Any, Any, None]) -> None:
    """Also when the caller is cancelled: a thread cannot be stopped while it writes."""
    task = asyncio.create_task(repair)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _orphan(object_id: int, held: HeldColumn, name: str, reason: str) -> Finding:
    sp_address, index = held
    return Finding(sp_address, object_id, index, name, FindingState.ORPHAN, (), reason)


def _scrubbed(counts: ScrubCounts, findings: list[Finding]) -> ObjectScrubbed:
    states = [finding.state for finding in findings]
    counted = replace(
        counts,
        repaired=states.count(FindingState.REPAIRED),
        broken=states.count(FindingState.BROKEN),
        orphans=states.count(FindingState.ORPHAN),
    )
    return ObjectScrubbed(counted, tuple(findings))


def _log(finding: Finding) -> None:
    damages = "; ".join(damage.text for damage in finding.damages)
    log.warning(
        "%s, redundancy index %d at %s is %s (%s)%s",
        finding.name,
        finding.redundancy_index,
        finding.sp_address,
        finding.state.value,
        damages,
        f": {finding.reason}" if finding.reason else "",
    )
