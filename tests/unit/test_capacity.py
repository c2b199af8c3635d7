"""The capacity model: every resource limits when it is the scarce one, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.capacity.planning import CapacityModel, Load, MemoryNeed, NodeSize, Place, StageCost
from greenray.protocol.errors import InvalidInput

GIB = 1 << 30
WORK = StageCost("work", Place.ANYWHERE, 4.0, 0.0, 4.0, 0.0)
NODE = NodeSize(cores=8, memory_bytes=64 * GIB, link_gb_s=100.0, disks=1, disk_gb_s=100.0)
LOAD = Load(object_size_bytes=GIB)


def model(
    *stages: StageCost, node: NodeSize = NODE, load: Load = LOAD, utilisation: float = 1.0
) -> CapacityModel:
    return CapacityModel(stages or (WORK,), node, load, utilisation=utilisation)


def test_cores_limit_what_nothing_else_does() -> None:
    one, three = model().scaled((1, 3))
    assert (one.limited_by, one.throughput_gb_s) == ("cores", 2.0)
    assert (three.limited_by, three.throughput_gb_s) == ("cores", 6.0)
    assert one.used("cores") == 1.0


def test_utilisation_leaves_room_on_every_resource() -> None:
    capacity = model(utilisation=0.5).at(1)
    assert capacity.throughput_gb_s == 1.0
    assert all(capacity.used(resource) <= 0.5 for resource in capacity.limits)


def test_one_process_in_the_cluster_does_not_grow_with_nodes() -> None:
    central = StageCost("TaskNode", Place.CLUSTER, 0.2, 0.0, 0.2, 0.0)
    capacity = model(WORK, central).at(64)
    assert capacity.limited_by == "one thread of TaskNode"
    assert capacity.throughput_gb_s == pytest.approx(5.0)


def test_processes_on_each_node_share_their_serial_part() -> None:
    receivers = StageCost("Receivers", Place.NODE, 1.0, 0.0, 1.0, 0.0, processes_per_node=2)
    node = replace(NODE, cores=1000)
    assert model(receivers, node=node).at(3).limits["one thread of Receivers"] == 6.0


def test_small_objects_are_limited_by_what_an_object_costs() -> None:
    per_object = StageCost("Signer", Place.CLUSTER, 0.0, 0.002, 0.0, 0.002)
    capacity = model(WORK, per_object, load=Load(object_size_bytes=10_000)).at(64)
    assert capacity.seals_per_s == pytest.approx(270.0)
    assert capacity.limited_by == "seals"
    fast_chain = Load(object_size_bytes=10_000, seals_per_s=1e6)
    capacity = model(WORK, per_object, load=fast_chain).at(64)
    assert capacity.limited_by == "one thread of Signer"
    assert capacity.seals_per_s == pytest.approx(500.0)


def test_links_carry_the_payload_and_the_columns_that_leave_their_node() -> None:
    node = replace(NODE, link_gb_s=1.0)
    links = [capacity.limits["links"] for capacity in model(node=node).scaled((1, 2, 4))]
    assert links == pytest.approx([1.0, 2 / 1.75, 4 / 2.125])
    elsewhere = replace(LOAD, peers_elsewhere=True)
    assert model(node=node, load=elsewhere).at(1).limits["links"] == pytest.approx(1 / 2.5)
    shared = replace(LOAD, shared_store=True)
    assert model(node=node, load=shared).at(2).limits["links"] == pytest.approx(2 / 3.25)


def test_disks_take_two_and_a_half_bytes_per_byte_unless_the_store_is_shared() -> None:
    node = replace(NODE, disks=2, disk_gb_s=1.0)
    assert model(node=node).at(3).limits["disks"] == pytest.approx(2.4)
    assert "disks" not in model(node=node, load=replace(LOAD, shared_store=True)).at(3).limits


def test_memory_limits_a_node_that_has_hardly_more_than_the_base() -> None:
    node = replace(NODE, memory_bytes=2_000_000_000)
    need = MemoryNeed(base_bytes=1_000_000_000, hold_s=1.0)
    small = CapacityModel((WORK,), node, LOAD, need, 1.0)
    assert small.at(2).limited_by == "memory"
    assert small.at(2).throughput_gb_s == pytest.approx(2.0)
    assert need.bytes_at(1.0) == 2_000_000_000
    none = CapacityModel((WORK,), replace(node, memory_bytes=1), LOAD, need)
    assert none.at(5).throughput_gb_s == 0.0


def test_the_needed_cluster_is_the_smallest_that_is_enough() -> None:
    of = model(utilisation=0.7)
    need = of.needed_for(10.0)
    assert need.nodes is not None
    assert of.at(need.nodes).throughput_gb_s >= 10.0
    assert of.at(need.nodes - 1).throughput_gb_s < 10.0
    assert need.cores == pytest.approx(10 * 4 / 0.7)
    assert need.written_gb_s == 25.0
    assert need.stored_tb_per_day == pytest.approx(2160.0)
    assert need.seals_per_s == pytest.approx(10e9 / GIB)


def test_what_no_number_of_nodes_can_do_is_said() -> None:
    need = model(load=Load(object_size_bytes=1_000_000)).needed_for(1.0)
    assert need.nodes is need.memory_bytes is need.link_gb_s_per_node is None
    assert need.limited_by == "seals"


def test_more_nodes_never_take_less() -> None:
    central = StageCost("TaskNode", Place.CLUSTER, 0.2, 0.001, 0.2, 0.001)
    for load in (LOAD, replace(LOAD, shared_store=True), replace(LOAD, peers_elsewhere=True)):
        of = model(WORK, central, node=replace(NODE, link_gb_s=0.5), load=load)
        rates = [capacity.throughput_gb_s for capacity in of.scaled()]
        assert len(rates) == 64
        assert rates == sorted(rates)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Load(object_size_bytes=0),
        lambda: replace(NODE, cores=0),
        lambda: replace(WORK, cpu_s_per_gb=-1.0),
        lambda: replace(WORK, processes_per_node=0),
        lambda: model(utilisation=0.0),
        lambda: model(replace(WORK, cpu_s_per_gb=0.0)),
        lambda: model().at(0),
        lambda: model().needed_for(0.0),
    ],
)
def test_what_cannot_be_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(InvalidInput):
        make()
