from __future__ import annotations

import pytest

from greenray.protocol.errors import InvalidInput, InvalidPieceKey
from greenray.protocol.piece_keys import parse_piece_key, parse_segment_key, piece_key, segment_key


def test_negative_numbers_have_no_key() -> None:
    with pytest.raises(InvalidInput):
        segment_key(15, -1)
    with pytest.raises(InvalidInput):
        piece_key(15, 0, -1)


@pytest.mark.parametrize("key", ["015_s2", "15_s02", "١_s2", "1" * 5000 + "_s2", "15_s 2"])
def test_only_the_one_spelling_of_a_key_is_read(key: str) -> None:
    with pytest.raises(InvalidPieceKey):
        parse_segment_key(key)


def test_the_error_says_what_a_key_looks_like() -> None:
    with pytest.raises(InvalidPieceKey, match="'x' is not an EC piece key such as 15_s2_p3"):
        parse_piece_key("x")
