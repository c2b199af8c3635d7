"""JSON exactly as Go's encoding/json writes it: compact, HTML-safe, optionally sorted."""

from __future__ import annotations

import json
from typing import Any

# Go replaces these inside strings; outside of strings they cannot occur in compact JSON.
_HTML_SAFE = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)


def dump(value: Any, *, sort_keys: bool) -> str:
    """Compact JSON text of ``value`` with Go's escaping of <, >, &, U+2028 and U+2029."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    return text.translate(_HTML_SAFE)


def sorted_compact(value: Any) -> bytes:
    """Sign bytes: keys sorted at every level, no white space, UTF-8 (protocol 03 §3.1)."""
    return dump(value, sort_keys=True).encode()
