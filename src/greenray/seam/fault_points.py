"""Named points at which things can go wrong, and the port through which a process passes them.

In production nothing happens there. Tests put a plan of faults behind the port: a process that dies
at a point, stands still, is refused, or is given another answer than the true one
(docs/reliability.md). Each point stands where a seam is anyway, so that one covers all calls of a
port by their names.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class FaultPoint(Enum):
    """``where`` says, at each, what passes it; ``value`` is what it carries on."""

    CALL_SENT = "call sent"
    """A call to an actor is about to go. ``where``: the actor and the method."""
    CALL_ANSWERED = "call answered"
    """The call has ended at the actor; ``value``, its answer, is about to come."""
    ANSWER_LEAVING = "answer leaving"
    """All is done that a client of the gateway asked for. ``where``: the route."""
    COMMIT_BEGUN = "commit begun"
    """A group of journal writes is complete, and none of them durable. ``where``: the writes."""
    COMMIT_DONE = "commit done"
    """The group is durable, and nobody has an answer. ``where``: the writes."""
    STORE_CALLED = "store called"
    """A PieceStore, or one of its writers, is about to be called. ``where``: the method."""
    STORE_RETURNED = "store returned"
    """It is done, and recorded nowhere. ``where``: the method; ``value``: its arguments, among them
    the buffers that were read into, and what it returned."""
    CLOCK_READ = "clock read"
    """``value``: unix seconds. ``where``: the clock of the process."""


class FaultPoints(Protocol):
    """The points of one process.

    Both calls give ``value`` back, or another in its place; they raise what goes wrong, and may
    take any time.
    """

    def reach(self, point: FaultPoint, where: str, value: T) -> T:
        """In any thread. One that belongs to an event loop is never held up."""

    async def pass_(self, point: FaultPoint, where: str, value: T) -> T:
        """In a task."""


class NoFaults:
    """Implements ``FaultPoints``: nothing goes wrong."""

    def reach(self, point: FaultPoint, where: str, value: T) -> T:
        return value

    async def pass_(self, point: FaultPoint, where: str, value: T) -> T:
        return value


NO_FAULTS: FaultPoints = NoFaults()


def clock_through(points: FaultPoints) -> Callable[[], float]:
    """The clock of a process (unix seconds)."""
    if points is NO_FAULTS:
        return time.time
    return lambda: points.reach(FaultPoint.CLOCK_READ, "clock", time.time())


def call_through(
    call: Callable[..., Awaitable[Any]], where: str, points: FaultPoints
) -> Callable[..., Awaitable[Any]]:
    """What makes a call that passes ``points``."""
    if points is NO_FAULTS:
        return call

    async def passing(*args: Any, **kwargs: Any) -> Any:
        await points.pass_(FaultPoint.CALL_SENT, where, None)
        answer = await call(*args, **kwargs)
        return await points.pass_(FaultPoint.CALL_ANSWERED, where, answer)

    return passing


def store_through(store: T, points: FaultPoints) -> T:
    """A PieceStore, or a writer of one, whose calls pass ``points``."""
    return store if points is NO_FAULTS else cast("T", _PassingStore(store, points))


class _PassingStore:
    def __init__(self, store: object, points: FaultPoints) -> None:
        self._store = store
        self._points = points

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._points.reach(FaultPoint.STORE_CALLED, name, None)
            returned = (args, found(*args, **kwargs))
            _, result = self._points.reach(FaultPoint.STORE_RETURNED, name, returned)
            return store_through(result, self._points) if name in _GIVE_WRITERS else result

        return call


_GIVE_WRITERS = frozenset({"create", "resume"})
