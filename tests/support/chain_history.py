"""A chain as far as a Collector sees it: objects come and go with its blocks, it is restored from
older copies, and nodes lag behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from greenray.chain.ports import ChainPage, FollowedChain
from greenray.protocol.collection import BlockNews, Cause, ChainTip, ObjectSighting, Removal
from greenray.protocol.index_changes import BlockRecord
from greenray.protocol.objects import BucketInfo, ObjectInfo, ObjectStatus, Visibility

BUCKET = "bucket"


def info_of(object_id: int, bucket: str = BUCKET) -> ObjectInfo:
    """Created and not sealed."""
    private = Visibility.VISIBILITY_TYPE_PRIVATE
    return ObjectInfo("0xOwner", bucket, f"o-{object_id}", object_id, 1, private, "", 0)


def sealed(info: ObjectInfo, secondaries: tuple[str, ...]) -> ObjectInfo:
    return replace(
        info,
        object_status=ObjectStatus.OBJECT_STATUS_SEALED,
        secondary_sp_addresses=secondaries,
    )


@dataclass(frozen=True)
class State:
    """After a block: its hash, which objects live, and the next id."""

    block_hash: str
    objects: Mapping[int, ObjectInfo]
    next_id: int
    news: BlockNews

    @property
    def living(self) -> frozenset[int]:
        return frozenset(self.objects)


@dataclass
class Chain:
    """Blocks from height 1 on; ``restore`` drops the newest, and what follows has other hashes."""

    states: list[State] = field(default_factory=lambda: [State("first", {}, 1, BlockNews(1))])
    restores: int = 0

    def write(
        self,
        creates: int = 0,
        deleted: frozenset[int] | set[int] = frozenset(),
        seals: Mapping[int, tuple[str, ...]] | None = None,
        bucket: str = BUCKET,
    ) -> None:
        """A block. ``seals``: secondaries by object. ``bucket``: of what it creates."""
        last, height = self.states[-1], len(self.states) + 1
        removed = sorted(last.living & deleted)
        created = range(last.next_id, last.next_id + creates)
        news = BlockNews(
            height,
            created[-1] if creates else 0,
            tuple(Removal(one, Cause.DELETED) for one in removed),
        )
        objects = {one: info for one, info in last.objects.items() if one not in deleted}
        objects |= {one: info_of(one, bucket) for one in created}
        for one, secondaries in (seals or {}).items():
            if one in objects:
                objects[one] = sealed(objects[one], secondaries)
        block_hash = f"{height}-{self.restores}"
        self.states.append(State(block_hash, objects, last.next_id + creates, news))

    def restore(self, blocks: int) -> None:
        kept = max(1, len(self.states) - blocks)
        if kept < len(self.states):
            del self.states[kept:]
            self.restores += 1

    def tip(self, lag: int) -> ChainTip:
        height = max(1, len(self.states) - lag)
        return ChainTip(height, self.states[height - 1].block_hash)

    def hash_at(self, height: int, lag: int) -> str:
        return self.states[height - 1].block_hash if height <= self.tip(lag).height else ""

    def sight(self, object_id: int, lag: int) -> ObjectSighting:
        height = self.tip(lag).height
        return ObjectSighting(object_id, height, self.states[height - 1].objects.get(object_id))


class NodeOfModel(FollowedChain):
    """A node of the model, as a Collector asks it; ``lag`` blocks behind. Each answer takes a step
    of the event loop, so that others go on meanwhile."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.lag = 0
        self.first = "first"
        self.primaries: dict[str, str] = {}
        """By bucket; one of any other is not known."""

    async def first_block_hash(self) -> str:
        await asyncio.sleep(0)
        return self.first

    async def latest_block(self) -> ChainTip:
        await asyncio.sleep(0)
        return self.chain.tip(self.lag)

    async def block_hash(self, height: int) -> str:
        await asyncio.sleep(0)
        return self.chain.hash_at(height, self.lag)

    async def block_news(self, height: int) -> BlockNews | None:
        await asyncio.sleep(0)
        if height > self.chain.tip(self.lag).height:
            return None
        return self.chain.states[height - 1].news

    async def block_record(self, height: int) -> BlockRecord | None:
        news = await self.block_news(height)
        return None if news is None else BlockRecord(news)

    async def bucket_page(self, page_key: bytes) -> ChainPage[BucketInfo]:
        await asyncio.sleep(0)
        return ChainPage((), b"", self.chain.tip(self.lag).height)

    async def object_page(self, bucket_name: str, page_key: bytes) -> ChainPage[ObjectInfo]:
        await asyncio.sleep(0)
        return ChainPage((), b"", self.chain.tip(self.lag).height)

    async def sight_object(self, object_id: int) -> ObjectSighting:
        await asyncio.sleep(0)
        return self.chain.sight(object_id, self.lag)

    async def primary_of(self, bucket_name: str, height: int) -> str:
        await asyncio.sleep(0)
        is_older = self.chain.tip(self.lag).height < height
        return "" if is_older else self.primaries.get(bucket_name, "")
