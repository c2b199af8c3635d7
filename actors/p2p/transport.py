"""The port through which P2P reaches other SPs."""

from __future__ import annotations

from typing import Protocol

from greenray.protocol.objects import StorageProvider


class PeerTransport(Protocol):
    """Carries one GetApprovalRequest to an SP and its GetApprovalResponse back."""

    async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes | None:
        """None: the peer dropped the request. Raises GreenrayError when it cannot be reached."""
