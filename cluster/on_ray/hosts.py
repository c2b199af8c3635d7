"""The factory: plain classes become Ray actors here, and nowhere else.

A Ray actor is a process, and hosts one of our actors, or those of which a network has one each
(``node_config.host_of``). Every actor is built from one value, ``NodeConfig``, and from what its
host gives it. Actors find each other by name, at the first call, so that they can start side by
side.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from greenray.actors import names
from greenray.chain.secrets import forget_secrets
from greenray.cluster.config.node_config import HOME, NodeConfig, host_of, host_title
from greenray.cluster.config.private_files import PRIVATE_UMASK
from greenray.cluster.config.topology import ClusterNode, Topology
from greenray.cluster.on_ray.call_groups import answer_column_group, answer_group
from greenray.cluster.on_ray.named_ports import RayFinder
from greenray.cluster.on_ray.object_space import SMALL_COLUMN_BYTES, RayObjectSpace
from greenray.cluster.on_ray.worker_process import process_name, settle, work_behind_uploads
from greenray.cluster.roles.building import Build, builds_of
from greenray.cluster.roles.host_services import HostServices
from greenray.logs.files import LogFile, log_everything
from greenray.protocol.errors import ComponentUnavailable, GreenrayError

if TYPE_CHECKING:
    from greenray.actors.ports import Column, Encoder

log = logging.getLogger(__name__)

_POLL_S = 0.05

_CPU_SHARE = 0.001
"""Actors wait most of the time and do their work in threads; encode tasks are what Ray counts.
Not 0: Ray starts actors that ask for no CPU one after the other."""

_CALLS_AT_ONCE = 1000
"""Per actor. Many wait for a block of the chain."""


class _HostedActors(Mapping[str, Any]):
    """The actors of this process by name. Each is built when it is first asked for, and tried again
    after its building has raised."""

    def __init__(self, builds: Mapping[str, Build]) -> None:
        self._builds = builds
        self._built: dict[str, object] = {}
        self._services = _services_of(self)

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = self._builds[name](self._services)
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._builds

    def __iter__(self) -> Iterator[str]:
        return iter(self._builds)

    def __len__(self) -> int:
        return len(self._builds)

    def built(self, name: str) -> Any:
        """None when nobody has asked for it yet."""
        return self._built.get(name)

    def build_all(self) -> None:
        """Raises what any of them raises."""
        for name in self:
            self[name]


class Host:
    """What runs in the process of a Ray actor: some of our actors, by name."""

    def __init__(self, builds: Mapping[str, Build], name: str, log_file: LogFile | None) -> None:
        os.umask(PRIVATE_UMASK)
        log_everything(log_file, name)
        log.info("process %d hosts %s", os.getpid(), ", ".join(builds))
        self._actors = _HostedActors(builds)
        # Ray keeps only the text of what a constructor raises, so the first call raises it.
        with suppress(GreenrayError):
            self._actors.build_all()
        if names.SIGNER.actor not in builds:
            forget_secrets()
        settle()

    async def ping(self) -> int:
        """The process id, once all its actors are built. Raises why one could not be."""
        self._actors.build_all()
        return os.getpid()

    async def process_name(self) -> str:
        """Whom leases of this process belong to."""
        return process_name()

    async def call(self, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of an actor. References among the arguments are resolved by Ray."""
        return await getattr(self._actors[name], method)(*args, **kwargs)

    async def close(self, name: str) -> None:
        """Close an actor, if it is built. It answers nothing that needs what it held."""
        actor: Any = self._actors.built(name)
        if actor is not None:
            await actor.close()

    async def answer_group(self, group: bytes) -> bytes:
        """Calls that were made together; see ``greenray.cluster.on_ray.call_groups``."""
        return await answer_group(self._actors.__getitem__, group)

    async def answer_column_group(self, group: bytes, *columns: Column) -> bytes:
        """The same for calls with columns, whose references Ray resolves."""
        return await answer_column_group(self._actors.__getitem__, group, columns)


def _services_of(actors: Mapping[str, Any]) -> HostServices:
    space = RayObjectSpace()

    def encoder(codec_name: str, parity_bytes: int) -> Encoder:
        from greenray.cluster.on_ray.encoder import RayEncoder  # only who encodes needs it

        return RayEncoder(codec_name, space.placing, parity_bytes)

    return HostServices(
        finder=RayFinder(here=actors),
        object_space=space,
        encoder=encoder,
        small_column_bytes=SMALL_COLUMN_BYTES,
        process_name=process_name(),
        work_behind_uploads=work_behind_uploads,
    )


def create_host(
    name: str,
    builds: Mapping[str, Build],
    node_id: str | None = None,
    log_file: LogFile | None = None,
) -> Any:
    """A Ray actor of that name with our actors in it, which Ray starts again whenever its process
    dies; returns its handle.

    ``node_id``: the only node that it may run on; None: any. ``log_file``: None: Ray's own, of what
    the process prints.
    """
    process: Any = ray.remote(type(host_title(name), (Host,), {}))
    placed = {} if node_id is None else {"scheduling_strategy": _on_node(node_id)}
    options = process.options(
        name=name,
        num_cpus=_CPU_SHARE,
        max_restarts=-1,
        max_concurrency=_CALLS_AT_ONCE * len(builds),
        **placed,
    )
    return options.remote(builds, name, log_file)


def create_hosts(config: NodeConfig, topology: Topology) -> dict[str, Any]:
    """The processes of all actors of the network, started side by side; their handles, by name."""
    nodes = host_nodes(config, topology)
    hosts: dict[str, dict[str, Build]] = {}
    for name, build in builds_of(config).items():
        hosts.setdefault(host_of(name), {})[name] = build

    def log_file(host: str) -> LogFile | None:
        """Other nodes do not have the state directory."""
        is_here = nodes[host] is topology.home
        return LogFile(config.state.log_dir, host, config.logs) if is_here else None

    return {
        host: create_host(host, builds, nodes[host].node_id, log_file(host))
        for host, builds in hosts.items()
    }


def host_nodes(config: NodeConfig, topology: Topology) -> Mapping[str, ClusterNode]:
    """The node that each process runs on, by the name of the process."""
    nodes = {names.uploader(i).actor: node for i, node in enumerate(topology.ingesting)}
    nodes |= {names.receiver(i).actor: topology.receiver_node(i) for i in range(config.receivers)}
    return {HOME: topology.home} | nodes


def end_actors(handles: Iterable[Any], timeout_s: float = 10.0) -> None:
    """Kill the actors of this namespace on a cluster that goes on, and wait until they are gone.
    Without a connection to it there are none.

    Raises ComponentUnavailable naming those that are not.
    """
    if not ray.is_initialized():  # asking would start a runtime
        return
    for handle in handles:
        ray.kill(handle, no_restart=True)
    give_up_at = time.monotonic() + timeout_s
    while left := list_named_actors():
        if time.monotonic() > give_up_at:
            raise ComponentUnavailable(
                f"these actors do not end: {', '.join(left)}",
                "ray",
                "Look at them with: ray list actors",
            )
        time.sleep(_POLL_S)


def _on_node(node_id: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id, soft=False)
