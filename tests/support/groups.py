"""Replicate groups of small objects: bytes, orders, approvals, and an object space that counts.

The columns are random: a receiver does not decode, it only holds bytes to the chain's checksums.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from greenray.actors.ports import Column, GroupOrder
from greenray.chain.crypto import sign_bytes
from greenray.cluster.in_process import LocalSpace
from greenray.protocol.approvals import Approval, approval_sign_bytes
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import ColumnLayout, PayloadLayout
from greenray.protocol.objects import ObjectInfo, RedundancyType, StorageParams
from greenray.storage.ports import LONE_WRITER, Fence
from tests.support.fake_chain import FakeChain
from tests.support.sps import SpKeys

SMALL_SEGMENTS = StorageParams(max_segment_size_bytes=1024)
NOW = 1_700_000_000


@dataclass(frozen=True, slots=True)
class ObjectGroups:
    """An object on chain and the n columns its secondaries must hold."""

    info: ObjectInfo
    params: StorageParams
    columns: tuple[bytes, ...]
    batch_segments: int = 2

    @property
    def layout(self) -> ColumnLayout:
        return PayloadLayout.of(self.info, self.params, self.batch_segments).pieces

    def order(
        self,
        sp: SpKeys,
        redundancy_index: int,
        *,
        fence: Fence = LONE_WRITER,
        expired_time: int = NOW + 3600,
    ) -> GroupOrder:
        approval = approve(sp, self.info, expired_time)
        return GroupOrder(
            self.info, self.params, redundancy_index, self.batch_segments, fence, approval
        )

    def batches(self, redundancy_index: int) -> list[Column]:
        layout, column = self.layout, self.columns[redundancy_index]
        edges = [layout.prefix_size_bytes(batch) for batch in range(layout.batch_count + 1)]
        return [
            np.frombuffer(column[start:end], dtype=np.uint8)
            for start, end in itertools.pairwise(edges)
        ]

    def pieces(self, redundancy_index: int) -> list[bytes]:
        layout, column = self.layout, self.columns[redundancy_index]
        return [
            column[start : start + layout.piece_length(i)]
            for i, start in ((i, layout.piece_offset(i)) for i in range(layout.piece_count))
        ]


def put_object_on_chain(
    chain: FakeChain,
    primary: SpKeys,
    payload_size: int,
    *,
    object_name: str = "photo.jpg",
    replica: bool = False,
    batch_segments: int = 2,
    seed: int = 1,
) -> ObjectGroups:
    """Create bucket and object with checksums that fit ``columns``."""
    redundancy_type = RedundancyType.of(replica=replica)
    if "album" not in chain.buckets:
        chain.add_bucket(primary.address, "album", primary.address)
    info = chain.add_object("album", object_name, payload_size, (), redundancy_type=redundancy_type)
    noise = random.Random(seed)
    size_bytes = PayloadLayout.of(info, chain.params).pieces.size_bytes
    n = chain.params.n
    columns = [noise.randbytes(size_bytes) for _ in range(n)]
    if replica:
        columns = [columns[0]] * n
    groups = ObjectGroups(info, chain.params, tuple(columns), batch_segments)
    hashes = [
        integrity_hash(hashlib.sha256(piece).digest() for piece in groups.pieces(r))
        for r in range(n)
    ]
    info = replace(info, checksums=(hashes[0], *hashes))
    chain.objects["album", object_name] = info
    return replace(groups, info=info)


def approve(sp: SpKeys, info: ObjectInfo, expired_time: int = NOW + 3600) -> Approval:
    """An approval signed by the operator key of ``sp``."""
    approval = Approval(info, sp.address, expired_time)
    return replace(approval, signature=sign_bytes(sp.operator, approval_sign_bytes(approval)))


def corrupted(batches: Sequence[Column]) -> list[Column]:
    """The same batches with one bit of the last byte flipped."""
    changed = [batch.copy() for batch in batches]
    changed[-1][-1] ^= 1
    return changed


class CountingSpace(LocalSpace):
    """Knows which of its columns are still in use."""

    def __init__(self) -> None:
        self._columns: list[weakref.ref[Column]] = []

    async def put(self, column: Column) -> Column:
        copy = await super().put(column)
        self._columns.append(weakref.ref(copy))
        return copy

    def columns_in_use(self) -> int:
        """Those that somebody still has a reference to."""
        return sum(column() is not None for column in self._columns)
