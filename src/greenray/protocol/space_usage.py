"""Where the space went: bytes by bucket and by storage provider, and what will come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from greenray.protocol.collection import Collectable, Holding

UNKNOWN_BUCKET = ""
"""Of objects that the journal has no job of: another provider is their primary."""


@dataclass(frozen=True, slots=True)
class Occupied:
    """A column and its size."""

    holding: Holding
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """``columns``: finished and unfinished ones. ``collectable_bytes``: what waits to be collected,
    of ``size_bytes``."""

    objects: int
    columns: int
    size_bytes: int
    collectable_bytes: int


@dataclass(frozen=True, slots=True)
class SpaceUsage:
    """By name, in the order of names; ``UNKNOWN_BUCKET`` first."""

    by_bucket: Mapping[str, Usage]
    by_provider: Mapping[str, Usage]
    total: Usage

    def to_json(self) -> dict[str, Any]:
        buckets = [{"bucket": name} | asdict(usage) for name, usage in self.by_bucket.items()]
        providers = [
            {"operator_address": name} | asdict(usage) for name, usage in self.by_provider.items()
        ]
        return {
            "buckets": buckets,
            "storage_providers": providers,
            "total": asdict(self.total),
        }


def space_usage(
    occupied: Iterable[Occupied],
    buckets: Mapping[int, str],
    waiting: Sequence[Collectable],
    bucket_name: str | None = None,
) -> SpaceUsage:
    """``buckets``: by object id. ``bucket_name``: count only what is in this bucket."""
    whole = {one.object_id for one in waiting if one.is_whole_object}
    groups = {one.key for one in waiting if not one.is_whole_object}
    by_bucket: dict[str, _Sum] = {}
    by_provider: dict[str, _Sum] = {}
    total = _Sum()
    for one in occupied:
        held = one.holding
        bucket = buckets.get(held.object_id, UNKNOWN_BUCKET)
        if bucket_name not in (None, bucket):
            continue
        key = (held.object_id, held.sp_address, held.redundancy_index)
        collectable = held.object_id in whole or key in groups
        for sums in (
            by_bucket.setdefault(bucket, _Sum()),
            by_provider.setdefault(held.sp_address, _Sum()),
            total,
        ):
            sums.add(held.object_id, one.size_bytes, collectable)
    return SpaceUsage(_usages(by_bucket), _usages(by_provider), total.usage())


class _Sum:
    def __init__(self) -> None:
        self._objects: set[int] = set()
        self._columns = self._size_bytes = self._collectable_bytes = 0

    def add(self, object_id: int, size_bytes: int, collectable: bool) -> None:
        self._objects.add(object_id)
        self._columns += 1
        self._size_bytes += size_bytes
        self._collectable_bytes += size_bytes * collectable

    def usage(self) -> Usage:
        return Usage(len(self._objects), self._columns, self._size_bytes, self._collectable_bytes)


def _usages(sums: Mapping[str, _Sum]) -> dict[str, Usage]:
    return {name: sums[name].usage() for name in sorted(sums)}
