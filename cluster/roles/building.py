"""Which actors a network has, and how each is built in the process that hosts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from greenray.actors import names
from greenray.cluster.config.node_config import HOME_ACTORS, NodeConfig
from greenray.cluster.roles.host_services import HostServices

ENDING = (
    "collector",
    "task_node",
    "uploader",
    "scrubber",
    "receiver",
    "signer",
    "chain",
    "job_store",
)
"""Roles in the order in which they end: who is called ends after those who call it. P2P holds
nothing."""

Build = Callable[[HostServices], object]
"""Makes an actor for the process that it is called in."""


@dataclass(frozen=True, slots=True)
class RoleBuild:
    """A ``Build`` that can be sent to another process. ``role``: a module of
    ``greenray.cluster.roles``, which is imported where its actor runs."""

    role: str
    config: NodeConfig
    index: tuple[int, ...] = ()
    """Of roles that several actors have: which of them."""

    def __call__(self, host: HostServices) -> object:
        module: Any = import_module(f"greenray.cluster.roles.{self.role}")
        actor: object = module.build(self.config, host, *self.index)
        return actor


def actors_of(role: str, actors: Iterable[str]) -> list[str]:
    """Those of these actors that have the role."""
    return [name for name in actors if name.partition("-")[0] == role]


def builds_of(config: NodeConfig) -> Mapping[str, RoleBuild]:
    """Of all actors of a network, by name."""
    builds = {role: RoleBuild(role, config) for role in HOME_ACTORS}
    for index in range(config.uploaders):
        builds[names.uploader(index).actor] = RoleBuild("uploader", config)
    for index in range(config.receivers):
        builds[names.receiver(index).actor] = RoleBuild("receiver", config, (index,))
        builds[names.scrubber(index).actor] = RoleBuild("scrubber", config, (index,))
    return builds
