"""All that is stored, and all rows about it, some objects at a time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from greenray.protocol.collection import Holding
from greenray.protocol.layout import SEGMENTS
from greenray.storage.ports import CollectorJournal, JobStore, PieceStore, StoredColumn

T = TypeVar("T")

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """``column``: None, when a row of the journal is all that was found."""

    holding: Holding
    column: StoredColumn | None = None


def in_batches(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Runs of at most ``size`` items."""
    rest = iter(items)
    while some := tuple(islice(rest, size)):
        yield some


async def found_in_stores(
    stores: Mapping[str, PieceStore], objects: int
) -> AsyncIterator[Sequence[Found]]:
    """The columns of all stores, so many objects at a time; an object may come twice, with its
    finished columns and with the others."""
    found = heapq.merge(
        *(_columns(sp_address, store) for sp_address, store in stores.items()), key=_order
    )
    batches = in_batches(found, objects * len(stores))
    while some := await asyncio.to_thread(lambda: next(batches, ())):
        yield some


def _columns(sp_address: str, store: PieceStore) -> Iterator[Found]:
    for column in store.list_stored():
        key = column.key
        holding = Holding(sp_address, key.object_id, key.redundancy_index, column.fence is None)
        yield Found(holding, column)


def _order(found: Found) -> tuple[bool, int]:
    """As stores list them, by object only."""
    return not found.holding.is_finished, found.holding.object_id


async def found_in_rows(
    journal: CollectorJournal, jobs: JobStore, hosted: Mapping[str, PieceStore], objects: int
) -> AsyncIterator[Sequence[Found]]:
    """Rows about columns of these SPs, and jobs that have not ended."""
    unfinished = await jobs.list_jobs(unfinished_only=True)
    found = [Found(Holding(job.sp_address, job.object_id, SEGMENTS)) for job in unfinished]
    for some in in_batches(found, objects):
        yield some
    row: int | None = 0
    while row is not None:
        page = await journal.list_recorded(row, _ROWS_AT_ONCE)
        # The rows of one object lie together, and the chain is asked once for each object.
        rows = [Found(holding) for holding in page.holdings if holding.sp_address in hosted]
        for some in in_batches(rows, objects):
            yield some
        row = page.next_row
