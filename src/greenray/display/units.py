"""Numbers and sizes for people."""

from __future__ import annotations

from datetime import UTC, datetime


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def size(size_bytes: int) -> str:
    """In the units in which it is a round number, if there are such."""
    if size_bytes % 1000 == 0:
        for unit, scale in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
            if size_bytes % scale == 0 and size_bytes:
                return f"{size_bytes // scale} {unit}"
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.4g} {unit}"
    return f"{size_bytes} B"


def format_size(size_bytes: int) -> str:
    """``256 MiB``, ``1.3 GiB``, ``999 B``: for reading, not for parsing."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


def utc_text(seconds: int) -> str:
    """``2026-11-29 13:44:04 UTC`` of unix seconds."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # what a chain says need not be a date
        return str(seconds)
