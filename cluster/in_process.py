"""A network in one process, without Ray: for debuggers, notebooks and tests.

All actors are built as on Ray and call each other directly, columns are arrays, and threads encode.
It is up as soon as its chain is; it hashes and encodes with one interpreter only.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import numpy as np

from greenray.actors.ports import BlockSlice, Column, ColumnRef
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.config.settings import Settings
from greenray.cluster.config.topology import ClusterNode, Topology
from greenray.cluster.roles.building import ENDING, actors_of, builds_of
from greenray.cluster.roles.carrier import Ending
from greenray.cluster.roles.host_services import HostServices
from greenray.cluster.supervision.pulse import Pulse
from greenray.coding.codec import get_codec
from greenray.protocol.errors import InvalidSetting
from greenray.seam.finder import Finder, LocalFinder
from greenray.timeline.stage_trace import Stopwatch, WorkTime

_HERE = "this process"


class LocalSpace:
    """Implements ``greenray.actors.ports.ObjectSpace``: a reference is the array itself."""

    async def put(self, column: Column) -> Column:
        copy = column.copy()
        copy.flags.writeable = False
        return copy

    async def get(self, ref: ColumnRef) -> Column:
        column: Column = ref
        return column

    async def splice(self, slices: Sequence[BlockSlice]) -> Column:
        return np.concatenate([s.block[s.offset_bytes :][: s.size_bytes] for s in slices])


class LocalEncoder:
    """Implements ``greenray.actors.ports.Encoder`` by threads."""

    def __init__(self, codec_name: str) -> None:
        self._codec = get_codec(codec_name)

    async def encode(
        self,
        data: tuple[Column, ...],
        m: int,
        on_encoded: Callable[[WorkTime], None],
        *,
        column_size_bytes: int,
    ) -> tuple[Column, ...]:
        watch = Stopwatch.start()
        parity = tuple(await asyncio.to_thread(self._codec.encode, data, m))
        on_encoded(watch.read())
        return parity

    async def warm_up(self) -> None:
        """There is nothing to start."""


def local_services(finder: Finder) -> HostServices:
    """For one actor: as if it had a process of its own. Nobody makes room for uploads, which would
    take time from the process itself."""
    return HostServices(
        finder=finder,
        object_space=LocalSpace(),
        encoder=lambda codec_name, parity_bytes: LocalEncoder(codec_name),
        small_column_bytes=0,
        process_name=f"process-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        work_behind_uploads=lambda: None,
    )


class InProcessCarrier:
    """Implements ``greenray.cluster.roles.carrier.Carrier``."""

    ray_address = ray_namespace = ray_logs = ""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidSetting: the settings name a Ray cluster."""
        if settings.address is not None:
            raise InvalidSetting(
                "is for a network on Ray", f"address {settings.address}", "Leave one of them out"
            )
        self._actors: dict[str, Any] = {}
        self._process_names: dict[str, str] = {}
        self.finder = LocalFinder(self._actors)

    async def start(self, undo: AsyncExitStack, ending: Ending) -> None:
        """See ``Carrier.start``."""
        undo.push_async_callback(self._stop, ending)

    async def _stop(self, ending: Ending) -> None:
        with ending():
            for role in ENDING:
                for name in actors_of(role, self._actors):
                    await self._actors[name].close()

    async def renew(self) -> None:
        """See ``Carrier.renew``; there is nothing that could die without this process."""

    def pulses(self) -> Sequence[Pulse]:
        """See ``Carrier.pulses``."""
        return ()

    def lost(self) -> str | None:
        """See ``Carrier.lost``."""
        return None

    def topology(self) -> Topology:
        """See ``Carrier.topology``."""
        return Topology.of([ClusterNode(_HERE, "127.0.0.1", 0, frozenset())], _HERE)

    def create(self, config: NodeConfig, topology: Topology) -> None:
        """See ``Carrier.create``. They are built at once: raises why one could not be."""
        for name, build in builds_of(config).items():
            services = local_services(self.finder)
            self._process_names[name] = services.process_name
            self._actors[name] = build(services)

    async def built(self) -> None:
        """See ``Carrier.built``."""

    async def process_id(self, actor: str) -> int:
        """See ``Carrier.process_id``."""
        return os.getpid()

    async def process_name(self, actor: str) -> str:
        """See ``Carrier.process_name``."""
        return self._process_names[actor]

    def started(self, command: Sequence[str]) -> bool:
        """See ``Carrier.started``."""
        return False
