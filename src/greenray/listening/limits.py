"""What a listener takes from those who connect. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenLimits:
    """Of one listener, or of several that share their connections."""

    max_connections: int
    """Those that are open at a time; see ``ConnectionBounds``."""
    max_connections_per_address: int
    keepalive_timeout_s: float
    """How long a connection may be open without a request, also before its first one."""
    head_timeout_s: float = 10.0
    """From the first byte of a request's head to its end."""
    max_head_bytes: int = 64 * 1024
    """Of a request line and all headers; of the trailers of a body as well."""
    max_request_line_bytes: int = 8 * 1024
    heads_budget_bytes: int = 16 * 1024 * 1024
    """Of all heads that have begun and not ended; beyond it the oldest is refused."""
    answer_timeout_s: float = 120.0
    """How long an answer may wait without a byte of it being taken."""


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Who comes while all are taken waits in the kernel's queue."""

    taken: int
    """So many are accepted."""
    served: int
    """With more than so many open, requests are told to come later."""
    of_one_source: int

    @classmethod
    def of(cls, limits: ListenLimits, open_files_limit: int) -> ConnectionBounds:
        """``open_files_limit``: of the process, of which half is left for everything else. One
        source never has all connections."""
        wanted = limits.max_connections + max(16, limits.max_connections // 4)
        taken = max(8, min(wanted, open_files_limit // 2))
        return cls(
            taken,
            min(limits.max_connections, taken if taken == wanted else taken * 4 // 5),
            min(limits.max_connections_per_address, taken * 7 // 8),
        )


def source_of(address: str) -> str:
    """Whom a connection from an IP address counts for: itself, or, as everybody has a network of
    IPv6 addresses, the first 64 bits of it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
