"""The space of a network for operators: read from its stores, given back by its Collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from greenray.actors import names
from greenray.actors.ports import CollectorPort
from greenray.client.network_file import NetworkFile
from greenray.cluster.attaching import attached_finder
from greenray.protocol.collection import Holding
from greenray.protocol.errors import NoSuchBucket, NoSuchPiece
from greenray.protocol.space_usage import Occupied, SpaceUsage, space_usage
from greenray.storage.journal_file import read_space
from greenray.storage.piece_location import PieceLocation

if TYPE_CHECKING:
    from greenray.seam.finder import Finder

CollectorSource = Callable[[], CollectorPort]
"""Called where an event loop runs, when something is to be collected."""


def measure_space(
    journal: Path, pieces: PieceLocation, bucket_name: str | None = None
) -> SpaceUsage:
    """What the stores hold of all SPs that the journal knows; the network may run.

    Raises NoSuchBucket (nothing of that bucket is stored), JournalMissing, JournalError,
    StoreError.
    """
    buckets, providers, waiting = read_space(journal)
    usage = space_usage(_occupied(pieces, providers), buckets, waiting, bucket_name)
    if bucket_name is not None and not usage.by_bucket:
        raise NoSuchBucket("nothing is stored of this bucket", bucket_name, "See: greenray du")
    return usage


def _occupied(pieces: PieceLocation, providers: tuple[str, ...]) -> Iterator[Occupied]:
    for sp_address in providers:
        try:
            store = pieces.open_existing(sp_address)
        except NoSuchPiece:
            continue
        for column in store.list_stored():
            key = column.key
            holding = Holding(sp_address, key.object_id, key.redundancy_index, column.fence is None)
            yield Occupied(holding, column.size_bytes)


def collector_of(finder: Finder) -> CollectorPort:
    return finder.find(names.COLLECTOR)


def attached_collector(network: NetworkFile) -> CollectorPort:
    """Of a network that another process runs. Raises: as ``attached_finder``."""
    return collector_of(attached_finder(network, "collect"))
