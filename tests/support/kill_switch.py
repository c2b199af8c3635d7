"""Kills a component at its n-th step: everything it does to the world afterwards is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

Port = TypeVar("Port")


class Killed(BaseException):
    """Not an Exception: no handler of the code under test may live through it."""


class KillSwitch:
    """``kill_at``: the step before which the component dies, counted from 0; None: never."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.steps = 0
        self.dead = False

    def step(self) -> None:
        self.check()
        self.dead = self.steps == self.kill_at
        self.steps += 1
        self.check()

    def check(self) -> None:
        if self.dead:
            raise Killed


def mortal(port: Port, switch: KillSwitch, deadly: frozenset[str]) -> Port:
    """The port as a killable component sees it: dying is possible before and after each call of
    ``deadly``; the dead reach nothing at all."""
    return cast(Port, _Mortal(port, switch, deadly))


class _Mortal:
    def __init__(self, port: object, switch: KillSwitch, deadly: frozenset[str]) -> None:
        self._port = port
        self._switch = switch
        self._deadly = deadly

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name not in self._deadly:
                self._switch.check()
                result = await method(*args, **kwargs)
                self._switch.check()
                return result
            self._switch.step()
            result = await method(*args, **kwargs)
            self._switch.step()
            return result

        return call
