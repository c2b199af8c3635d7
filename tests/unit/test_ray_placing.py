"""Columns as Ray is given them: their bytes, and where they come to lie."""

from __future__ import annotations

import numpy as np
import pytest

from greenray.actors.ports import Column
from greenray.cluster.on_ray.placing import Placing
from greenray.storage.direct_io import address_of

PAGE_BYTES = 4096


def stored_at(offset_bytes: int) -> Column:
    """A column whose address is ``offset_bytes`` behind a multiple of 512."""
    memory = np.zeros(2048, dtype=np.uint8)
    start = -address_of(memory.data) % 512 + offset_bytes
    return memory[start : start + 100]


@pytest.mark.parametrize("off_bytes", [0, 64, 320, 448])
def test_the_gap_is_what_would_have_put_the_last_bytes_in_their_place(off_bytes: int) -> None:
    placing = Placing()
    placed = placing.placed(memoryview(b"bytes"))
    for _ in range(3):  # several were under way with the same gap
        placing.learn(placed, stored_at(off_bytes))
        assert (placed.lead_bytes - placing.lead_bytes - off_bytes) % 512 == 0
        assert 0 <= placing.lead_bytes < 512


@pytest.mark.parametrize("stored", [stored_at(100), stored_at(0)[:0]], ids=["odd", "empty"])
def test_bytes_that_no_gap_would_help_change_nothing(stored: Column) -> None:
    placing = Placing()
    placing.learn(placing.placed(memoryview(b"bytes")), stored)
    assert placing.lead_bytes == Placing().lead_bytes
