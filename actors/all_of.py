"""Calls that are made at once, and judged in their order when all of them have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def all_of(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """What both return; raises what the first raised, else what the second did, but not before the
    other one has ended."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other
