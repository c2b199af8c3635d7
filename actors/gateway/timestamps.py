"""Times in headers (RFC 3339)."""

from __future__ import annotations

import re
from datetime import datetime

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def unix_time(text: str) -> float | None:
    """Seconds; None for what is no such time."""
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def is_ahead(expires_at: float, now: float, limit_s: float) -> bool:
    """Whether it lies between now and so many seconds from now; whole seconds count, as in Go."""
    return 0 <= int(expires_at - now) <= limit_s
