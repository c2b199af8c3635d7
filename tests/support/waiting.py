"""Waiting for what has no event, without taking the processor from who does it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.05
"""Another process may be asked each time."""

_PAUSE_OF_A_LOOP_S = 0.005


def until(ask: Callable[[], T | None]) -> T:
    """What ``ask`` answers, once that is true; the test's own time-out ends a wait in vain."""
    while not (answer := ask()):
        time.sleep(_PAUSE_S)
    return answer


async def eventually(is_reached: Callable[[], object]) -> None:
    """The same, for what happens in this process."""
    while not is_reached():  # noqa: ASYNC110  # what is waited for has no event
        await asyncio.sleep(_PAUSE_OF_A_LOOP_S)
