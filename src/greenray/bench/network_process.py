"""The network under measurement, in a process of its own: its tree is all that the servers cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from itertools import product
from typing import Any

from greenray.bench.child import Handler, Tell
from greenray.cluster.config.settings import Settings
from greenray.cluster.network import LocalNetwork
from greenray.storage.ports import ColumnKey, PieceStore


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


@asynccontextmanager
async def network_service(settings: Mapping[str, Any]) -> AsyncIterator[Handler]:
    """``settings``: a dump of ``Settings``. Raises what LocalNetwork.start raises."""
    from greenray.cluster.on_ray.private import spilled_bytes

    network = LocalNetwork(Settings(**settings))
    found = await network.start()

    stores = found.pieces.open([gateway.operator_address for gateway in found.gateways])

    async def handle(question: NetworkQuestion | RemoveColumns, tell: Tell) -> Any:
        if question is NetworkQuestion.WHERE:
            return found
        if question is NetworkQuestion.SPILLED_BYTES:
            return await asyncio.to_thread(spilled_bytes)
        return await asyncio.to_thread(_remove, stores.values(), question)

    try:
        yield handle
    finally:
        await network.stop()


def _remove(stores: Collection[PieceStore], message: RemoveColumns) -> None:
    for store, object_id, index in product(stores, message.object_ids, message.columns):
        store.delete(ColumnKey(object_id, index))
