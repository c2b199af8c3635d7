"""Whose memory is wanted back when uploads wait for each other's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")

GRACE_S = 5.0
"""An upload is not judged before it has had its memory for so long."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Of an upload that is filling a buffer. ``since_s``: when it was given the buffer, by the same
    clock as ``now_s`` below."""

    since_s: float
    received_bytes: int

    def bytes_per_s(self, now_s: float) -> float:
        return self.received_bytes / max(now_s - self.since_s, 1e-9)


def whom_to_put_off(paces: Mapping[K, Pace], least_bytes_per_s: float, now_s: float) -> K | None:
    """The slowest upload, if it is slower than it may be while others wait; None when all are fast
    enough or have only begun."""
    judged = {key: pace for key, pace in paces.items() if now_s - pace.since_s >= GRACE_S}
    if not judged:
        return None
    slowest = min(judged, key=lambda key: judged[key].bytes_per_s(now_s))
    too_slow = judged[slowest].bytes_per_s(now_s) < least_bytes_per_s
    return slowest if too_slow else None
