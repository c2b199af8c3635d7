"""A payload whose bytes lie in the object store of the network's Ray cluster already."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray import exceptions as ray_errors

from greenray.actors.uploader.payload_source import block_bytes
from greenray.client.network_file import NetworkFile
from greenray.client.payload_io import DirectPayload
from greenray.cluster.config.node_config import HOME, host_of
from greenray.cluster.on_ray.named_ports import RayFinder
from greenray.cluster.on_ray.placing import PlacedBytes, Placing
from greenray.cluster.on_ray.runtime import attach_ray
from greenray.cluster.on_ray.translation import translate
from greenray.cluster.roles.launch_names import payloads
from greenray.protocol.errors import InvalidInput, NotRunning

if TYPE_CHECKING:
    from greenray.protocol.gateway_request import GatewayRequest
    from greenray.storage.ports import Buffer


BLOCK_BYTES = 16 << 20


class _Attachment:
    """Whether this process became a driver here, and not by a call of its own."""

    made_here = False


def attached(network: NetworkFile) -> None:
    """Make this process a driver of the network's cluster, if it is none of any.

    Raises ComponentUnavailable.
    """
    if not ray.is_initialized():
        attach_ray(network.ray_address, namespace=network.ray_namespace)
        _Attachment.made_here = True


def detach() -> None:
    """End what ``attached`` began: Ray ends the process of a driver that has lost its cluster."""
    if _Attachment.made_here:
        _Attachment.made_here = False
        ray.shutdown()


def finder_of(network: NetworkFile, actors: Iterable[str] = ()) -> RayFinder:
    """Of the home node's actors, and these others, in this process, which becomes a driver of the
    network's cluster.

    Raises NotRunning, ComponentUnavailable.
    """
    attached(network)
    hosts = {HOME, *map(host_of, actors)}
    return RayFinder(handles={host: _handle(host, network) for host in hosts})


def _handle(host: str, network: NetworkFile) -> Any:
    try:
        return ray.get_actor(host, namespace=network.ray_namespace)
    except ValueError:
        raise NotRunning(
            "this process is attached to another Ray cluster, or the network has ended",
            network.ray_address,
            f"Call ray.init({network.ray_address!r}), without another one before",
        ) from None


_placing = Placing()


def block(data: Any) -> PlacedBytes:
    """``data``, contiguous bytes or an array, as a block of a payload that a task returns: it comes
    to lie where files are written from without a copy, most of the time. A driver knows better, see
    ``put_block``.

    Nothing is copied yet. Raises InvalidInput.
    """
    return _placing.placed(block_bytes(data, "block"))


def put_block(data: Any) -> Any:
    """``ray.put`` for a block of a payload, contiguous bytes or an array. Returns its reference;
    who gets it has an array of unsigned bytes.

    The first blocks of a process teach it how the next ones come to lie where files are written
    from without a copy. Raises InvalidInput.
    """
    placed = block(data)
    reference: Any = ray.put(placed)
    _placing.learn(placed, ray.get(reference))
    return reference


def stored_blocks(file: Path) -> list[Any]:
    """References to the file's bytes, in blocks, in the object store."""
    references = []
    with file.open("rb", buffering=0) as source:
        while len(bytes_read := np.fromfile(source, np.uint8, BLOCK_BYTES)):
            references.append(put_block(bytes_read))
    return references


class ReferencedBlocks(DirectPayload):
    """References to blocks of bytes of any length, which make the payload in this order.

    It is read here for its checksums; what is sent are the references. A driver or a task of the
    network's cluster may use it, and keeps the references until the object is stored.
    """

    def __init__(self, blocks: Sequence[Any], network: NetworkFile) -> None:
        """``blocks``: ``ray.ObjectRef``s of bytes or contiguous arrays. Raises InvalidInput,
        NotRunning (this process is not attached to Ray), NoSuchPiece (a block is lost)."""
        if not ray.is_initialized():
            raise NotRunning(
                "this process is not attached to the network's Ray cluster",
                network.ray_address,
                f"Call ray.init({network.ray_address!r}) first",
            )
        for index, block in enumerate(blocks):
            if not isinstance(block, ray.ObjectRef):
                raise InvalidInput(
                    f"a {type(block).__name__} is not a reference",
                    f"block {index}",
                    "Give the references that ray.put or a task returned, or one bytes object",
                )
        self.name = f"{len(blocks)} blocks"
        self._blocks = tuple(blocks)
        self._network = network
        self._ends = tuple(
            accumulate(self._fetch(index).nbytes for index in range(len(self._blocks)))
        )
        self._position = 0

    async def send(self, endpoint: str, request: GatewayRequest) -> None:
        """See ``DirectPayload.send``. The Uploader of this node takes it, if there is one."""
        name = self._uploader(endpoint)
        finder = RayFinder(handles={host_of(name): _handle(name, self._network)})
        uploader = finder.find(payloads(name))
        await uploader.put_object(request, list(self._blocks))

    def _uploader(self, endpoint: str) -> str:
        here = ray.get_runtime_context().get_node_id()
        gateways = self._network.gateways
        beside = (gateway.uploader for gateway in gateways if gateway.node_id == here)
        asked = (gateway.uploader for gateway in gateways if gateway.endpoint == endpoint)
        return next(beside, None) or next(asked, gateways[0].uploader)

    # --- a binary file ---------------------------------------------------------------------------

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size_bytes = self._ends[-1] if self._ends else 0
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: size_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, target: Any, /) -> int:
        view = memoryview(target).cast("B")
        index = bisect_right(self._ends, self._position)
        if index == len(self._ends):
            return 0
        left_bytes = self._ends[index] - self._position
        part = self._fetch(index)[-left_bytes:][: len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _fetch(self, index: int) -> Buffer:
        where = f"block {index}"
        try:
            return block_bytes(ray.get(self._blocks[index]), where)
        except ray_errors.RayError as error:
            raise translate(error, where) from None
