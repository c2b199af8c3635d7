"""The part of a document that is generated, between two marks."""

from __future__ import annotations


def with_part(text: str, name: str, part: str) -> str:
    """``text`` with ``part`` between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{part}{end}{after}"
