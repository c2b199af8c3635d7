"""Checksums of many messages, fed in slices of any size, are those of hashlib."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.digests import STARTS, Start

ALL_BYTES = np.random.default_rng(7).integers(0, 256, 1 << 17, dtype=np.uint8)
BLOCK_BYTES = 64

lengths = st.one_of(st.integers(0, 3 * BLOCK_BYTES), st.sampled_from([4096, 65535, 65536]))
slices_of_update = st.lists(lengths, max_size=4)


@pytest.mark.parametrize("start", STARTS.values(), ids=list(STARTS))
@given(data=st.data(), messages=st.integers(0, 5), updates=st.integers(0, 3))
def test_slices_may_end_anywhere(
    start: Start, data: st.DataObject, messages: int, updates: int
) -> None:
    digests = start(messages)
    known = [sha256() for _ in range(messages)]
    for _ in range(updates):
        parts = []
        for digest in known:
            sizes = data.draw(slices_of_update)
            slices = [ALL_BYTES[size % 977 : size % 977 + size] for size in sizes]
            digest.update(b"".join(map(bytes, slices)))
            parts.append(slices)
        digests.update(parts)
    assert digests.digests() == [digest.digest() for digest in known]
