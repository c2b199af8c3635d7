"""The Range header of GetObject (protocol 06 §3.2)."""

from __future__ import annotations

import re

from greenray.actors.downloader.segment_reader import ByteRange

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_U64_MAX = 2**64 - 1


def parse_range(header: str, payload_size: int) -> ByteRange | None:
    """The range of a ``Range`` header; None when it asks for the whole object (no header, or a
    form that is not supported: suffixes, lists, other units).

    Raises:
        ValueError: the range does not lie in the payload.
    """
    match = _RANGE.fullmatch(header.lower().replace(" ", ""))
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2]) if match[2] else payload_size - 1
    if first > _U64_MAX or last > _U64_MAX:
        return None
    last = min(last, payload_size - 1)
    if first > last:
        raise ValueError("the range begins behind its end")
    return ByteRange(first, last)
