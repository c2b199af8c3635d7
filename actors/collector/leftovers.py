"""Unfinished columns of sealed objects: their writer is dead, or at a repair. Which of the two,
only time tells: a column that has not grown for long has no writer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from greenray.actors.collector.stored import Found


@dataclass(frozen=True, slots=True)
class Leftover:
    """``since``: when it was first seen with this size (unix seconds)."""

    found: Found
    since: float


class Leftovers:
    """Those of this process's life; the next one begins anew."""

    def __init__(self) -> None:
        self._seen: dict[Found, float] = {}
        self._before: dict[Found, float] = {}

    def begin(self) -> None:
        """A comparison begins."""
        self._before, self._seen = self._seen, {}

    def saw(self, found: Found, now: float) -> None:
        """``found`` carries its size: one that has grown is another one."""
        self._seen[found] = self._before.get(found, now)

    def end(self) -> None:
        """A comparison has ended: what it did not see is gone."""
        self._before = {}

    def due(self, now: float, delay_s: float) -> Iterator[Leftover]:
        for found, since in list(self._seen.items()):
            if now >= since + delay_s:
                yield Leftover(found, since)

    def forget(self, leftover: Leftover) -> None:
        self._seen.pop(leftover.found, None)
