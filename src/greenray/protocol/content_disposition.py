"""Whether a browser shows an object or stores it, and by which name (RFC 6266)."""

from __future__ import annotations

from greenray.protocol.content_type import is_inert
from greenray.protocol.percent_encoding import QUERY_SAFE, escape


def stored_as(object_name: str) -> str:
    """It is stored, by the last part of its name."""
    name = object_name.rstrip("/").rpartition("/")[2] or "object"
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in name)
    value = f'attachment; filename="{plain}"'
    if plain == name:
        return value
    return f"{value}; filename*=UTF-8''{escape(name.encode(), QUERY_SAFE)}"


def shown_or_stored(content_type: str, object_name: str) -> str:
    """It is shown, unless a browser would run it."""
    return "inline" if is_inert(content_type) else stored_as(object_name)
