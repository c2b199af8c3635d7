"""All objects that the journal or the stores have anything of, in the order of their ids."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import dropwhile, groupby, islice

from greenray.actors.uploader.ingest import run_in
from greenray.protocol.scrub import HeldColumn
from greenray.storage.ports import PieceStore
from greenray.storage.scrub_journal import ScrubJournal

_PAGE = 256
"""Objects that are read from each source at a time."""


@dataclass(frozen=True, slots=True)
class WalkedObject:
    """``columns``: the finished ones of the walked stores, by operator address and index."""

    object_id: int
    columns: tuple[HeldColumn, ...] = ()


def columns_of_one(stores: Mapping[str, PieceStore], object_id: int) -> WalkedObject:
    """Raises StoreError."""
    found = [
        (sp_address, column.key.redundancy_index)
        for sp_address, store in stores.items()
        for column in store.list_stored(object_id)
        if column.fence is None
    ]
    return WalkedObject(object_id, tuple(found))


async def walk(
    journal: ScrubJournal, stores: Mapping[str, PieceStore], after: int, pool: Executor
) -> AsyncGenerator[tuple[WalkedObject, ...], None]:
    """Pages of objects, from the first id above ``after`` on.

    Raises StoreError, JournalError.
    """
    listing = _stored_objects(stores, after)
    known: list[int] = []
    stored: list[WalkedObject] = []
    known_ended = stored_ended = False
    while True:
        if not known and not known_ended:
            known = list(await journal.known_objects(after, _PAGE))
            known_ended = len(known) < _PAGE
            after = known[-1] if known else after
        if not stored and not stored_ended:
            stored = await run_in(pool, lambda: list(islice(listing, _PAGE)))
            stored_ended = len(stored) < _PAGE
        if not known and not stored:
            return
        # Up to where both sources are known.
        until = min(
            known[-1] if known and not known_ended else 1 << 64,
            stored[-1].object_id if stored and not stored_ended else 1 << 64,
        )
        page = {object_id: WalkedObject(object_id) for object_id in known if object_id <= until}
        page |= {each.object_id: each for each in stored if each.object_id <= until}
        known = [object_id for object_id in known if object_id > until]
        stored = [each for each in stored if each.object_id > until]
        yield tuple(page[object_id] for object_id in sorted(page))


def _stored_objects(stores: Mapping[str, PieceStore], after: int) -> Iterator[WalkedObject]:
    columns = heapq.merge(*(_columns(sp_address, store) for sp_address, store in stores.items()))
    rest = dropwhile(lambda column: column[0] <= after, columns)
    for object_id, of_object in groupby(rest, key=lambda column: column[0]):
        yield WalkedObject(object_id, tuple((sp, index) for _, index, sp in of_object))


def _columns(sp_address: str, store: PieceStore) -> Iterator[tuple[int, int, str]]:
    for key in store.list_columns():
        yield key.object_id, key.redundancy_index, sp_address
