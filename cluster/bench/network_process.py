"""The network under measurement, in a process of its own: its tree is all that the servers cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

from cluster.bench.child import Handler, Tell
from cluster.network import LocalNetwork
from cluster.settings import Settings


class NetworkQuestion(Enum):
    WHERE = auto()
    """The NetworkFile."""
    SPILLED_BYTES = auto()


@asynccontextmanager
async def network_service(settings: Mapping[str, Any]) -> AsyncIterator[Handler]:
    """``settings``: a dump of ``Settings``. Raises what LocalNetwork.start raises."""
    from cluster.ray_spill import spilled_bytes

    network = LocalNetwork(Settings(**settings))
    found = await network.start()

    async def handle(question: NetworkQuestion, tell: Tell) -> Any:
        if question is NetworkQuestion.WHERE:
            return found
        return await asyncio.to_thread(spilled_bytes)

    try:
        yield handle
    finally:
        await network.stop()
