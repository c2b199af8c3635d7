"""What a network needs of whatever carries it: Ray, or this process alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from greenray.cluster.config.node_config import NodeConfig
    from greenray.cluster.config.topology import Topology
    from greenray.cluster.supervision.pulse import Pulse
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
    def ray_logs(self) -> str:
        """Where Ray's own processes on this machine write their logs; empty without Ray."""

    @property
    def finder(self) -> Finder:
        """Of the actors, once they are created."""

    async def start(self, undo: AsyncExitStack, ending: Ending) -> None:
        """What it takes before actors can be created; ``undo`` ends it, and the actors, within
        ``ending``. When it cannot start, nothing is ended that was there before.

        Raises AlreadyRunning, SharedMemoryTooSmall, InvalidSetting, ComponentUnavailable.
        """

    async def renew(self) -> None:
        """End all that ``start`` has started, whatever it is at, and do it again: actors can be
        created anew, on nodes of a new topology.

        Raises ClusterLost: it is not ours to start. ComponentUnavailable, SharedMemoryTooSmall.
        """

    def pulses(self) -> Sequence[Pulse]:
        """Of everything that it takes and of the processes of all actors, as long as they are the
        same."""

    def lost(self) -> str | None:
        """What of that has died and is not started again by itself; None: nothing."""

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
