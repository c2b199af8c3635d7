"""Actors are found by names that carry the port they are seen as: a wrong one is a type error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from greenray.protocol.errors import ComponentUnavailable
from greenray.seam.fault_points import NO_FAULTS, FaultPoints, call_through
from greenray.seam.travel import Travel, travels_of

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PortName(Generic[P]):
    """An actor, seen as one of the ports that it offers.

    Raises TypeError for a port with a method that does not say how its calls travel.
    """

    actor: str
    port: type[P]

    def __post_init__(self) -> None:
        travels_of(self.port)


class Finder(Protocol):
    """The actors of a network, wherever they run."""

    def find(self, name: PortName[P]) -> P:
        """Made at once, whether the actor is there yet or not: any call of the port may raise
        ComponentUnavailable. A call goes on to its end though its caller may go away."""


def offered(name: PortName[P], build: Callable[..., P]) -> PortName[P]:
    """``name``, whose port the type checker has compared with what ``build`` returns."""
    return name


Call = Callable[..., Awaitable[Any]]


class NamedPort:
    """Looks like the actor behind a name: the methods of its port, and no others, can be awaited.

    ``call_of`` makes what calls a method, once for each, from the method's name and how it travels.
    """

    def __init__(self, name: PortName[Any], call_of: Callable[[str, Travel], Call]) -> None:
        self._port = name.port.__name__
        self._travels = travels_of(name.port)
        self._call_of = call_of

    def __getattr__(self, method: str) -> Call:
        if method.startswith("_"):  # copying and pickling probe for these
            raise AttributeError(method)
        if method not in self._travels:
            raise AttributeError(f"{self._port} has no method {method}")
        call = self._call_of(method, self._travels[method])
        setattr(self, method, call)  # the next time nobody comes here
        return call


class LocalFinder:
    """Implements ``Finder`` over actors of this process, which are looked up at every call.

    ``actors``: by name; its owner may add, replace and remove them at any time. ``fault_points``:
    of the process that calls.
    """

    def __init__(self, actors: Mapping[str, object], fault_points: FaultPoints = NO_FAULTS) -> None:
        self._actors = actors
        self._points = fault_points

    def find(self, name: PortName[P]) -> P:
        """See ``Finder.find``."""
        return cast("P", NamedPort(name, lambda method, _: self._call_of(name.actor, method)))

    def _call_of(self, actor: str, method: str) -> Call:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if actor not in self._actors:
                raise ComponentUnavailable("is not there yet", actor)
            return await _to_its_end(getattr(self._actors[actor], method)(*args, **kwargs))

        return call_through(call, f"{actor}.{method}", self._points)


_running: set[asyncio.Task[Any]] = set()


async def _to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """What the call returns or raises; it goes on, as one of another process does, when its caller
    is cancelled."""
    task = asyncio.ensure_future(call)
    _running.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # seen, even when its caller has gone away
