"""What passes by itself at a network that restores itself, and how long to wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from greenray.protocol.errors import (
    AnotherChain,
    ChainRolledBack,
    GreenrayError,
    Overloaded,
    SealAccountWithoutFunds,
    StoreError,
    StoreUnavailable,
)

T = TypeVar("T")

_FOR_PEOPLE = (AnotherChain, ChainRolledBack, SealAccountWithoutFunds)
"""It passes when an operator does something."""

_PAUSE_S = 0.5
"""Where nobody says how long to wait."""


def passes(error: GreenrayError) -> bool:
    """Whether it is worth while to ask again, soon: somebody is away. Some of it is
    for people, and who has too much to do was asked again already (``admission``)."""
    if isinstance(error, StoreError):
        return isinstance(error, StoreUnavailable)
    return error.retryable and not isinstance(error, (*_FOR_PEOPLE, Overloaded))


class Patience:
    """Of one call that is made again: for ``patience_s`` since it last went well."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since = time.monotonic()

    def restart(self) -> None:
        """It went well."""
        self._since = time.monotonic()

    async def wait_after(self, error: GreenrayError) -> None:
        """For as long as who answered asks for. Raises ``error`` when there is no more patience."""
        pause_s = error.retry_after_s or _PAUSE_S
        if time.monotonic() + pause_s > self._since + self._patience_s:
            raise error
        await asyncio.sleep(pause_s)


async def patiently(attempt: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """What ``attempt`` returns, which is made again while what it raises passes by itself."""
    patience = Patience(patience_s)
    while True:
        try:
            return await attempt()
        except GreenrayError as error:
            if not passes(error):
                raise
            await patience.wait_after(error)
