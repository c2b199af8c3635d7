"""Ending somebody's work from outside, with an error that says why."""

from __future__ import annotations

import asyncio
from types import TracebackType

from greenray.protocol.errors import GreenrayError


class Ending:
    """A context whose task can be ended while it waits; the context raises the reason then."""

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._reason: GreenrayError | None = None

    def end(self, reason: GreenrayError) -> None:
        """The first reason counts. Nothing happens once the context is left."""
        if self._task is not None and self._reason is None:
            self._reason = reason
            self._task.cancel()

    def __enter__(self) -> Ending:
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._reason is None or task is None:
            return
        others = task.uncancel()
        if isinstance(error, asyncio.CancelledError) and not others:
            raise self._reason from None
