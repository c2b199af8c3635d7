"""What a network needs of whatever carries it: Ray, or this process alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from greenray.cluster.config.node_config import NodeConfig
    from greenray.cluster.config.topology import Topology
    from greenray.seam.finder import Finder


Ending = Callable[[], AbstractContextManager[None]]
"""What else there is to do before and after a carrier ends."""


class Carrier(Protocol):
    """Runs the actors of one network, and brings the calls from one to the other."""

    @property
    def ray_address(self) -> str:
        """Where a process attaches to the network's Ray cluster; empty without Ray."""

    @property
    def ray_namespace(self) -> str:
        """Of the network's actors; empty without Ray."""

    @property
    def finder(self) -> Finder:
        """Of the actors, once they are created."""

    async def start(self, undo: AsyncExitStack, ending: Ending) -> None:
        """What it takes before actors can be created; ``undo`` ends it, and the actors, within
        ``ending``. When it cannot start, nothing is ended that was there before.

        Raises AlreadyRunning, SharedMemoryTooSmall, InvalidSetting, ComponentUnavailable.
        """

    def topology(self) -> Topology:
        """Which node runs what. Raises InvalidSetting."""

    def create(self, config: NodeConfig, topology: Topology) -> None:
        """All actors of the network, without waiting until they are built."""

    async def built(self) -> None:
        """Return when all actors are built. Raises why one could not be."""

    async def process_id(self, actor: str) -> int:
        """Of the process that hosts the actor, once all that it hosts is built; raises why not."""

    async def process_name(self, actor: str) -> str:
        """Whom the leases of the actor belong to."""

    def started(self, command: Sequence[str]) -> bool:
        """Whether a child process with this command line was started for the network."""
