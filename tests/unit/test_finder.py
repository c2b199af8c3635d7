"""Actors of one process that are found by name."""

from __future__ import annotations

import asyncio
import copy
from typing import Protocol

import pytest

from greenray.protocol.errors import ComponentUnavailable, NoSuchObject
from greenray.seam.finder import LocalFinder, PortName
from greenray.seam.travel import alone


class Counter:
    """An actor."""

    def __init__(self) -> None:
        self.counted = 0
        self.go_on = asyncio.Event()
        self.went_on = asyncio.Event()

    async def add(self, number: int, *, twice: bool = False) -> int:
        self.counted += 2 * number if twice else number
        return self.counted

    async def add_later(self, number: int) -> None:
        await self.go_on.wait()
        self.counted += number
        self.went_on.set()

    async def refuse(self) -> None:
        raise NoSuchObject("no object", "counter")


class Adds(Protocol):
    @alone
    async def add(self, number: int, *, twice: bool = False) -> int: ...


class AddsLater(Adds, Protocol):
    @alone
    async def add_later(self, number: int) -> None: ...

    @alone
    async def refuse(self) -> None: ...


COUNTER = PortName("counter", Adds)
LATER = PortName("counter", AddsLater)


async def test_what_an_actor_returns_and_raises_comes_back() -> None:
    counter = LocalFinder({"counter": Counter()}).find(LATER)
    assert await counter.add(1) == 1
    assert await counter.add(2, twice=True) == 5
    with pytest.raises(NoSuchObject, match="no object"):
        await counter.refuse()


async def test_an_actor_may_be_found_before_it_is_there_and_may_be_another_later() -> None:
    actors: dict[str, object] = {}
    counter = LocalFinder(actors).find(COUNTER)
    with pytest.raises(ComponentUnavailable, match="counter"):
        await counter.add(1)
    actors["counter"] = Counter()
    assert [await counter.add(1), await counter.add(1)] == [1, 2]
    actors["counter"] = Counter()
    assert await counter.add(1) == 1


def test_only_the_methods_of_the_port_can_be_called() -> None:
    counter = LocalFinder({"counter": Counter()}).find(COUNTER)
    assert not hasattr(counter, "refuse")
    assert not hasattr(counter, "counted")
    assert not hasattr(copy.copy(counter), "refuse")


async def test_a_call_goes_on_to_its_end_when_its_caller_has_gone() -> None:
    actor = Counter()
    calling = asyncio.create_task(LocalFinder({"counter": actor}).find(LATER).add_later(7))
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.wait([calling])
    assert calling.cancelled()
    actor.go_on.set()
    await actor.went_on.wait()
    assert actor.counted == 7
