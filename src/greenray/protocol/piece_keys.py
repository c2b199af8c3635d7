"""Names of pieces in a PieceStore, v0.2 form (protocol 01 §5)."""

from __future__ import annotations

from greenray.protocol.errors import InvalidInput


def segment_key(object_id: int, segment: int) -> str:
    """``15_s2``: a whole segment, of the primary or of a replica group."""
    _check(object_id, segment)
    return f"{object_id}_s{segment}"


def piece_key(object_id: int, segment: int, redundancy_index: int) -> str:
    """``15_s2_p3``: the EC piece of a segment for one redundancy index."""
    _check(object_id, segment, redundancy_index)
    return f"{object_id}_s{segment}_p{redundancy_index}"


def _check(*numbers: int) -> None:
    if min(numbers) < 0:
        raise InvalidInput(f"a piece key has no negative numbers: {numbers}")
