"""How much a cluster takes, from what each stage costs: arithmetic only, nothing is run.

Every resource (cores, one process, links, disks, memory, the chain) allows some throughput; the
least of them is what the cluster allows, and says what limits it. Costs are linear: so much per GB
of payload and so much per object. Waiting, skew between nodes and bursts are not in it, which is
what ``utilisation`` leaves room for. So what comes out is simulated, not measured.

GB is 10**9 bytes; throughput is payload from put to sealed, in GB/s, of the whole cluster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from greenray.protocol.errors import InvalidInput

_GB = 1e9
_DAY_S = 86_400.0
_MAX_NODES = 1 << 20


class Place(Enum):
    """How many processes share a stage."""

    CLUSTER = "one process in the cluster"
    NODE = "a fixed number of processes on each node"
    ANYWHERE = "as many processes as there are cores"


@dataclass(frozen=True, slots=True)
class StageCost:
    """CPU seconds of all processes of a stage.

    ``serial_s_per_gb``, ``serial_s_per_object``: the part that one process cannot spread over
    cores, that is, the CPU time of its busiest thread, summed over its processes.
    ``processes_per_node``: only of ``Place.NODE``.
    """

    name: str
    place: Place
    cpu_s_per_gb: float
    cpu_s_per_object: float
    serial_s_per_gb: float
    serial_s_per_object: float
    processes_per_node: int = 1

    def __post_init__(self) -> None:
        costs = (
            self.cpu_s_per_gb,
            self.cpu_s_per_object,
            self.serial_s_per_gb,
            self.serial_s_per_object,
        )
        if min(costs) < 0 or self.processes_per_node < 1:
            raise InvalidInput("a stage cannot cost less than nothing", self.name)

    def cpu_s(self, objects_per_gb: float) -> float:
        """Of one GB of payload in that many objects."""
        return self.cpu_s_per_gb + objects_per_gb * self.cpu_s_per_object

    def serial_s(self, objects_per_gb: float) -> float:
        return self.serial_s_per_gb + objects_per_gb * self.serial_s_per_object


@dataclass(frozen=True, slots=True)
class NodeSize:
    """One machine. Links are full duplex; ``disk_gb_s``: durable writes of one disk."""

    cores: int
    memory_bytes: int
    link_gb_s: float
    disks: int
    disk_gb_s: float

    def __post_init__(self) -> None:
        if min(self.cores, self.memory_bytes, self.link_gb_s, self.disks, self.disk_gb_s) <= 0:
            raise InvalidInput("a node needs cores, memory, a link and disks", repr(self))


@dataclass(frozen=True, slots=True)
class Load:
    """What is uploaded, and what is around the cluster.

    ``seals_per_s``: of one SP's seal key on the chain. 270 is what a real v0.2 node committed from
    one key with pipelined nonces (docs/design.md, section 6).
    ``peers_elsewhere``: the secondaries are other SPs, over the network, and store as much here as
    we store there; else this cluster hosts all SPs of the object.
    ``shared_store``: pieces go to a store on the network (S3, a shared file system) and not to
    disks of the nodes; as several nodes need it.
    """

    object_size_bytes: int
    k: int = 4
    m: int = 2
    seals_per_s: float = 270.0
    peers_elsewhere: bool = False
    shared_store: bool = False

    def __post_init__(self) -> None:
        if self.object_size_bytes < 1 or self.k < 1 or self.m < 0 or self.seals_per_s <= 0:
            raise InvalidInput("there is nothing to upload, or no chain to seal it on", repr(self))

    @property
    def objects_per_gb(self) -> float:
        return _GB / self.object_size_bytes

    @property
    def columns_per_byte(self) -> float:
        """Bytes of EC pieces per byte of payload: 1.5 at 4+2."""
        return (self.k + self.m) / self.k

    @property
    def stored_per_byte(self) -> float:
        """The primary's segments and all EC pieces: 2.5 at 4+2."""
        return 1 + self.columns_per_byte


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Memory of one node: ``base_bytes`` with nothing on its way, and ``hold_s`` seconds of its
    throughput.

    The defaults are docs/measured.md, section 6: 743 MB with an Uploader and six
    receivers; a window of 128 MiB carried 520 MB/s, and up to four times the window was held.
    """

    base_bytes: int = 743_000_000
    hold_s: float = 4 * 0.134 / 0.520

    def bytes_at(self, node_gb_s: float) -> float:
        return self.base_bytes + self.hold_s * node_gb_s * _GB

    def gb_s(self, memory_bytes: float) -> float:
        """What that much memory carries; 0 if it is less than the base."""
        return max(0.0, (memory_bytes - self.base_bytes) / self.hold_s / _GB)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a number of equal nodes takes. Simulated.

    ``limits``: the throughput that each resource allows, in GB/s.
    """

    nodes: int
    throughput_gb_s: float
    limited_by: str
    limits: Mapping[str, float]
    seals_per_s: float

    def used(self, resource: str) -> float:
        """The share of a resource that the throughput takes; at most the utilisation."""
        limit = self.limits[resource]
        return self.throughput_gb_s / limit if limit else 0.0


@dataclass(frozen=True, slots=True)
class ClusterNeed:
    """What a wanted throughput needs in all. Simulated.

    ``nodes`` and what depends on them are None when no number of such nodes is enough;
    ``limited_by`` says why. ``memory_bytes`` is of all nodes; links are per node, and the busier
    direction.
    """

    throughput_gb_s: float
    nodes: int | None
    limited_by: str
    cores: float
    memory_bytes: float | None
    link_gb_s_per_node: float | None
    written_gb_s: float
    disks: int
    stored_tb_per_day: float
    seals_per_s: float


@dataclass(frozen=True, slots=True)
class CapacityModel:
    """Equal nodes under one load.

    ``utilisation``: the share of every resource that may be used on average.
    """

    stages: Sequence[StageCost]
    node: NodeSize
    load: Load
    memory: MemoryNeed = MemoryNeed()
    utilisation: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise InvalidInput(f"{self.utilisation} is not a share of a resource", "utilisation")
        if not self.stages or self.cpu_s_per_gb <= 0:
            raise InvalidInput("the stages cost nothing", "stages", "Measure them")

    @property
    def cpu_s_per_gb(self) -> float:
        """Of all stages, per GB of payload in objects of this size."""
        return sum(stage.cpu_s(self.load.objects_per_gb) for stage in self.stages)

    def link_gb_per_gb(self, nodes: int) -> float:
        """GB through the busier direction of all links together, per GB of payload.

        In: the payload, and columns from other nodes (and reading nothing back). Out: columns, and
        all that is stored if the store is on the network. With all SPs hosted here and columns
        spread evenly, (nodes - 1) / nodes of them leave the node where they arrived.
        """
        load = self.load
        crossing = 1.0 if load.peers_elsewhere else (nodes - 1) / nodes
        columns = load.columns_per_byte * crossing
        stored = load.stored_per_byte if load.shared_store else 0.0
        return max(1 + columns, columns + stored)

    def at(self, nodes: int) -> Capacity:
        """What ``nodes`` such nodes take. Raises InvalidInput when there are none."""
        if nodes < 1:
            raise InvalidInput("a cluster has at least one node", str(nodes))
        limits = self._limits(nodes)
        limited_by = min(limits, key=lambda name: limits[name])
        throughput_gb_s = self.utilisation * limits[limited_by]
        seals_per_s = throughput_gb_s * self.load.objects_per_gb
        return Capacity(nodes, throughput_gb_s, limited_by, limits, seals_per_s)

    def scaled(self, nodes: Iterable[int] = range(1, 65)) -> tuple[Capacity, ...]:
        """The same load on clusters of these sizes."""
        return tuple(self.at(count) for count in nodes)

    def needed_for(self, throughput_gb_s: float) -> ClusterNeed:
        """The smallest cluster of such nodes, and what it uses. Raises InvalidInput."""
        if throughput_gb_s <= 0:
            raise InvalidInput("the wanted throughput must be positive", str(throughput_gb_s))
        nodes = _smallest(lambda count: self.at(count).throughput_gb_s >= throughput_gb_s)
        load, wanted = self.load, throughput_gb_s
        memory_bytes = link_gb_s = None
        if nodes is not None:
            peak_gb_s = wanted / nodes / self.utilisation
            memory_bytes = nodes * self.memory.bytes_at(peak_gb_s)
            link_gb_s = self.link_gb_per_gb(nodes) * peak_gb_s
        written_gb_s = load.stored_per_byte * wanted
        return ClusterNeed(
            throughput_gb_s=wanted,
            nodes=nodes,
            limited_by=self.at(nodes or _MAX_NODES).limited_by,
            cores=wanted * self.cpu_s_per_gb / self.utilisation,
            memory_bytes=memory_bytes,
            link_gb_s_per_node=link_gb_s,
            written_gb_s=written_gb_s,
            disks=math.ceil(written_gb_s / self.node.disk_gb_s / self.utilisation),
            stored_tb_per_day=written_gb_s * _DAY_S / 1e3,
            seals_per_s=wanted * load.objects_per_gb,
        )

    def _limits(self, nodes: int) -> dict[str, float]:
        """GB/s that each resource allows when all of it is used."""
        node, load = self.node, self.load
        limits = {
            "cores": nodes * node.cores / self.cpu_s_per_gb,
            "memory": nodes * self.memory.gb_s(node.memory_bytes),
            "links": nodes * node.link_gb_s / self.link_gb_per_gb(nodes),
            "seals": load.seals_per_s / load.objects_per_gb,
        }
        if not load.shared_store:
            limits["disks"] = nodes * node.disks * node.disk_gb_s / load.stored_per_byte
        for stage in self.stages:
            serial_s = stage.serial_s(load.objects_per_gb)
            if stage.place is not Place.ANYWHERE and serial_s > 0:
                shared_by = nodes * stage.processes_per_node if stage.place is Place.NODE else 1
                limits[f"one thread of {stage.name}"] = shared_by / serial_s
        return limits


def _smallest(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of nodes that is enough; None if _MAX_NODES are not.

    More nodes never take less, which is what lets this search by halves.
    """
    if not enough(_MAX_NODES):
        return None
    low, high = 0, _MAX_NODES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
