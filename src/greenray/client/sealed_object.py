"""A sealed object at its primary's gateway, read by ranges."""

from __future__ import annotations

from greenray.client.gateway_session import GatewaySession
from greenray.client.patience import patiently
from greenray.protocol.errors import PayloadSizeMismatch
from greenray.protocol.objects import ObjectInfo


class SealedObject:
    """Reads any bytes of one object. The gateway verifies every segment before it sends of it; what
    arrives of a range cannot be compared with the chain, whose checksums are those of the whole."""

    def __init__(self, session: GatewaySession, info: ObjectInfo, outage_s: float) -> None:
        self._session = session
        self._outage_s = outage_s
        self.info = info

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def size_bytes(self) -> int:
        return self.info.payload_size

    async def read(self, offset: int, size_bytes: int) -> bytes:
        """All of these bytes, which must be the object's.

        Raises: AccessDenied, SegmentLost, PayloadSizeMismatch, ComponentUnavailable, BadAnswer.
        """
        if size_bytes == 0:
            return b""
        return await patiently(lambda: self._attempt(offset, size_bytes), self._outage_s)

    async def _attempt(self, offset: int, size_bytes: int) -> bytes:
        wanted = {"Range": f"bytes={offset}-{offset + size_bytes - 1}"}
        found = bytearray()
        async with self._session.request("GET", f"/{self.info.name}", "", wanted) as answer:
            async for block in answer.blocks(size_bytes):
                found += block
        if len(found) != size_bytes:
            raise PayloadSizeMismatch(
                f"{len(found)} bytes arrived of {size_bytes} from {offset} on",
                self.info.name,
                "Get it again.",
            )
        return bytes(found)
