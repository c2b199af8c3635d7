"""A host of a random world: as good as a process of its own. It can die and stand still, and others
notice it as they would notice it of a process."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import uuid
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar, cast
from weakref import WeakSet

from greenray.protocol.errors import ComponentUnavailable
from greenray.seam.fault_points import FaultPoint
from tests.support.kill_switch import Killed
from tests.support.worlds.faults import FaultSchedule, error_of, falsified
from tests.support.worlds.plan import FaultKind, PlannedFault

T = TypeVar("T")

_CLOCK_IS_WRONG_S = 2.0

_HOST: contextvars.ContextVar[Host | None] = contextvars.ContextVar("host", default=None)


def host_tasks(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, T] | Generator[Any, None, T],
    /,
    **options: Any,
) -> asyncio.Task[T]:
    """A task factory: every task belongs to the host of the code that makes it."""
    context: contextvars.Context = options.get("context") or contextvars.copy_context()
    task: asyncio.Task[T] = asyncio.Task(work, loop=loop, **{**options, "context": context})
    host = context.get(_HOST)
    if host is not None:
        host.tasks.add(task)
    return task


class Surroundings(Protocol):
    """What the faults of a host reach beyond it."""

    def has_died(self, host: Host, *, with_all: bool) -> None:
        """And takes all others with it, perhaps. Called in any thread."""

    def fill_mempool(self) -> None:
        """The node takes no transaction for a while."""

    def lose_mempool(self) -> None:
        """The node forgets what is in no block."""


class Clock:
    """Of the machine that a host is on: it outlives the host."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def set_right(self) -> None:
        self.offset_s = 0.0


class Host:
    """Implements ``greenray.seam.fault_points.FaultPoints``. The dead pass no point: nothing that
    they still do reaches the world."""

    def __init__(
        self, name: str, schedule: FaultSchedule, world: Surroundings, clock: Clock
    ) -> None:
        self.name = name
        self.process_name = f"{name}-{uuid.uuid4().hex[:8]}"
        self.is_dead = False
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._role = name.partition("-")[0]
        self._schedule = schedule
        self._world = world
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._moves = asyncio.Event()
        self._moves_for_threads = threading.Event()
        self._go_on()
        self._context = contextvars.copy_context()
        self._context.run(_HOST.set, self)

    # --- what runs in it -------------------------------------------------------------------------

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call it in the host, to which all tasks belong that it makes."""
        return self._context.copy().run(function, *arguments)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(work, context=self._context.copy())

    async def run(self, work: Coroutine[Any, Any, T], where: str) -> T:
        """What a caller gets, wherever it is. Raises ComponentUnavailable when the host dies."""
        if self.is_dead:
            work.close()
            raise ComponentUnavailable("its process died", where)
        task = self.start(work)
        await asyncio.wait([task])
        if self.is_dead or task.cancelled():
            if not task.cancelled():
                task.exception()
            raise ComponentUnavailable("its process died", where)
        return task.result()

    def die(self, *, with_all: bool = False) -> None:
        """At once: nothing is finished, nothing told."""
        if not self.is_dead:
            self.is_dead = True
            self._loop.call_soon_threadsafe(self._go_on)
            self._moves_for_threads.set()
            self._world.has_died(self, with_all=with_all)

    async def bury(self) -> None:
        """Return when none of its tasks runs any more."""
        while doomed := [task for task in self.tasks if not task.done()]:
            for task in doomed:
                task.cancel()
            # Some tidy up when cancelled: they are cancelled again.
            await asyncio.wait(doomed, timeout=0.02)
        for task in self.tasks:
            if not task.cancelled():
                task.exception()  # seen

    def _stand_still(self, stop_s: float) -> None:
        self._moves_for_threads.clear()
        self._loop.call_soon_threadsafe(self._moves.clear)
        self._loop.call_soon_threadsafe(self._loop.call_later, stop_s, self._go_on)

    def _go_on(self) -> None:
        self._moves.set()
        self._moves_for_threads.set()

    # --- points ----------------------------------------------------------------------------------

    def reach(self, point: FaultPoint, where: str, value: T) -> T:
        """See ``FaultPoints.reach``."""
        self._wait_in_thread()
        for fault in self._schedule.due(self._role, point, where):
            value = self._happen(fault, where, value)
        self._wait_in_thread()
        if point is FaultPoint.CLOCK_READ:
            return cast("T", cast("float", value) + self._clock.offset_s)
        return value

    async def pass_(self, point: FaultPoint, where: str, value: T) -> T:
        """See ``FaultPoints.pass_``."""
        await self._wait()
        for fault in self._schedule.due(self._role, point, where):
            value = self._happen(fault, where, value)
            await asyncio.sleep(0)  # a stop begins in the loop
        await self._wait()
        return value

    def _wait_in_thread(self) -> None:
        if threading.get_ident() != self._loop_thread:
            self._moves_for_threads.wait()
        self._check()

    async def _wait(self) -> None:
        self._check()
        await self._moves.wait()
        self._check()

    def _check(self) -> None:
        if self.is_dead:
            raise Killed

    def _happen(self, fault: PlannedFault, where: str, value: T) -> T:
        match fault.kind:
            case FaultKind.KILL | FaultKind.KILL_ALL:
                self.die(with_all=fault.kind is FaultKind.KILL_ALL)
                raise Killed
            case FaultKind.STOP:
                self._stand_still(fault.amount)
            case FaultKind.CLOCK_JUMP:
                self._clock.offset_s += fault.amount
                set_right = (_CLOCK_IS_WRONG_S, self._clock.set_right)
                self._loop.call_soon_threadsafe(self._loop.call_later, *set_right)
            case FaultKind.MEMPOOL_FULL:
                self._world.fill_mempool()
            case FaultKind.MEMPOOL_LOST:
                self._world.lose_mempool()
            case FaultKind.LIE | FaultKind.LAG | FaultKind.FLIP:
                return cast("T", falsified(fault, value))
            case _:
                raise error_of(fault, where)
        return value


class Door:
    """An actor in a host, as callers reach it."""

    def __init__(self, host: Host, name: str, actor: object) -> None:
        self._host = host
        self._name = name
        self._actor = actor

    def __getattr__(self, method: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._host.run(getattr(self._actor, method)(*args, **kwargs), self._name)

        return call
