"""How a call to an actor of another process travels, declared at the method of its port.

A call between processes costs both about half a millisecond, whatever it carries
(docs/decisions/0014-calls-travel-together.md). Which calls may share that is a fact of the method,
so it stands there; a port with a method that does not say it is no port that can be found.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

M = TypeVar("M", bound=Callable[..., Any])

_MARK = "__travel__"


class Travel(Enum):
    GROUPED = "with the calls of one step, in one call"
    WITH_COLUMN = "with the calls of one step, each with its column"
    ALONE = "alone"


def grouped(method: M) -> M:
    """It is answered at once, or by one and the same commit or answer of the node: its calls travel
    with others of one step of the event loop, and their answers come together.

    What may wait for something else must not hold those up. Nor may arguments or answers be
    references to columns, which only Ray can carry.
    """
    return _marked(method, Travel.GROUPED)


def with_column(method: M) -> M:
    """It hands over a column as its last argument, and changes nothing if it is called again."""
    return _marked(method, Travel.WITH_COLUMN)


def alone(method: M) -> M:
    """It may wait for something, is rare, or carries references in another place."""
    return _marked(method, Travel.ALONE)


def _marked(method: M, travel: Travel) -> M:
    setattr(method, _MARK, travel)
    return method


def travels_of(port: type) -> Mapping[str, Travel]:
    """By the name of each method of a port.

    Raises TypeError, which names every coroutine method that does not say how it travels.
    """
    methods = {
        name: getattr(method, _MARK, None)
        for name, method in inspect.getmembers(port, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    undeclared = [name for name, travel in methods.items() if travel is None]
    if undeclared:
        raise TypeError(
            f"{port.__module__}.{port.__qualname__} does not say how its calls travel: "
            f"{', '.join(undeclared)} (see greenray.seam.travel)"
        )
    return MappingProxyType({name: travel for name, travel in methods.items() if travel})
