"""Calls that are made at once, and judged in their order when all of them have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def at_once(*calls: Awaitable[Any]) -> tuple[Any, ...]:
    """What each returns or raises, for ``value_of``."""
    return tuple(await asyncio.gather(*calls, return_exceptions=True))


def value_of(outcome: A | BaseException) -> A:
    """What a call has returned; raises what it has raised."""
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def both(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """What both return; raises what the first raised, else what the second did, but not before the
    other one has ended."""
    one, other = await at_once(first, second)
    return value_of(one), value_of(other)
