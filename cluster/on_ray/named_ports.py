"""Ports over Ray: actors that are found by name, in this process or in another one.

An actor of this process is called as it is. Another's process is looked up at the first call, and
its handle stays valid when Ray starts it again. References given as arguments stay top-level, so
that Ray resolves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import ray

from greenray.cluster.config.node_config import host_of
from greenray.cluster.on_ray.call_groups import CallGroups, ColumnCallGroups
from greenray.cluster.on_ray.translation import call_host
from greenray.protocol.errors import ComponentUnavailable
from greenray.seam.finder import Call, LocalFinder, NamedPort, PortName
from greenray.seam.travel import Travel

if TYPE_CHECKING:
    from greenray.actors.ports import ColumnRef

P = TypeVar("P")


class RayFinder:
    """Implements ``greenray.seam.finder.Finder`` in one process, for one event loop."""

    def __init__(
        self,
        *,
        here: Mapping[str, object] | None = None,
        handles: Mapping[str, Any] | None = None,
    ) -> None:
        """``here``: the actors of this process, by name; ``handles``: of the processes that are
        known already, by the name of the host."""
        self._here = here or {}
        self._local = LocalFinder(self._here)
        self._handles = handles or {}
        self._ways: dict[str, _Way] = {}

    def find(self, name: PortName[P]) -> P:
        """See ``greenray.seam.finder.Finder.find``."""
        if name.actor in self._here:
            return self._local.find(name)
        way = self._way_to(host_of(name.actor))
        return cast("P", NamedPort(name, lambda method, how: way.call_of(name.actor, method, how)))

    def _way_to(self, host: str) -> _Way:
        """One for all actors of a host: what is asked of them in one step travels together."""
        if host not in self._ways:
            self._ways[host] = _Way(host, self._handles.get(host))
        return self._ways[host]


class _Way:
    """From this process to the one that hosts some actors."""

    def __init__(self, host: str, handle: Any) -> None:
        self._host = host
        self._handle = handle
        self._groups = CallGroups(self._send_group)
        self._column_groups = ColumnCallGroups(self._send_column_group)

    def call_of(self, actor: str, method: str, travel: Travel) -> Call:
        """What makes calls of this method."""
        groups, column_groups = self._groups, self._column_groups
        match travel:
            case Travel.GROUPED:
                return lambda *args, **kwargs: groups.call(actor, method, args, kwargs)
            case Travel.WITH_COLUMN:
                return lambda *args: column_groups.call(actor, method, *args)
            case Travel.ALONE:
                return lambda *args, **kwargs: self._call(actor, method, *args, **kwargs)

    async def _call(self, actor: str, method: str, *args: Any, **kwargs: Any) -> Any:
        handle = await self._found(actor)
        return await call_host(handle, f"{actor}.{method}", "call", actor, method, *args, **kwargs)

    async def _send_group(self, group: bytes) -> bytes:
        handle = await self._found(self._host)
        answers: bytes = await call_host(handle, self._host, "answer_group", group)
        return answers

    async def _send_column_group(self, group: bytes, *columns: ColumnRef) -> bytes:
        handle = await self._found(self._host)
        answers: bytes = await call_host(handle, self._host, "answer_column_group", group, *columns)
        return answers

    async def _found(self, asked_for: str) -> Any:
        if self._handle is None:
            try:
                self._handle = await asyncio.to_thread(ray.get_actor, self._host)
            except ValueError:
                raise ComponentUnavailable("is not there yet", asked_for) from None
        return self._handle
