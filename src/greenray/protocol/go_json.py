"""JSON exactly as Go's encoding/json (Go 1.20, which built the v0.2 programs) writes it.

Python's ``json`` already agrees on ``\\n \\r \\t``, on ``\\u00xx`` for the other control characters
and on raw U+007F; the differences are mended here.
"""

from __future__ import annotations

import json
import re
from typing import Any

# None of these can occur outside of strings in compact JSON.
_HTML_SAFE = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)
# Go learnt the short forms \b and \f only in 1.22. An escaped backslash is consumed as one unit, so
# that the text of a literal backslash followed by "b" stays what it is.
_ESCAPE = re.compile(r"\\.")
_LONG_FORMS = {"\\b": "\\u0008", "\\f": "\\u000c"}

_SORTING, _KEEPING = (
    json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort_keys
    )
    for sort_keys in (True, False)
)

_SURROGATE = re.compile("[\ud800-\udfff]")
# What may have to be mended in ASCII text at all; little has any of it.
_DIFFERENT = ("<", ">", "&", "\\b", "\\f")


def replace_surrogates(text: str) -> str:
    """``text`` with U+FFFD for every lone surrogate, as Go reads and writes what is not UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def dump(value: Any, *, sort_keys: bool) -> str:
    """Compact JSON text of ``value`` with Go's escaping; always encodable as UTF-8."""
    text = (_SORTING if sort_keys else _KEEPING).encode(value)
    if not text.isascii():
        return _mended(text)
    for part in _DIFFERENT:
        if part in text:
            return _mended(text)
    return text


def _mended(text: str) -> str:
    text = _ESCAPE.sub(lambda m: _LONG_FORMS.get(m[0], m[0]), text)
    return replace_surrogates(text.translate(_HTML_SAFE))


def quoted(text: str) -> str:
    """The JSON text of a string, as ``dump`` writes it."""
    return f'"{text}"' if text.isalnum() and text.isascii() else dump(text, sort_keys=False)


def sorted_compact(value: Any) -> bytes:
    """Sign bytes: keys sorted at every level, no white space, UTF-8 (protocol 03 §3.1)."""
    return dump(value, sort_keys=True).encode()
