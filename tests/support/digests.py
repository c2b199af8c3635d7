"""Every implementation of ``Digests``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from greenray.coding import sha256_lanes
from greenray.coding.hashing import Digests, HashlibDigests
from greenray.coding.sha256_lanes import LaneDigests

Start = Callable[[int], Digests]


def lanes(count: int) -> Digests:
    library = sha256_lanes.library()
    if library is None:
        pytest.skip("this machine has no SHA instructions, or the kernel was not compiled")
    return LaneDigests(library, count)


STARTS: dict[str, Start] = {"hashlib": HashlibDigests, "lanes": lanes}
