"""The index as plain dictionaries: what an index must answer, said the simplest way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.index_changes import (
    BlockRecord,
    BucketCreated,
    BucketDeleted,
    BucketDiscontinued,
    BucketUpdated,
    IndexChange,
    ObjectCopied,
    ObjectDiscontinued,
    Stamp,
    found_bucket,
    found_object,
)
from greenray.protocol.listing import BucketMeta, ObjectMeta, ObjectQuery, document_of
from greenray.protocol.objects import BucketInfo, ObjectInfo
from greenray.storage.object_index import IndexPage, IndexState, ObjectIndex


class IndexModel(ObjectIndex):
    """Implements ``greenray.storage.object_index.IndexRows`` as well."""

    def __init__(self) -> None:
        self.state: IndexState | None = None
        self.objects: dict[tuple[str, str], ObjectMeta] = {}
        self.buckets: dict[str, BucketMeta] = {}
        self._seen: set[object] = set()

    async def load_index(self) -> IndexState | None:
        return self.state

    async def begin_build(self, height: int) -> IndexState:
        before = self.state or IndexState(0, 0, is_built=False, is_building=True)
        self._seen = set()
        self.state = replace(before, height=height, build=before.build + 1, is_building=True)
        return self.state

    async def put_found(
        self, build: int, buckets: Sequence[BucketInfo], objects: Sequence[ObjectInfo]
    ) -> None:
        for bucket in buckets:
            name = bucket.bucket_name
            self.buckets[name] = found_bucket(bucket, self.buckets.get(name))
            self._seen.add(name)
        for info in objects:
            place = (info.bucket_name, info.object_name)
            self.objects[place] = found_object(info, self.objects.get(place))
            self._seen.add(place)

    async def end_build(self, build: int, limit: int) -> bool:
        assert self.state is not None
        for name, bucket in self.buckets.items():
            if name not in self._seen:
                self.buckets[name] = replace(bucket, removed=True)
        for place, meta in self.objects.items():
            if place not in self._seen:
                self.objects[place] = replace(meta, removed=True)
        self.state = replace(self.state, is_built=True, is_building=False)
        return True

    async def apply_blocks(self, blocks: Sequence[BlockRecord], height: int) -> bool:
        if self.state is None or self.state.is_building:
            return False
        objects, buckets = dict(self.objects), dict(self.buckets)
        for block in blocks:
            if block.height > self.state.height:
                for stamp, change in block.changes:
                    if not self._apply(stamp, change):
                        self.objects, self.buckets = objects, buckets
                        return False
        self.state = replace(self.state, height=max(height, self.state.height))
        return True

    async def forget_index(self) -> None:
        self.__init__()  # type: ignore[misc]

    def _apply(self, stamp: Stamp, change: IndexChange) -> bool:
        match change:
            case BucketCreated() | BucketUpdated() | BucketDiscontinued() | BucketDeleted():
                name = change.bucket_name
                bucket = change.applied(stamp, self.buckets.get(name))
                if bucket is not None:
                    self.buckets[name] = bucket
                return True
            case ObjectCopied():
                created = change.created(stamp, self.objects.get(change.source))
                if created is None:
                    return False
                meta, place = created.applied(stamp, None), created.place
            case ObjectDiscontinued():
                of_id = [p for p, one in self.objects.items() if one.info.id == change.object_id]
                place = of_id[0] if of_id else ("", "")
                meta = change.applied(stamp, self.objects.get(place))
            case _:
                place = change.place
                meta = change.applied(stamp, self.objects.get(place))
        if meta is not None:
            self.objects[place] = meta
        return True

    # --- who asks --------------------------------------------------------------------------------

    async def list_objects(self, query: ObjectQuery) -> IndexPage:
        self._check_built()
        entries = list(self._entries(query))
        shown, rest = entries[: query.page_size], entries[query.page_size :]
        metas = [meta for _, meta in shown if meta is not None]
        return IndexPage(
            b",".join(map(document_of, metas)),
            len(metas),
            tuple(name for name, meta in shown if meta is None),
            rest[0][0] if rest else "",
        )

    def _entries(self, query: ObjectQuery) -> Iterable[tuple[str, ObjectMeta | None]]:
        """Names in order; a common prefix has no object."""
        prefix, delimiter = query.prefix, query.delimiter
        told = set()
        for (bucket, name), meta in sorted(self.objects.items(), key=lambda o: o[0][1].encode()):
            if bucket != query.bucket_name or not name.startswith(prefix):
                continue
            if name.encode() < query.start.encode() or (meta.removed and not query.with_removed):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                yield name, meta
            elif (common := name[: cut + len(delimiter)]) not in told:
                told.add(common)
                yield common, None

    async def list_buckets(self, owner: str, limit: int) -> bytes:
        self._check_built()
        newest = sorted(
            (bucket for bucket in self.buckets.values() if bucket.info.owner == owner),
            key=lambda bucket: (bucket.create_height, bucket.info.id),
            reverse=True,
        )
        spare = limit - sum(not bucket.removed for bucket in newest)
        removed = [bucket for bucket in newest if bucket.removed][: max(0, spare)]
        shown = [bucket for bucket in newest if not bucket.removed or bucket in removed]
        return b",".join(map(document_of, shown))

    async def object_document(self, bucket_name: str, object_name: str) -> bytes:
        self._check_built()
        meta = self.objects.get((bucket_name, object_name))
        return document_of(meta) if meta else b""

    async def bucket_document(self, bucket_name: str) -> bytes:
        self._check_built()
        bucket = self.buckets.get(bucket_name)
        return document_of(bucket) if bucket else b""

    def _check_built(self) -> None:
        if self.state is None or not self.state.is_built:
            raise ComponentUnavailable("the index is being made", "index", "Try again")
