"""The index of buckets and objects, as who keeps it and who asks it see it. Its rows are in the
database of the JobStore; every implementation passes the same contract suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from greenray.protocol.index_changes import BlockRecord
from greenray.protocol.listing import ObjectQuery
from greenray.protocol.objects import BucketInfo, ObjectInfo
from greenray.seam.travel import alone


@dataclass(frozen=True, slots=True)
class IndexState:
    """``height``: of the last block that is in the index, or that it was begun to be built at.
    ``build``: counts how often it was. ``is_built``: it has been built once; while it is built
    anew, it answers as before. ``is_building``: it is not complete, and follows no blocks."""

    height: int
    build: int
    is_built: bool
    is_building: bool


@dataclass(frozen=True, slots=True)
class IndexPage:
    """``documents``: the JSON of the objects as it stands in an answer, with commas between.
    ``next_name`` empty: this was the last page."""

    documents: bytes
    object_count: int
    common_prefixes: tuple[str, ...] = ()
    next_name: str = ""


class IndexRows(Protocol):
    """The index as who follows the chain for it sees it. Every call returns after its commit is
    durable. Raises JournalError."""

    @alone
    async def load_index(self) -> IndexState | None:
        """None: there is none yet."""

    @alone
    async def begin_build(self, height: int) -> IndexState:
        """What is put from now on is of a state of the chain after block ``height``, or later."""

    @alone
    async def put_found(
        self, build: int, buckets: Sequence[BucketInfo], objects: Sequence[ObjectInfo]
    ) -> None:
        """What was found on the chain by build number ``build``."""

    @alone
    async def end_build(self, build: int, limit: int) -> bool:
        """Once all was found: up to ``limit`` rows that were not are told as removed. Returns
        whether the index is complete; if not, there are more of them."""

    @alone
    async def apply_blocks(self, blocks: Sequence[BlockRecord], height: int) -> bool:
        """Blocks up to ``height``, each at most once; those that are in the index already are left
        out. False: nothing was changed, because the index lacks what they build on."""

    @alone
    async def forget_index(self) -> None:
        """It was of another history of the chain."""


class ObjectIndex(Protocol):
    """The index as a gateway asks it. Raises ComponentUnavailable while it is built for the first
    time, JournalError."""

    @alone
    async def list_objects(self, query: ObjectQuery) -> IndexPage: ...

    @alone
    async def list_buckets(self, owner: str, limit: int) -> bytes:
        """JSON of the buckets of an account (EIP-55), newest first, with commas between: all that
        are not removed, and of the others the newest, up to ``limit`` in all."""

    @alone
    async def object_document(self, bucket_name: str, object_name: str) -> bytes:
        """JSON; empty: it does not know it."""

    @alone
    async def bucket_document(self, bucket_name: str) -> bytes:
        """JSON; empty: it does not know it."""
