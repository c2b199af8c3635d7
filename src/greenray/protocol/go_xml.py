"""XML as Go's encoding/xml writes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_ESCAPES: Mapping[str, str] = MappingProxyType(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&#34;",
        "'": "&#39;",
        "\t": "&#x9;",
        "\n": "&#xA;",
        "\r": "&#xD;",
    }
)


def element(name: str, text: str | int) -> str:
    return f"<{name}>{escape_text(str(text))}</{name}>"


def escape_text(text: str) -> str:
    """Text between two tags; what XML cannot have becomes U+FFFD."""
    return "".join(_ESCAPES.get(char) or (char if _is_char(char) else "\ufffd") for char in text)


def _is_char(char: str) -> bool:
    return (
        " " <= char <= "\ud7ff"
        or "\ue000" <= char <= "\ufffd"
        or "\U00010000" <= char <= "\U0010ffff"
    )
