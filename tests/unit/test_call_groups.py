"""Calls of one actor that are made together travel together."""

from __future__ import annotations

import asyncio
import pickle

from greenray.cluster.on_ray.call_groups import (
    GROUP_LIMIT,
    GROUPS_IN_FLIGHT,
    CallGroups,
    ColumnCallGroups,
    answer_column_group,
    answer_group,
)
from greenray.protocol.errors import ComponentUnavailable, NoSuchObject, NoSuchPiece


class _Far:
    async def double(self, number: int, *, plus: int = 0) -> int:
        return 2 * number + plus

    async def refuse(self, number: int) -> int:
        raise NoSuchObject(f"no object {number}", "far")


class _Way:
    """Counts the calls of every group; groups travel only while ``open`` is set."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def send(self, group: bytes) -> bytes:
        self.groups.append(len(pickle.loads(group)))
        await self.open.wait()
        if self.broken:
            raise ComponentUnavailable("is away", "far")
        return await answer_group({"far": _Far()}.__getitem__, group)


async def _call(calls: CallGroups, method: str, number: int) -> int:
    found: int = await calls.call("far", method, (number,), {})
    return found


async def test_calls_of_one_step_travel_together_and_get_their_own_answers() -> None:
    way = _Way()
    calls = CallGroups(way.send)
    answers = await asyncio.gather(*(_call(calls, "double", number) for number in range(5)))
    assert answers == [0, 2, 4, 6, 8]
    assert way.groups == [5]


async def test_a_call_alone_waits_for_nobody() -> None:
    way = _Way()
    calls = CallGroups(way.send)
    assert await calls.call("far", "double", (3,), {"plus": 1}) == 7
    assert await _call(calls, "double", 4) == 8
    assert way.groups == [1, 1]


async def test_what_one_call_raises_reaches_its_caller_only() -> None:
    calls = CallGroups(_Way().send)
    first, refused, last = await asyncio.gather(
        _call(calls, "double", 1),
        _call(calls, "refuse", 2),
        _call(calls, "double", 3),
        return_exceptions=True,
    )
    assert (first, last) == (2, 6)
    assert isinstance(refused, NoSuchObject)
    assert refused.args[:2] == ("no object 2", "far")


async def test_an_actor_that_is_away_is_away_for_the_whole_group() -> None:
    way = _Way()
    way.broken = True
    calls = CallGroups(way.send)
    outcomes = await asyncio.gather(
        *(_call(calls, "double", number) for number in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [ComponentUnavailable] * 3
    way.broken = False
    assert await _call(calls, "double", 1) == 2


async def test_calls_that_are_made_meanwhile_leave_with_the_next_group() -> None:
    way = _Way()
    way.open.clear()
    calls = CallGroups(way.send)
    tasks = []
    for number in range(10):
        tasks.append(asyncio.create_task(_call(calls, "double", number)))
        await asyncio.sleep(0.001)
    assert way.groups == [1] * GROUPS_IN_FLIGHT
    way.open.set()
    assert await asyncio.gather(*tasks) == [2 * number for number in range(10)]
    assert way.groups == [1] * GROUPS_IN_FLIGHT + [10 - GROUPS_IN_FLIGHT]


async def test_a_group_has_a_limit() -> None:
    way = _Way()
    calls = CallGroups(way.send)
    numbers = range(GROUP_LIMIT + 1)
    await asyncio.gather(*(_call(calls, "double", number) for number in numbers))
    assert way.groups == [GROUP_LIMIT, 1]


async def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    way = _Way()
    way.open.clear()
    calls = CallGroups(way.send)
    leaving, staying = (asyncio.create_task(_call(calls, "double", number)) for number in range(2))
    await asyncio.sleep(0.001)
    leaving.cancel()
    way.open.set()
    assert await staying == 2
    assert leaving.cancelled()


class _FarReceiver:
    async def hold(self, name: str, column: bytes) -> str:
        if name == "refused":
            raise NoSuchObject(name, "far")
        return f"{name} {len(column)}"


class _ColumnWay:
    """Counts the columns of every group; a group with an empty column does not arrive."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    async def send(self, group: bytes, *columns: bytes) -> bytes:
        self.groups.append(len(columns))
        if b"" in columns:
            raise NoSuchPiece("a column is lost", "way")
        return await answer_column_group({"far": _FarReceiver()}.__getitem__, group, columns)

    async def outcomes(self, *calls: tuple[str, bytes]) -> list[object]:
        groups = ColumnCallGroups(self.send)
        made = (groups.call("far", "hold", name, column) for name, column in calls)
        return list[object](await asyncio.gather(*made, return_exceptions=True))


async def test_calls_with_columns_of_one_step_travel_together() -> None:
    way = _ColumnWay()
    assert await way.outcomes(("a", b"1"), ("b", b"22"), ("c", b"333")) == ["a 1", "b 2", "c 3"]
    assert way.groups == [3]


async def test_what_a_call_with_a_column_raises_reaches_its_caller_only() -> None:
    way = _ColumnWay()
    first, refused, last = await way.outcomes(("a", b"1"), ("refused", b"2"), ("c", b"3"))
    assert (first, last) == ("a 1", "c 1")
    assert isinstance(refused, NoSuchObject)
    assert way.groups == [3]


async def test_a_column_that_is_lost_fails_its_own_call_only() -> None:
    way = _ColumnWay()
    first, lost, last = await way.outcomes(("a", b"1"), ("b", b""), ("c", b"2"))
    assert (first, last) == ("a 1", "c 1")
    assert isinstance(lost, NoSuchPiece)
    assert way.groups == [3, 1, 1, 1]


async def test_a_caller_with_a_column_that_goes_away_takes_nobody_with_it() -> None:
    way = _ColumnWay()
    groups = ColumnCallGroups(way.send)
    leaving = asyncio.create_task(groups.call("far", "hold", "a", b"1"))
    staying = asyncio.create_task(groups.call("far", "hold", "b", b"1"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "b 1"
    assert leaving.cancelled()
