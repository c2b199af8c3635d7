"""Whether something is flowing through this process, for those that give way to it."""

from __future__ import annotations

import time
from collections.abc import Callable

_LASTS_S = 2.0
"""Longer than the pauses between two batches of an upload."""


class Traffic:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds since some moment."""
        self._clock = clock
        self._flowed_at: float | None = None

    def flows(self) -> None:
        """Some of it is here."""
        self._flowed_at = self._clock()

    @property
    def is_flowing(self) -> bool:
        at = self._flowed_at
        return at is not None and self._clock() - at < _LASTS_S
