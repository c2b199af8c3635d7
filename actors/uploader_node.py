"""One process of a node: the Uploader with its Gateway in front (design §3, "Who hosts whom")."""

from __future__ import annotations

import asyncio

from actors.gateway import Gateway
from actors.ports import ColumnRef
from actors.uploader import Uploader


class UploaderNode:
    """Implements ``actors.ports.HotColumns``; ``run`` lives as long as the process."""

    def __init__(self, uploader: Uploader, gateway: Gateway) -> None:
        self._uploader = uploader
        self._gateway = gateway
        self._listening = False

    async def listen(self) -> None:
        """Open the gateways' ports. Idempotent. Raises PortInUse."""
        if not self._listening:
            await self._gateway.start()
            self._listening = True

    async def run(self) -> None:
        """Serve until the process ends; what dead uploads have left is removed first."""
        await self.listen()
        await self._uploader.sweep()
        await asyncio.Event().wait()

    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        return await self._uploader.hot_columns(sp_address, object_id, batch_index)

    async def release_object(self, sp_address: str, object_id: int) -> None:
        await self._uploader.release_object(sp_address, object_id)
