"""Names of pieces in a PieceStore, v0.2 form (protocol 01 §5)."""

from __future__ import annotations

import re

from greenray.protocol.errors import InvalidInput, InvalidPieceKey

_NUMBER = "(0|[1-9][0-9]*)"
_SEGMENT_KEY = re.compile(f"{_NUMBER}_s{_NUMBER}")
_PIECE_KEY = re.compile(f"{_NUMBER}_s{_NUMBER}_p{_NUMBER}")


def segment_key(object_id: int, segment: int) -> str:
    """``15_s2``: a whole segment, of the primary or of a replica group."""
    _check(object_id, segment)
    return f"{object_id}_s{segment}"


def piece_key(object_id: int, segment: int, redundancy_index: int) -> str:
    """``15_s2_p3``: the EC piece of a segment for one redundancy index."""
    _check(object_id, segment, redundancy_index)
    return f"{object_id}_s{segment}_p{redundancy_index}"


def parse_segment_key(key: str) -> tuple[int, int]:
    """(object id, segment). Raises InvalidPieceKey for anything ``segment_key`` cannot return."""
    object_id, segment = _parse(_SEGMENT_KEY, key, "a segment key such as 15_s2")
    return object_id, segment


def parse_piece_key(key: str) -> tuple[int, int, int]:
    """(object id, segment, redundancy index). Raises InvalidPieceKey likewise."""
    object_id, segment, index = _parse(_PIECE_KEY, key, "an EC piece key such as 15_s2_p3")
    return object_id, segment, index


def _check(*numbers: int) -> None:
    if min(numbers) < 0:
        raise InvalidInput(f"a piece key has no negative numbers: {numbers}")


def _parse(pattern: re.Pattern[str], key: str, wanted: str) -> tuple[int, ...]:
    # Far beyond any 64-bit number; int() would refuse thousands of digits with a plain ValueError.
    match = pattern.fullmatch(key) if len(key) <= 100 else None
    if match is None:
        raise InvalidPieceKey(f"{key[:100]!r} is not {wanted}")
    return tuple(int(number) for number in match.groups())
