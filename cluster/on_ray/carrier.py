"""A network that Ray carries: a runtime of its own, or a running cluster."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from greenray.cluster.config.node_config import NodeConfig, host_of
from greenray.cluster.config.settings import Settings
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.config.topology import Topology
from greenray.cluster.on_ray import private
from greenray.cluster.on_ray.hosts import create_hosts, end_actors, host_nodes
from greenray.cluster.on_ray.named_ports import RayFinder
from greenray.cluster.on_ray.nodes import connected_topology
from greenray.cluster.on_ray.pulses import RuntimePulses, actor_pulse
from greenray.cluster.on_ray.runtime import (
    LastingThread,
    attach_ray,
    check_no_runtime,
    gcs_address,
    start_ray,
    stop_ray,
)
from greenray.cluster.on_ray.translation import call_host
from greenray.cluster.roles.building import ENDING, actors_of, builds_of
from greenray.cluster.roles.carrier import Ending
from greenray.cluster.supervision.family import Family
from greenray.cluster.supervision.pulse import Pulse
from greenray.protocol.errors import ClusterLost, GreenrayError, InvalidSetting
from greenray.storage.piece_location import Reach

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 2.0
"""For the actors of one role, which end with what they are doing: uploads may take any time."""


class RayCarrier:
    """Implements ``greenray.cluster.roles.carrier.Carrier``."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidSetting: pieces in the memory of one process, where there are several."""
        pieces = settings.pieces.location(StateDir(settings.state_dir).pieces, settings.durable)
        if pieces.reach is Reach.PROCESS:
            raise InvalidSetting(
                "a network has several processes, and only one of them would see these pieces",
                f"pieces.url {pieces.url}",
                "Set pieces.url to a directory or a bucket, or remove it",
            )
        self._settings = settings
        self._hosts: dict[str, Any] = {}
        self._names: tuple[str, ...] = ()
        self._built: tuple[str, ...] = ()
        self._thread = LastingThread()
        self._turning: asyncio.Future[None] | None = None
        """A thread that starts or ends Ray: it cannot be cancelled, and it is the only one."""
        self._family = Family(self.started)
        self._runtime: RuntimePulses | None = None
        self._actors: tuple[Pulse, ...] = ()
        self._cluster_is_lost = False
        self.ray_namespace = f"greenray-{uuid.uuid4().hex[:12]}"
        self.finder = RayFinder()

    @property
    def ray_address(self) -> str:
        return gcs_address()

    @property
    def ray_logs(self) -> str:
        return private.log_directory()

    @property
    def _is_attached(self) -> bool:
        return self._settings.address is not None

    async def start(self, undo: AsyncExitStack, ending: Ending) -> None:
        """See ``Carrier.start``."""
        check_no_runtime()  # before stopping it is planned: what runs here would not be ours
        undo.push_async_callback(self._stop, ending)
        await self._connect()

    async def _connect(self) -> None:
        settings = self._settings
        if settings.address is not None:
            connect = partial(
                attach_ray,
                settings.address,
                namespace=self.ray_namespace,
                allow_open_cluster=settings.allow_open_cluster,
            )
        else:
            connect = partial(
                start_ray,
                cpus=settings.cpus,
                object_store_bytes=settings.budget.object_store_bytes,
                namespace=self.ray_namespace,
                near=StateDir(settings.state_dir).root,
            )
        self._thread = LastingThread()
        self._turning = self._thread.run(connect)
        await asyncio.shield(self._turning)
        _take_back_sigterm()

    async def _stop(self, ending: Ending) -> None:
        """A thread cannot be cancelled: let Ray come up, or a renewal end it, then end it.

        Nothing here runs in a pool's thread: pools take no work when the interpreter ends.
        """
        await self._turned()
        if self._cluster_is_lost:
            # Nobody is left to be told. Ray ends a process that disconnects from a dead cluster, so
            # that is left to the end of this one, which has something to say before.
            return
        is_lost = self.lost() is not None
        if not is_lost:
            await self._close_actors()
        with ending():
            if is_lost:
                self._family.kill()
            elif self._is_attached:
                end_actors(self._hosts.values())
            stop_ray()
            self._thread.release()

    async def renew(self) -> None:
        """See ``Carrier.renew``."""
        if self._is_attached:
            self._cluster_is_lost = True
            raise ClusterLost(
                f"the Ray cluster is lost ({self.lost() or 'it does not answer'})",
                str(self._settings.address),
                "See that it runs (ray status), then start the network again",
            )
        await self._turned()
        self._hosts, self._actors, self._built, self._runtime = {}, (), (), None
        self._turning = asyncio.ensure_future(asyncio.to_thread(self._kill))
        await asyncio.shield(self._turning)
        self._thread.release()
        await self._connect()

    def _kill(self) -> None:
        """Nobody is left to close anything in order, and Ray's own end waits for nobody who is
        dead."""
        self._family.kill()
        stop_ray()

    async def _turned(self) -> None:
        if self._turning is not None:
            await asyncio.wait([self._turning])

    def lost(self) -> str | None:
        """See ``Carrier.lost``."""
        servers = () if self._runtime is None else self._runtime.servers
        return next((f"{server.name} has died" for server in servers if server.is_gone()), None)

    def pulses(self) -> Sequence[Pulse]:
        """See ``Carrier.pulses``."""
        self._family.look()
        if self._runtime is None:
            return self._actors
        hosts = {actor.answered_by for actor in self._actors}
        return (*self._runtime.servers, *self._actors, *self._runtime.workers(hosts))

    async def _close_actors(self) -> None:
        """In order, the owner of the journal last; who does not answer is killed with the others.
        Those of one role together."""
        for role in ENDING:
            of_role = actors_of(role, self._built)
            await asyncio.gather(*map(self._close_actor, of_role))

    async def _close_actor(self, actor: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await call_host(self._host(actor), actor, "close", actor)
        except (TimeoutError, GreenrayError) as error:
            log.warning("%s was not closed: %s", actor, error or "it does not answer")

    def topology(self) -> Topology:
        """See ``Carrier.topology``."""
        return connected_topology()

    def create(self, config: NodeConfig, topology: Topology) -> None:
        """See ``Carrier.create``."""
        self._names = tuple(builds_of(config))
        self._hosts = create_hosts(config, topology)
        self.finder = RayFinder(handles=self._hosts)
        self._runtime = RuntimePulses(topology.home.node_id)
        nodes = host_nodes(config, topology)
        self._actors = tuple(
            actor_pulse(host, handle, is_here=nodes[host] is topology.home)
            for host, handle in self._hosts.items()
        )

    async def built(self) -> None:
        """See ``Carrier.built``."""
        await asyncio.gather(*(self.process_id(host) for host in self._hosts))
        self._built = self._names
        if self._runtime is not None:
            await self._runtime.find_agents()

    async def process_id(self, actor: str) -> int:
        """See ``Carrier.process_id``."""
        number: int = await call_host(self._host(actor), actor, "ping")
        return number

    async def process_name(self, actor: str) -> str:
        """See ``Carrier.process_name``."""
        name: str = await call_host(self._host(actor), actor, "process_name")
        return name

    def _host(self, actor: str) -> Any:
        return self._hosts[host_of(actor)]

    def started(self, command: Sequence[str]) -> bool:
        """See ``Carrier.started``."""
        return private.is_rays_server(command)


def _take_back_sigterm() -> None:
    """Ray puts a handler of its own beneath Python's, which prints a stack trace."""
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)
