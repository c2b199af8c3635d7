"""One component under supervision: it is asked for an answer, and its process is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import psutil

from greenray.cluster.supervision.rules import Kind, LifeSign
from greenray.protocol.errors import GreenrayError

Ask = Callable[[], Coroutine[Any, Any, int | None]]
"""Returns once the component has answered, maybe with the id of its process; raises a GreenrayError
when it is away."""


class Pulse:
    """Used from one event loop."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        *,
        ask: Ask | None = None,
        process_id: Callable[[], int | None] = lambda: None,
        kill: Callable[[], None] | None = None,
    ) -> None:
        """``ask``: None: only its process tells. ``process_id``: on this machine, as far as it is
        known without asking; None: it is not, or runs elsewhere. ``kill``: for processes elsewhere.
        """
        self.name = name
        self.kind = kind
        self._ask = ask
        self._process_id = process_id
        self._kill = kill
        self._asking: asyncio.Future[int | None] | None = None
        self._process: psutil.Process | None = None
        self._was_away = False
        self.answered_by: int | None = None
        """The process that gave the last answer."""

    async def feel(self, answer_s: float) -> LifeSign:
        """How the component is; returns within ``answer_s``. What was asked before and has not been
        answered is not asked again."""
        state = self._state()
        asks = self._ask is not None and not self._is_gone_for_good(state)
        if state is LifeSign.STOPPED or not asks:
            return state
        if self._asking is None:
            assert self._ask is not None
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(_seen)
        # Waited for and never cancelled: Ray does not expect that of its futures.
        await asyncio.wait([self._asking], timeout=answer_s)
        if not self._asking.done():
            # While a process is being started, nobody answers yet.
            self._was_away = self._was_away or self._state() is LifeSign.AWAY
            return LifeSign.AWAY if self._was_away else LifeSign.SILENT
        asking, self._asking = self._asking, None
        self._was_away = asking.cancelled() or isinstance(asking.exception(), GreenrayError)
        if self._was_away:
            return LifeSign.AWAY
        self.answered_by = asking.result()  # raises what is no error of ours
        return LifeSign.ANSWERS

    def is_gone(self) -> bool:
        """Whether its process, on this machine, has ended."""
        return self._state() is LifeSign.AWAY

    def _is_gone_for_good(self, state: LifeSign) -> bool:
        """Whether no other process will answer what is asked now."""
        return state is LifeSign.AWAY and self.kind is not Kind.ACTOR

    def _state(self) -> LifeSign:
        """What the system says of the process, as far as it runs on this machine."""
        pid = self._process_id()
        if pid is None and self._kill is None:
            pid = self.answered_by
        if pid is None:
            return LifeSign.ANSWERS
        try:
            if self._process is None or self._process.pid != pid:
                self._process = psutil.Process(pid)
            status = self._process.status()
        except psutil.NoSuchProcess:
            return LifeSign.AWAY
        if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return LifeSign.AWAY
        return LifeSign.STOPPED if status == psutil.STATUS_STOPPED else LifeSign.ANSWERS

    def kill(self) -> None:
        """End its process, whatever it is at; whoever starts it again does."""
        if self._kill is not None:
            self._kill()
        elif self._process is not None:
            with suppress(psutil.NoSuchProcess):
                self._process.kill()


def _seen(asking: asyncio.Future[int | None]) -> None:
    """Also when nobody waits for it any more."""
    if not asking.cancelled():
        asking.exception()
