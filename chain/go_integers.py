"""Whole numbers in text, as Go's big.Int reads them."""

from __future__ import annotations

import re

# A base prefix, or a leading zero for octal; single underscores behind it and between digits.
_GO_INTEGER = re.compile(
    r"([+-]?)(?:(0[xX])((?:_?[0-9a-fA-F])+)|(0[bB])((?:_?[01])+)|(0[oO])((?:_?[0-7])+)"
    r"|(0)((?:_?[0-7])+)|((?:[1-9](?:_?[0-9])*|0)))",
    re.ASCII,
)
_MAX_DECIMAL_DIGITS = 1000
"""More are no id, and Python refuses to read very many."""
_BASES = {"0x": 16, "0b": 2, "0o": 8, "0": 8}


def go_integer(text: str) -> int | None:
    """A number as Go's big.Int reads it when its text may choose the base."""
    match = _GO_INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *parts = (part for part in match.groups() if part is not None)
    base = _BASES[parts[0].lower()] if len(parts) == 2 else 10
    digits = parts[-1].replace("_", "")
    if base == 10 and len(digits) > _MAX_DECIMAL_DIGITS:
        return None
    number = int(digits, base)
    return -number if sign == "-" else number
