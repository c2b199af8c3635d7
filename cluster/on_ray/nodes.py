"""The nodes of the Ray cluster that this process is connected to."""

from __future__ import annotations

from typing import Any

import ray

from greenray.cluster.config.topology import ClusterNode, Topology


def connected_topology() -> Topology:
    """Of the nodes that are alive now; home is the one of this process. Raises InvalidSetting."""
    described: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [
        ClusterNode(
            node_id=entry["NodeID"],
            address=entry["NodeManagerAddress"],
            object_store_bytes=int(entry["Resources"].get("object_store_memory", 0)),
            marks=frozenset(entry["Resources"]),
        )
        for entry in described
        if entry["Alive"]
    ]
    return Topology.of(nodes, ray.get_runtime_context().get_node_id())
