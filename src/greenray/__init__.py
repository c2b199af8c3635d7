"""The storage-provider upload path of Greenfield on Ray.

::

    import greenray

    with greenray.local_network(sps=7) as net:
        stored = net.put(b"hello", "photos/hello.txt")
        assert net.get("photos/hello.txt") == b"hello"
        print(net.status("photos/hello.txt"))

Importing this is cheap: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenray.api.bench_frame import bench_frame
    from greenray.api.benchmarks import BenchTable, bench_copy, bench_ec, bench_hash
    from greenray.api.bundles import BundleEntry, BundleLimits, BundleResult, OpenBundle
    from greenray.api.inspection import Column, PieceTable, RebuiltSegment, SealTransaction
    from greenray.api.network import Network, connect, local_network
    from greenray.api.results import JobStatus, StoredObject
    from greenray.capacity.planning import Load, MemoryNeed, NodeSize, StageCost
    from greenray.capacity.tables import CapacityPlan, StageTable, plan_capacity
    from greenray.client.download_sources import DownloadSources
    from greenray.client.put_outcome import PutOutcome, PutStatus
    from greenray.client.setbacks import FailedStep, ReplacedSecondary
    from greenray.cluster.on_ray.payload import block, put_block
    from greenray.cluster.scrub import ScrubReport
    from greenray.timeline.object_timeline import ObjectTimeline

__all__ = [
    "BenchTable",
    "BundleEntry",
    "BundleLimits",
    "BundleResult",
    "CapacityPlan",
    "Column",
    "DownloadSources",
    "FailedStep",
    "JobStatus",
    "Load",
    "MemoryNeed",
    "Network",
    "NodeSize",
    "ObjectTimeline",
    "OpenBundle",
    "PieceTable",
    "PutOutcome",
    "PutStatus",
    "RebuiltSegment",
    "ReplacedSecondary",
    "ScrubReport",
    "SealTransaction",
    "SpaceTable",
    "StageCost",
    "StageTable",
    "StoredObject",
    "bench_copy",
    "bench_ec",
    "bench_frame",
    "bench_hash",
    "block",
    "connect",
    "local_network",
    "plan_capacity",
    "put_block",
]

_MODULES = {
    "greenray.capacity.planning": ("Load", "MemoryNeed", "NodeSize", "StageCost"),
    "greenray.client.put_outcome": ("PutOutcome", "PutStatus"),
    "greenray.client.setbacks": ("FailedStep", "ReplacedSecondary"),
    "greenray.client.download_sources": ("DownloadSources",),
    "greenray.cluster.on_ray.payload": ("block", "put_block"),
    "greenray.cluster.scrub": ("ScrubReport",),
    "greenray.api.network": ("Network", "connect", "local_network"),
    "greenray.api.bench_frame": ("bench_frame",),
    "greenray.api.benchmarks": ("BenchTable", "bench_copy", "bench_ec", "bench_hash"),
    "greenray.capacity.tables": ("CapacityPlan", "StageTable", "plan_capacity"),
    "greenray.api.bundles": ("BundleEntry", "BundleLimits", "BundleResult", "OpenBundle"),
    "greenray.api.inspection": ("Column", "PieceTable", "RebuiltSegment", "SealTransaction"),
    "greenray.api.results": ("JobStatus", "SpaceTable", "StoredObject"),
    "greenray.timeline.object_timeline": ("ObjectTimeline",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # to a type checker, any name whatever would be there

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
