"""The factory: plain classes become Ray actors here, and nowhere else.

A Ray actor is a process, and hosts one of our actors, or those of which a network has one each
(``node_config.host_of``). Every actor gets one value, ``NodeConfig``. Actors find each other by
name, at the first call, so that they can start side by side.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import ray
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from greenray.cluster.config.node_config import (
    HOME_ACTORS,
    NodeConfig,
    host_of,
    host_title,
    receiver_name,
    uploader_name,
)
from greenray.cluster.config.topology import Topology
from greenray.cluster.on_ray.call_groups import answer_column_group, answer_group
from greenray.cluster.on_ray.ports import process_name, take_calls_here
from greenray.cluster.on_ray.worker_process import settle
from greenray.protocol.errors import ComponentUnavailable, GreenrayError

if TYPE_CHECKING:
    from greenray.actors.ports import Column

_POLL_S = 0.05

_CPU_SHARE = 0.001
"""Actors wait most of the time and do their work in threads; encode tasks are what Ray counts.
Not 0: Ray starts actors that ask for no CPU one after the other."""

_CALLS_AT_ONCE = 1000
"""Per actor. Many wait for a block of the chain."""

Build = Callable[[], Any]


class Host:
    """What runs in the process of a Ray actor: some of our actors, by name."""

    def __init__(self, builds: Mapping[str, Build]) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        self._builds = builds
        self._actors: dict[str, Any] = {}
        take_calls_here(builds, self._actor)
        # Ray keeps only the text of what a constructor raises, so the first call raises it.
        with suppress(GreenrayError):
            self._build_all()
        settle()

    def _actor(self, name: str) -> Any:
        if name not in self._actors:
            self._actors[name] = self._builds[name]()
        return self._actors[name]

    def _build_all(self) -> None:
        for name in self._builds:
            self._actor(name)

    async def ping(self) -> int:
        """The process id, once all its actors are built. Raises why one could not be."""
        self._build_all()
        return os.getpid()

    async def process_name(self) -> str:
        """Whom leases of this process belong to."""
        return process_name()

    async def call(self, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of an actor. References among the arguments are resolved by Ray."""
        return await getattr(self._actor(name), method)(*args, **kwargs)

    async def answer_group(self, group: bytes) -> bytes:
        """Calls that were made together; see ``greenray.cluster.on_ray.call_groups``."""
        return await answer_group(self._actor, group)

    async def answer_column_group(self, group: bytes, *columns: Column) -> bytes:
        """The same for calls with columns, whose references Ray resolves."""
        return await answer_column_group(self._actor, group, columns)


def build_role(role: str, *args: Any) -> Any:
    """``role``: a module of ``greenray.cluster.roles``, which is imported where its actor runs."""
    return import_module(f"greenray.cluster.roles.{role}").build(*args)


def create_host(name: str, builds: Mapping[str, Build], node_id: str | None = None) -> Any:
    """A Ray actor of that name with our actors in it, which Ray starts again whenever its process
    dies; returns its handle.

    ``node_id``: the only node that it may run on; None: any.
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
    return options.remote(builds)


def create_actors(config: NodeConfig, topology: Topology) -> dict[str, Any]:
    """All actors of the network, their processes side by side; by name of an actor, the handle of
    the process that hosts it."""
    home = topology.home.node_id
    builds: dict[str, dict[str, Build]] = {}
    nodes: dict[str, str] = {}

    def place(name: str, node_id: str, role: str, *args: Any) -> None:
        host = host_of(name)
        nodes[host] = node_id
        builds.setdefault(host, {})[name] = partial(build_role, role, config, *args)

    for role in HOME_ACTORS:
        place(role, home, role)
    for index, node in enumerate(topology.ingesting):
        place(uploader_name(index), node.node_id, "uploader")
    for index in range(config.receivers):
        node_id = topology.receiver_node(index).node_id
        place(receiver_name(index), node_id, "receiver", index)
    hosts = {host: create_host(host, builds[host], nodes[host]) for host in builds}
    return {name: hosts[host] for host, names in builds.items() for name in names}


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
