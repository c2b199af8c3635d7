"""What a Gateway is told."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.settings import MIB, PositiveSeconds


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    idle_timeout_s: PositiveSeconds = 60.0
    """How long a client may be silent in the middle of a payload."""
    keepalive_timeout_s: PositiveSeconds = 75.0
    """How long a connection without a request is kept open."""
    take_over_bytes: int = 1 * MIB
    """Payloads from this size on are read from their connection straight to their place."""
    read_bufsize_bytes: int = 1 * MIB
    max_header_bytes: int = 64 * 1024
    """Of one header: an unsigned message, or an approval, with its object name."""
