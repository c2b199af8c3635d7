"""The factory: plain classes become Ray actors here, and nowhere else.

Every actor gets one value, ``NodeConfig``. Actors find each other by name, at the first call, so
that they can start side by side.
"""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

import ray
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.call_groups import answer_group
from cluster.node_config import NodeConfig, receiver_name, uploader_name
from cluster.ray_ports import process_name
from cluster.topology import Topology
from cluster.worker_process import settle
from protocol.errors import ComponentUnavailable, GreenrayError

_POLL_S = 0.05

_CPU_SHARE = 0.001
"""Actors wait most of the time and do their work in threads; encode tasks are what Ray counts.
Not 0: Ray starts actors that ask for no CPU one after the other."""


def actor_class(role: str) -> type:
    """The public coroutine methods of the role's class, which is built inside the actor.

    ``role``: a module of ``cluster.roles``.
    """
    module_name = f"cluster.roles.{role}"

    class Shell:
        def __init__(self, *args: Any) -> None:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
            self._args = args
            self._subject: Any = None
            # Ray keeps only the text of what a constructor raises, so the first call raises it.
            with suppress(GreenrayError):
                self._built()

        def _built(self) -> Any:
            if self._subject is None:
                self._subject = import_module(module_name).build(*self._args)
                settle()
            return self._subject

        async def ping(self) -> int:
            """The process id, once the class is built. Raises why it could not be."""
            self._built()
            return os.getpid()

        async def answer_group(self, group: bytes) -> bytes:
            """Calls that were made together; see ``cluster.call_groups``."""
            return await answer_group(self._built(), group)

        async def process_name(self) -> str:
            """Whom leases of this process belong to."""
            return process_name()

    def forward(name: str) -> Callable[..., Any]:
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await getattr(self._built(), name)(*args, **kwargs)

        return method

    subject = import_module(module_name).SUBJECT
    for name, _ in inspect.getmembers(subject, inspect.iscoroutinefunction):
        if not name.startswith("_"):
            setattr(Shell, name, forward(name))
    Shell.__name__ = Shell.__qualname__ = subject.__name__
    return Shell


def create_actor(name: str, role: str, *args: Any, node_id: str | None = None) -> Any:
    """A named actor that Ray starts again whenever its process dies; returns its handle.

    ``node_id``: the only node that it may run on; None: any.
    """
    shell: Any = ray.remote(actor_class(role))
    placed = {} if node_id is None else {"scheduling_strategy": _on_node(node_id)}
    options = shell.options(
        name=name, num_cpus=_CPU_SHARE, max_restarts=-1, max_concurrency=1000, **placed
    )
    return options.remote(*args)


def create_actors(config: NodeConfig, topology: Topology) -> dict[str, Any]:
    """All actors of the network, side by side; handles by name."""
    home = topology.home.node_id
    roles = ("chain", "job_store", "signer", "p2p", "task_node")
    handles = {role: create_actor(role, role, config, node_id=home) for role in roles}
    for index, node in enumerate(topology.ingesting):
        name = uploader_name(index)
        handles[name] = create_actor(name, "uploader", config, node_id=node.node_id)
    for index in range(config.receivers):
        name = receiver_name(index)
        node_id = topology.receiver_node(index).node_id
        handles[name] = create_actor(name, "receiver", config, index, node_id=node_id)
    return handles


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
