from __future__ import annotations

import pytest

from greenray.protocol.errors import InvalidInput
from greenray.protocol.piece_keys import piece_key, segment_key


def test_negative_numbers_have_no_key() -> None:
    with pytest.raises(InvalidInput):
        segment_key(15, -1)
    with pytest.raises(InvalidInput):
        piece_key(15, 0, -1)
