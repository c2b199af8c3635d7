"""Calls of one process that are made while others are on their way travel together.

An actor call costs both processes about half a millisecond of CPU, whatever it carries, and a small
object needs dozens of them. Nobody waits for company: what is asked in one step of the event loop
leaves at its end; only while ``GROUPS_IN_FLIGHT`` groups are away, calls gather for the next. Which
calls take part says ``greenray.seam.travel``.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenray.cluster.on_ray.lent_columns import (
    LentName,
    carried_for,
    give_up_what_was_not_found,
    given_up_unless_answered,
    name_of,
)
from greenray.cluster.on_ray.spliced_columns import packed, unpacked

if TYPE_CHECKING:
    from greenray.actors.ports import BorrowedColumn, Column, ColumnRuns

GROUPS_IN_FLIGHT = 2
"""With one, two processes that work for each other take turns, and a core is idle meanwhile. More
make smaller groups, and the calls dearer."""

GROUP_LIMIT = 256
"""Calls in one group: large enough for what gathers under load while two groups are away."""


@dataclass(frozen=True, slots=True)
class _Call:
    actor: str
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: asyncio.Future[Any]


class CallGroups:
    """The way to the actors of one process, used from one event loop."""

    def __init__(self, send: Callable[[bytes], Awaitable[bytes]]) -> None:
        """``send`` brings a group to ``answer_group`` in that process, and its answer back."""
        self._send = send
        self._waiting: list[_Call] = []
        self._departing = False
        self._travelling: set[asyncio.Task[None]] = set()

    async def call(
        self, actor: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What the method returns or raises; what ``send`` raises is raised by the whole group."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(actor, method, args, kwargs, answer))
        self._depart_soon()
        return await answer

    def _depart_soon(self) -> None:
        if self._waiting and not self._departing and len(self._travelling) < GROUPS_IN_FLIGHT:
            self._departing = True
            asyncio.get_running_loop().call_soon(self._depart)

    def _depart(self) -> None:
        self._departing = False
        calls, self._waiting = self._waiting[:GROUP_LIMIT], self._waiting[GROUP_LIMIT:]
        task = asyncio.create_task(self._travel(calls))
        self._travelling.add(task)
        task.add_done_callback(self._arrived)
        self._depart_soon()

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._travelling.discard(task)
        self._depart_soon()

    async def _travel(self, calls: list[_Call]) -> None:
        try:
            group = [(call.actor, call.method, call.args, call.kwargs) for call in calls]
            outcomes = pickle.loads(await self._send(pickle.dumps(group)))
        except Exception as error:
            outcomes = [error] * len(calls)
        _answer(calls, outcomes)


class ColumnCallGroups:
    """The way of calls that hand over a column each, as their last argument, and may be made again.

    Those of one step of the event loop travel together: the batches of one receiver, which are made
    at the same time. A group that fails on its way, because of one column maybe, is made again call
    by call, so that each fails for itself.
    """

    def __init__(self, send: Callable[..., Awaitable[bytes]]) -> None:
        """``send`` brings the group and what its columns are made of, as arguments of their own,
        to ``answer_column_group`` in the actors' process, and its answer back."""
        self._send = send
        self._waiting: list[_Call] = []
        self._travelling: set[asyncio.Task[None]] = set()

    async def call(self, actor: str, method: str, *args: Any) -> Any:
        """What the method returns or raises, or what ``send`` raises for this call alone."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._depart)
        self._waiting.append(_Call(actor, method, args, {}, answer))
        try:
            return await answer
        finally:
            # What it raises would keep this frame, and it would keep the column, in a circle.
            del args, answer

    def _depart(self) -> None:
        calls, self._waiting = self._waiting, []
        task = asyncio.create_task(self._travel(calls))
        self._travelling.add(task)
        task.add_done_callback(self._travelling.discard)

    async def _travel(self, calls: list[_Call]) -> None:
        columns = [call.args[-1] for call in calls]
        carried, recipes = packed([carried_for(column) for column in columns])
        made = [
            (call.actor, call.method, call.args[:-1], name_of(column))
            for call, column in zip(calls, columns, strict=True)
        ]
        group = pickle.dumps((made, recipes))
        try:
            with given_up_unless_answered(columns):
                outcomes = pickle.loads(await self._send(group, *carried))
            give_up_what_was_not_found(columns, outcomes)
        except Exception as error:
            if len(calls) > 1:
                await asyncio.gather(*(self._travel([call]) for call in calls))
                return
            outcomes = [error.with_traceback(None)]  # which leads here, hence to the columns
        _answer(calls, outcomes)


def _answer(calls: Sequence[_Call], outcomes: Sequence[Any]) -> None:
    for call, outcome in zip(calls, outcomes, strict=True):
        if call.answer.done():
            continue
        if isinstance(outcome, BaseException):
            call.answer.set_exception(outcome)
        else:
            call.answer.set_result(outcome)


async def answer_column_group(
    actor_of: Callable[[str], Any], group: bytes, carried: Sequence[Any]
) -> bytes:
    """Make the calls of a group, side by side, each with its column, or the runs of it."""
    made, recipes = pickle.loads(group)
    columns = [
        _delivered(lent, runs)
        for (*_, lent), runs in zip(made, unpacked(recipes, carried), strict=True)
    ]
    calls = [
        getattr(actor_of(actor), method)(*args, column)
        for (actor, method, args, _), column in zip(made, columns, strict=True)
    ]
    return pickle.dumps(await asyncio.gather(*calls, return_exceptions=True))


def _delivered(lent: LentName | None, runs: ColumnRuns) -> Column | ColumnRuns | BorrowedColumn:
    """As a Receiver is given it. Raises SharedBlockGone."""
    if lent is not None:
        return lent.borrowed()
    return runs[0] if len(runs) == 1 else runs


async def answer_group(actor_of: Callable[[str], Any], group: bytes) -> bytes:
    """Make the calls of a group, side by side, on the actors that they are meant for."""
    calls = [
        getattr(actor_of(actor), method)(*args, **kwargs)
        for actor, method, args, kwargs in pickle.loads(group)
    ]
    return pickle.dumps(await asyncio.gather(*calls, return_exceptions=True))
