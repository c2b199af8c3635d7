"""The factory: plain classes become Ray actors here, and nowhere else.

Every actor gets one value, ``NodeConfig``. Actors find each other by name, at the first call, so
that they can start side by side.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import ray

from cluster.node_config import NodeConfig, receiver_name
from cluster.ray_ports import process_name
from protocol.errors import GreenrayError

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
            return self._subject

        async def ping(self) -> int:
            """The process id, once the class is built. Raises why it could not be."""
            self._built()
            return os.getpid()

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


def create_actor(name: str, role: str, *args: Any) -> Any:
    """A named actor that Ray starts again whenever its process dies; returns its handle."""
    shell: Any = ray.remote(actor_class(role))
    options = shell.options(name=name, num_cpus=_CPU_SHARE, max_restarts=-1, max_concurrency=1000)
    return options.remote(*args)


def create_actors(config: NodeConfig) -> dict[str, Any]:
    """All actors of the network, side by side; handles by name."""
    roles = ("chain", "job_store", "signer", "p2p", "uploader", "task_node")
    handles = {role: create_actor(role, role, config) for role in roles}
    for index in range(config.receivers):
        name = receiver_name(index)
        handles[name] = create_actor(name, "receiver", config, index)
    return handles
