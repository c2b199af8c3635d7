"""Asks every process of a network for what it knows of one object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from greenray.protocol.errors import ComponentUnavailable
from greenray.timeline.stage_trace import TracePart, TraceSource

log = logging.getLogger(__name__)

_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class CollectedTrace:
    """``parts`` by the name of the process; ``silent``: those that did not answer."""

    parts: Mapping[str, TracePart]
    silent: tuple[str, ...] = ()


class TraceCollector:
    def __init__(self, sources: Mapping[str, TraceSource]) -> None:
        """``sources`` by the name of their process."""
        self._sources = sources

    async def collect(self, object_id: int) -> CollectedTrace:
        """Never fails: who is away or slow is named instead."""
        found = await asyncio.gather(
            *(self._ask(name, source, object_id) for name, source in self._sources.items())
        )
        parts = {name: part for name, part in zip(self._sources, found, strict=True) if part}
        return CollectedTrace(parts, tuple(name for name in self._sources if name not in parts))

    async def _ask(self, name: str, source: TraceSource, object_id: int) -> TracePart | None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await source.trace_of(object_id)
        except (ComponentUnavailable, TimeoutError) as error:
            log.info("%s does not tell its stages of object %d: %s", name, object_id, error)
            return None
