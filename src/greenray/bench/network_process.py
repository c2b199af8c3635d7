"""The network under measurement, in a process of its own: its tree is all that the servers cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from itertools import product
from typing import Any

from greenray.bench.child import Handler, Tell
from greenray.cluster.config.settings import Settings
from greenray.cluster.network import LocalNetwork
from greenray.cluster.scrub import NetworkScrub, ScrubReport
from greenray.protocol.errors import NoSuchPiece
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.scrub import ScrubOrder
from greenray.storage.ports import ColumnKey, PieceStore

_SPOILT_BYTES = 64
"""Zeros at the start of a segment of random bytes: not what it was."""
_LOOKS_EVERY_S = 0.05


class NetworkQuestion(Enum):
    WHERE = auto()
    """The NetworkFile."""
    SPILLED_BYTES = auto()


@dataclass(frozen=True, slots=True)
class RemoveColumns:
    """Take the columns of sealed objects, whose bytes nobody reads any more, from all stores: room
    for the next ones. The chain and the journal keep the objects."""

    object_ids: tuple[int, ...]
    columns: range


@dataclass(frozen=True, slots=True)
class BreakObject:
    """Spoil the segments ``broken`` of the primary's column, which has ``layout``; if that is all
    of them, lose the column. Remove the columns of the redundancy indices ``dead``."""

    object_id: int
    layout: ColumnLayout
    broken: tuple[int, ...]
    dead: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RepairAwaited:
    """Answered when the primary's column is whole again."""

    damage: BreakObject


@dataclass(frozen=True, slots=True)
class ScrubObject:
    """Scrub one object as fast as it goes; answered by (bytes, seconds)."""

    bucket_name: str
    object_name: str


@dataclass(frozen=True, slots=True)
class BeginScrub:
    """Scrub everything at this bandwidth, until ``EndScrub``."""

    bandwidth_bytes_s: int


@dataclass(frozen=True, slots=True)
class EndScrub:
    """Answered when the scrub has ended."""


Question = (
    NetworkQuestion
    | RemoveColumns
    | BreakObject
    | RepairAwaited
    | ScrubObject
    | BeginScrub
    | EndScrub
)


@asynccontextmanager
async def network_service(settings: Mapping[str, Any]) -> AsyncIterator[Handler]:
    """``settings``: a dump of ``Settings``. Raises what LocalNetwork.start raises."""
    from greenray.cluster.on_ray.private import spilled_bytes

    network = LocalNetwork(Settings(**settings))
    found = await network.start()

    stores = found.pieces.open([gateway.operator_address for gateway in found.gateways])

    scrub = NetworkScrub(network.finder, found.scrubbers)
    scrubbing: list[asyncio.Task[ScrubReport]] = []

    async def handle(question: Question, tell: Tell) -> Any:
        if question is NetworkQuestion.WHERE:
            return found
        if question is NetworkQuestion.SPILLED_BYTES:
            return await asyncio.to_thread(spilled_bytes)
        match question:
            case RemoveColumns():
                return await asyncio.to_thread(_remove, stores.values(), question)
            case BreakObject():
                return await asyncio.to_thread(_break, stores.values(), question)
            case RepairAwaited(damage):
                return await asyncio.to_thread(_await_repair, stores.values(), damage)
            case ScrubObject(bucket_name, object_name):
                order = ScrubOrder(bucket_name=bucket_name, object_name=object_name)
                report = await scrub.run(order)
                return report.counts.size_bytes, report.seconds
            case BeginScrub(bandwidth_bytes_s):
                order = ScrubOrder(bandwidth_bytes_s=bandwidth_bytes_s)
                scrubbing.append(asyncio.create_task(scrub.run(order)))
            case EndScrub():
                task = scrubbing.pop()
                task.cancel()
                await asyncio.wait([task])
        return None

    try:
        yield handle
    finally:
        await network.stop()


def _remove(stores: Collection[PieceStore], message: RemoveColumns) -> None:
    for store, object_id, index in product(stores, message.object_ids, message.columns):
        store.delete(ColumnKey(object_id, index))


def _break(stores: Collection[PieceStore], damage: BreakObject) -> None:
    key = ColumnKey(damage.object_id)
    primary = next(store for store in stores if store.exists(key))
    if len(damage.broken) == damage.layout.piece_count:
        primary.delete(key)
    else:
        _spoil(primary, key, damage)
    for store, index in product(stores, damage.dead):
        store.delete(ColumnKey(damage.object_id, index))


def _spoil(store: PieceStore, key: ColumnKey, damage: BreakObject) -> None:
    """The column is written anew: a store changes none that is finished."""
    layout = damage.layout
    writer = store.create(key, layout)
    for batch in range(layout.batch_count):
        segments = []
        for index in layout.batch_range(batch):
            segment = bytearray(store.read_piece(key, layout, index))
            if index in damage.broken:
                segment[:_SPOILT_BYTES] = bytes(_SPOILT_BYTES)
            segments.append(memoryview(segment))
        writer.append(segments)
    writer.finish()


def _await_repair(stores: Collection[PieceStore], damage: BreakObject) -> None:
    while not any(_is_whole(store, damage) for store in stores):
        time.sleep(_LOOKS_EVERY_S)


def _is_whole(store: PieceStore, damage: BreakObject) -> bool:
    key, layout = ColumnKey(damage.object_id), damage.layout
    try:
        start = store.read_piece(key, layout, damage.broken[0], 0, _SPOILT_BYTES)
    except NoSuchPiece:
        return False
    return any(start)
