"""What a Gateway is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge

from greenray.actors.credit.settings import LendingSettings
from greenray.actors.settings import MIB, AtLeastOne, NotNegative, PositiveSeconds
from greenray.protocol.read_quota import FREE_READ_QUOTA_BYTES


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    idle_timeout_s: PositiveSeconds = 60.0
    """How long a client may be silent in the middle of a payload."""
    keepalive_timeout_s: PositiveSeconds = 75.0
    """How long a connection without a request is kept open, also before its first one."""
    max_connections: AtLeastOne = 4096
    """Connections that are open at a time. Beyond them those that ask for nothing make room; when
    all are busy, requests are answered with HTTP 503."""
    max_connections_per_address: AtLeastOne = 1024
    """Of these, from one IP address, or one /64 network of IPv6; more are refused. Behind a proxy
    all come from its address."""
    max_head_bytes: Annotated[int, Ge(4096)] = 64 * 1024
    """Of a request line with all headers; longer ones are answered with HTTP 431. An unsigned
    message, or an approval, has to fit with its object name."""
    max_request_line_bytes: Annotated[int, Ge(1024)] = 8 * 1024
    """Longer ones are answered with HTTP 414."""
    head_timeout_s: PositiveSeconds = 10.0
    """How long the head of a request may take from its first byte; then it is answered with HTTP
    408."""
    heads_budget_bytes: Annotated[int, Ge(64 * 1024)] = 16 * MIB
    """Of all heads that have begun and not ended; beyond it the oldest is refused."""
    cors_origins: str = ""
    """Pages of these origins may ask a gateway from a browser: https://host:port, several with
    commas between, or * for all."""
    max_uploads: AtLeastOne = 512
    """Payloads that are received at a time; more wait, and are answered with HTTP 503 then, before
    a byte of them is read."""
    max_downloads: AtLeastOne = 256
    """Objects that are sent at a time; more wait, and are answered with HTTP 503 then."""
    place_wait_s: PositiveSeconds = 5.0
    """How long an upload or a download waits when so many are under way already."""
    least_place_bytes_per_s: NotNegative = 16 * 1024
    """While others wait, who is slower in an upload or a download gives its place to them."""
    max_waiting_jobs: AtLeastOne = 20_000
    """Objects that are stored and not sealed yet, in the whole network; while there are so many,
    payloads are answered with HTTP 503."""
    retry_after_s: AtLeastOne = 1
    """What the Retry-After header of such an answer says, in whole seconds."""
    wire_groups_bytes: AtLeastOne = 64 * MIB
    """Memory of each process that replicate groups are received in which come over HTTP."""
    least_group_bytes_per_s: NotNegative = 64 * 1024
    """A primary that sends such a group more slowly (bytes per second) is put off while others wait
    for that memory."""
    lending: LendingSettings = field(default_factory=LendingSettings)
    """Who has how much of it."""
    free_read_quota_bytes: NotNegative = FREE_READ_QUOTA_BYTES
    """What may be downloaded of each bucket in a month (UTC), in bytes, beside the read quota that
    its owner pays for; then HTTP 403."""
    take_over_bytes: int = 1 * MIB
    """Payloads from this size on are read from their connection straight to their place."""
    read_bufsize_bytes: int = 1 * MIB
