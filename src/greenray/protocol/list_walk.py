"""Which names a page of a list has, with common prefixes told once and what lies behind them
skipped. Pure: names come from whoever has them in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from greenray.protocol.listing import ObjectQuery

K = TypeVar("K")

NamedRow = tuple[bytes, K]
"""A name (UTF-8), and what its row is found by."""

Seek = Callable[[bytes, int], Sequence[NamedRow[K]]]
"""Rows from a name on, in the order of their names' bytes, so many at most; none: there are no
more."""

_SHORT_RUN, _LONG_RUN = 2, 128
"""Rows that are looked at in one go: few where folders follow each other and are jumped over, more
and more where objects do."""


@dataclass(frozen=True, slots=True)
class NamePage(Generic[K]):
    """``keys``: of the objects' rows, in order. ``next_name``: what the next page begins with;
    empty: this was the last one."""

    keys: tuple[K, ...]
    common_prefixes: tuple[str, ...] = ()
    next_name: str = ""


def utf8(text: str) -> bytes:
    """Of a name, a prefix or a delimiter; what is not UTF-8 is in no name, and stays that."""
    return text.encode("utf-8", "surrogateescape")


def end_of_prefix(prefix: bytes) -> bytes:
    """The first bytes behind all names that begin with ``prefix``, which is not empty. No name
    has a byte 255, so the last byte can always be raised."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def first_name(query: ObjectQuery) -> bytes:
    """Where a page begins to look."""
    return max(utf8(query.start), utf8(query.prefix))


def page_of_names(query: ObjectQuery, seek: Seek[K]) -> NamePage[K]:
    """The page of a query with a delimiter. ``seek`` stays within the bucket and the prefix."""
    prefix, delimiter = utf8(query.prefix), utf8(query.delimiter)
    keys: list[K] = []
    common: list[str] = []
    position, run = first_name(query), _SHORT_RUN
    while rows := seek(position, run):
        run = min(2 * run, _LONG_RUN)
        names = [name for name, _ in rows]
        index = 0
        while index < len(rows):
            name, key = rows[index]
            cut = name.find(delimiter, len(prefix))
            shared = name[: cut + len(delimiter)] if cut >= 0 else b""
            if len(keys) + len(common) == query.page_size:
                return NamePage(tuple(keys), tuple(common), (shared or name).decode())
            if shared:
                common.append(shared.decode())
                position = end_of_prefix(shared)
                index = bisect_left(names, position, index)
                run = _SHORT_RUN if index == len(rows) else run
            else:
                keys.append(key)
                position = name + b"\0"
                index += 1
    return NamePage(tuple(keys), tuple(common))
