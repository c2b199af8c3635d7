"""Places: how many peers are served at a time, each at a pace of its own.

A place is kept for as long as its peer likes while nobody waits for one. When all are taken, who
comes waits, and the slowest lose theirs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from greenray.protocol.errors import Overloaded

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a peer moved in the time in which it was waited for, and nobody else."""

    moved_bytes: int
    waited_s: float

    def since(self, before: Pace) -> Pace:
        return Pace(self.moved_bytes - before.moved_bytes, self.waited_s - before.waited_s)


def slowest_first(paces: Mapping[K, Pace], least_bytes_per_s: int) -> list[K]:
    """Who moved less than that while it was waited for, the slowest first. Pure."""
    rates = {key: pace.moved_bytes / pace.waited_s for key, pace in paces.items() if pace.waited_s}
    return sorted((key for key in rates if rates[key] < least_bytes_per_s), key=rates.__getitem__)


class PeerTurns:
    """Counts the time in which a peer is waited for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waited_s = 0.0
        self._since: float | None = None

    @contextmanager
    def turn(self) -> Generator[None]:
        """While nothing goes on but by the peer."""
        self._since = self._clock()
        try:
            yield
        finally:
            self._waited_s = self.waited_s
            self._since = None

    @property
    def waited_s(self) -> float:
        now = 0.0 if self._since is None else self._clock() - self._since
        return self._waited_s + now


class TakenPlace:
    """One of the ``Places``, taken."""

    def __init__(self) -> None:
        self._pace: Callable[[], Pace] | None = None
        self._end: Callable[[], None] | None = None
        self._seen: tuple[float, Pace] | None = None

    @contextmanager
    def may_be_ended(self, pace: Callable[[], Pace], end: Callable[[], None]) -> Generator[None]:
        """While a peer decides how fast it goes. ``end``: see to it that the place is left soon; it
        is called once at most, when others wait and ``pace`` is slow."""
        self._pace, self._end, self._seen = pace, end, None
        try:
            yield
        finally:
            self._pace = self._end = None

    def judged(self, now_s: float, judged_s: float) -> Pace | None:
        """Its pace in the last ``judged_s`` or more; None before, and of who was waited for less
        than half of that: others are to blame."""
        if self._pace is None or self._end is None:
            return None
        pace = self._pace()
        if self._seen is None:
            self._seen = (now_s, pace)
        at_s, before = self._seen
        if now_s - at_s < judged_s:
            return None
        self._seen = (now_s, pace)
        seen = pace.since(before)
        return seen if seen.waited_s >= judged_s / 2 else None

    def forget(self) -> None:
        """What was seen of it; nobody waits any more."""
        self._seen = None

    def end(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            end()


class Places:
    """``limit`` of them, for what is told as ``what`` in a refusal."""

    def __init__(
        self,
        limit: int,
        what: str,
        *,
        wait_s: float,
        least_bytes_per_s: int,
        overloaded: Callable[[str], Overloaded],
        judged_s: float = 2.0,
    ) -> None:
        """``wait_s``: how long who comes waits for one; as many as there are places may wait.
        ``judged_s``: what is seen of a peer for so long decides whether it is slow."""
        self._limit = limit
        self._what = what
        self._wait_s = wait_s
        self._least_bytes_per_s = least_bytes_per_s
        self._overloaded = overloaded
        self._judged_s = judged_s
        self._taken: set[TakenPlace] = set()
        self._ending: set[TakenPlace] = set()
        self._waiting: list[asyncio.Future[TakenPlace]] = []
        self._looks: asyncio.TimerHandle | None = None

    @property
    def taken(self) -> int:
        return len(self._taken)

    @asynccontextmanager
    async def take(self) -> AsyncGenerator[TakenPlace]:
        """Raises Overloaded."""
        place = self._take() if len(self._taken) < self._limit else await self._wait()
        try:
            yield place
        finally:
            self._leave(place)

    def _take(self) -> TakenPlace:
        place = TakenPlace()
        self._taken.add(place)
        return place

    def _leave(self, place: TakenPlace) -> None:
        self._taken.discard(place)
        self._ending.discard(place)
        while self._waiting:
            waiter = self._waiting.pop(0)
            if not waiter.done():
                waiter.set_result(self._take())
                return

    async def _wait(self) -> TakenPlace:
        if len(self._waiting) >= self._limit:
            raise self._too_many()
        waiter: asyncio.Future[TakenPlace] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._look_soon()
        try:
            async with asyncio.timeout(self._wait_s):
                return await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter.done() and not waiter.cancelled():
                self._leave(waiter.result())
            if isinstance(error, TimeoutError):
                raise self._too_many() from None
            raise

    def _too_many(self) -> Overloaded:
        return self._overloaded(f"{self._limit} {self._what}, and no more are taken")

    # --- while somebody waits --------------------------------------------------------------------

    def _look_soon(self) -> None:
        if self._looks is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._looks = loop.call_later(self._judged_s / 4, self._look)

    def _look(self) -> None:
        self._looks = None
        if not self._waiting:
            for place in self._taken:
                place.forget()
            return
        now_s = asyncio.get_running_loop().time()
        seen = {place: place.judged(now_s, self._judged_s) for place in self._taken - self._ending}
        paces = {place: pace for place, pace in seen.items() if pace is not None}
        # Those that end already are for who has waited longest.
        wanted = len(self._waiting) - len(self._ending)
        for place in slowest_first(paces, self._least_bytes_per_s)[: max(0, wanted)]:
            self._ending.add(place)
            place.end()
        self._look_soon()
