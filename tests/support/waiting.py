"""Waiting for what another process does, without taking the processor from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.05


def until(ask: Callable[[], T | None]) -> T:
    """What ``ask`` answers, once that is true; the test's own time-out ends a wait in vain."""
    while not (answer := ask()):
        time.sleep(_PAUSE_S)
    return answer
