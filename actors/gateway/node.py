"""One process of a node: Uploader and Downloader with the Gateway in front (design §3, "Who hosts
whom")."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from greenray.actors.downloader.actor import Downloader
from greenray.actors.gateway.server import Binding, Gateway
from greenray.actors.ports import ColumnRef, ObjectSpace
from greenray.actors.uploader.actor import Uploader
from greenray.actors.uploader.payload_source import ReferencedPayload
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.job import JobContext
from greenray.timeline.stage_trace import TracePart


class UploaderNode:
    """Implements ``greenray.actors.ports.HotColumns`` and ``RunningUploads``, and is a
    ``TraceSource``.

    ``run`` lives as long as the process, or until ``close``.
    """

    def __init__(
        self,
        uploader: Uploader,
        downloader: Downloader,
        make_gateway: Callable[[Sequence[Binding]], Gateway],
        space: ObjectSpace,
    ) -> None:
        """``space``: where payloads lie that are put from within the cluster."""
        self._uploader = uploader
        self._downloader = downloader
        self._space = space
        self._make_gateway = make_gateway
        self._gateway: Gateway | None = None
        self._closed = asyncio.Event()

    async def listen(self, bindings: Sequence[Binding]) -> tuple[Binding, ...]:
        """Open the gateways' ports, once; returns where they listen. Raises PortInUse,
        InvalidSetting."""
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
        """Serve until ``close``; what dead uploads have left is removed first."""
        await self.listen(bindings)
        await self._uploader.sweep()
        await self._closed.wait()

    async def close(self) -> None:
        """Let running requests end, then stop. Not to be used again."""
        if self._gateway is not None:
            await self._gateway.close()
        await self._downloader.close()
        await self._uploader.close()
        self._closed.set()

    async def put_object(self, request: GatewayRequest, blocks: Sequence[ColumnRef]) -> None:
        """Store the payload that these blocks make together; see ``Gateway.put_payload``.

        Raises also ComponentUnavailable, before ``listen``.
        """
        if self._gateway is None:
            raise ComponentUnavailable("the gateway does not listen yet", request.path, "Try again")
        await self._gateway.put_payload(request, ReferencedPayload(self._space, blocks))

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
