"""One process of a node: the Uploader with its Gateway in front (design §3, "Who hosts whom")."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from actors.gateway import Binding, Gateway
from actors.ports import ColumnRef
from actors.stage_trace import TracePart
from actors.uploader import Uploader
from protocol.job import JobContext


class UploaderNode:
    """Implements ``actors.ports.HotColumns`` and ``RunningUploads``, and is a ``TraceSource``.

    ``run`` lives as long as the process.
    """

    def __init__(
        self, uploader: Uploader, make_gateway: Callable[[Sequence[Binding]], Gateway]
    ) -> None:
        self._uploader = uploader
        self._make_gateway = make_gateway
        self._gateway: Gateway | None = None

    async def listen(self, bindings: Sequence[Binding]) -> tuple[Binding, ...]:
        """Open the gateways' ports, once; returns where they listen. Raises PortInUse."""
        if self._gateway is None:
            gateway = self._make_gateway(bindings)
            await gateway.start()
            self._gateway = gateway
        ports = [self._gateway.port(binding.sp_address) for binding in bindings]
        return tuple(
            replace(binding, port=port, any_port=False)
            for binding, port in zip(bindings, ports, strict=True)
        )

    async def run(self, bindings: Sequence[Binding]) -> None:
        """Serve until the process ends; what dead uploads have left is removed first."""
        await self.listen(bindings)
        await self._uploader.sweep()
        await asyncio.Event().wait()

    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        return await self._uploader.hot_columns(sp_address, object_id, batch_index)

    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        await self._uploader.release_batch(sp_address, object_id, batch_index)

    async def release_object(self, sp_address: str, object_id: int) -> None:
        await self._uploader.release_object(sp_address, object_id)

    async def wait_for_batch(self, job: JobContext, batch_index: int) -> bool:
        return await self._uploader.wait_for_batch(job, batch_index)

    async def wait_for_end(self, job: JobContext) -> None:
        await self._uploader.wait_for_end(job)

    async def trace_of(self, object_id: int) -> TracePart:
        return await self._uploader.trace_of(object_id)
