"""What a Gateway is told."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.settings import MIB, AtLeastOne, PositiveSeconds


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    idle_timeout_s: PositiveSeconds = 60.0
    """How long a client may be silent in the middle of a payload."""
    keepalive_timeout_s: PositiveSeconds = 75.0
    """How long a connection without a request is kept open, also before its first one."""
    max_connections: AtLeastOne = 4096
    """Connections that are open at a time; requests on more of them are answered with HTTP 503."""
    max_uploads: AtLeastOne = 512
    """Payloads that are received at a time; more are answered with HTTP 503 before a byte of them
    is read."""
    max_downloads: AtLeastOne = 256
    """Objects that are sent at a time; more are answered with HTTP 503."""
    max_waiting_jobs: AtLeastOne = 20_000
    """Objects that are stored and not sealed yet, in the whole network; while there are so many,
    payloads are answered with HTTP 503."""
    retry_after_s: AtLeastOne = 1
    """What the Retry-After header of such an answer says, in whole seconds."""
    take_over_bytes: int = 1 * MIB
    """Payloads from this size on are read from their connection straight to their place."""
    read_bufsize_bytes: int = 1 * MIB
    max_header_bytes: int = 64 * 1024
    """Of one header: an unsigned message, or an approval, with its object name."""
