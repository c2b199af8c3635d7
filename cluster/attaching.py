"""Giving orders to the actors of a network that another process runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from greenray.client.network_file import NetworkFile
from greenray.protocol.errors import NotRunning

if TYPE_CHECKING:
    from greenray.seam.finder import Finder


def attached_finder(network: NetworkFile, instead: str, actors: Iterable[str] = ()) -> Finder:
    """Of the home node's actors, and these others: this process becomes a driver of the network's
    Ray cluster. Call it where an event loop runs.

    ``instead``: what gives the orders where the network has no cluster. Raises NotRunning (also
    then), ComponentUnavailable.
    """
    if not network.ray_address:
        raise NotRunning(
            "this network runs in one process, without Ray, and takes no orders from others",
            f"process {network.pid}",
            f"Call {instead} of the Network there",
        )
    from greenray.cluster.on_ray.payload import finder_of

    return finder_of(network, actors)


class _Users:
    """How many networks of other processes are in use here."""

    count = 0


@contextmanager
def in_use() -> Iterator[None]:
    """Around the use of a network that another process runs. After the last one this process is no
    driver of a cluster any more, if giving orders has made it one."""
    _Users.count += 1
    try:
        yield
    finally:
        _Users.count -= 1
        if not _Users.count and "greenray.cluster.on_ray.payload" in sys.modules:
            from greenray.cluster.on_ray.payload import detach

            detach()
