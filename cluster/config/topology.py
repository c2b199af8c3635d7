"""Which node of a Ray cluster runs what. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenray.protocol.errors import InvalidSetting
from greenray.storage.piece_location import PieceLocation, Reach

GATEWAY_MARK = "gateway"
"""Ray resource of nodes that take uploads; when no node has it, all do."""
JOB_STORE_MARK = "job_store"
"""Ray resource of the node with the state directory; when no node has it, any node may be it."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """``marks``: the names of its Ray resources."""

    node_id: str
    address: str
    object_store_bytes: int
    marks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Topology:
    """``home``: the node that ``greenray up`` runs on, with the state directory. Journal, keys and
    everything else that there is one of stays there.

    ``ingesting``: the nodes with an Uploader and its Gateways, home first if it is one of them.
    Receivers are spread over the same nodes.
    """

    nodes: tuple[ClusterNode, ...]
    home: ClusterNode
    ingesting: tuple[ClusterNode, ...]

    @classmethod
    def of(cls, nodes: Sequence[ClusterNode], home_id: str) -> Topology:
        """Raises InvalidSetting, when the journal belongs elsewhere."""
        home = next(node for node in nodes if node.node_id == home_id)
        keepers = [node.address for node in nodes if JOB_STORE_MARK in node.marks]
        if keepers and JOB_STORE_MARK not in home.marks:
            raise InvalidSetting(
                f"the node is not the one with the resource {JOB_STORE_MARK}",
                home.address,
                f"Run greenray up on {' or '.join(keepers)}",
            )
        ordered = sorted(nodes, key=lambda node: (node is not home, node.address, node.node_id))
        marked = tuple(node for node in ordered if GATEWAY_MARK in node.marks)
        return cls(tuple(ordered), home, marked or tuple(ordered))

    def check(self, pieces: PieceLocation, object_store_bytes: int) -> None:
        """Raises InvalidSetting: files that only one node sees, or an object store that is smaller
        than the budget's (``object_store_bytes``)."""
        if len(self.nodes) > 1 and pieces.reach < Reach.CLUSTER:
            raise InvalidSetting(
                f"{len(self.nodes)} nodes do not see each other's files",
                f"pieces.url {pieces.url}",
                "Set pieces.url to a bucket (s3://BUCKET/PREFIX), or pieces.shared to true if that "
                "directory is the same disk on all nodes",
            )
        for node in self.nodes:
            if node.object_store_bytes < object_store_bytes:
                raise InvalidSetting(
                    f"the node's object store has {node.object_store_bytes // _MIB} MiB, the "
                    f"budget needs {-(-object_store_bytes // _MIB)} MiB",
                    node.address,
                    "Start Ray there with a larger --object-store-memory, or lower "
                    "budget.memory_bytes",
                )

    def receiver_node(self, index: int) -> ClusterNode:
        return self.ingesting[index % len(self.ingesting)]
