"""Coming back later to a gateway that has too much to do."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from greenray.protocol.errors import Overloaded

T = TypeVar("T")

PATIENCE_S = 600.0
"""How long a gateway that has too much to do is asked again."""

_LEAST_PAUSE_S = 0.2
"""Whatever the gateway says: one that says 0 would be asked without a pause, for ever."""

log = logging.getLogger(__name__)


async def admitted(
    attempt: Callable[[], Awaitable[T]], what: str, patience_s: float = PATIENCE_S
) -> T:
    """What ``attempt`` returns, which is made again after as long as the gateway says, for
    ``patience_s`` in all; then its Overloaded is raised."""
    waited_s = 0.0
    while True:
        try:
            return await attempt()
        except Overloaded as error:
            # Not all at the same moment: that is what they were sent away for.
            pause_s = max(error.retry_after_s, _LEAST_PAUSE_S) * random.uniform(0.75, 1.5)
            if waited_s + pause_s > patience_s:
                raise
            log.info("%s waits for %.1f s: %s", what, pause_s, error.what)
            waited_s += pause_s
            await asyncio.sleep(pause_s)
