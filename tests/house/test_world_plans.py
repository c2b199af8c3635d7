"""What a seed plans for a random world, and how a plan that fails is made smaller."""

from __future__ import annotations

from dataclasses import replace

from tests.support.worlds.plan import (
    SPOTS,
    FaultKind,
    Plan,
    PlannedFault,
    PlannedObject,
    Spot,
    plan_of,
    shrunk,
)

SEEDS = range(300)


def test_the_same_seed_plans_the_same_world() -> None:
    assert [plan_of(seed) for seed in SEEDS] == [plan_of(seed) for seed in SEEDS]
    assert len({replace(plan_of(seed), seed=0) for seed in SEEDS}) == len(SEEDS)


def test_many_seeds_together_plan_every_kind_of_fault() -> None:
    faults = [fault for seed in SEEDS for fault in plan_of(seed).faults]
    assert {fault.kind for fault in faults} == set(FaultKind)
    assert {fault.spot for fault in faults} <= SPOTS


def test_a_plan_says_all_that_is_in_it() -> None:
    plan = plan_of(4)
    text = str(plan)
    assert "seed 4" in text
    assert all(str(fault) in text for fault in plan.faults)
    assert all(f"{planned.size_bytes} bytes" in text for planned in plan.objects)


def _fault(number: int) -> PlannedFault:
    spot = sorted(SPOTS, key=str)[0]
    return PlannedFault(FaultKind.KILL, spot, number)


def test_what_a_failing_world_does_not_need_is_left_out_of_it() -> None:
    faults = tuple(map(_fault, range(8)))
    objects = tuple(PlannedObject(0, size) for size in range(1, 5))
    plan = Plan(1, 7, 4, 2, objects, faults)
    needed = {faults[2], faults[5]}

    def fails(candidate: Plan) -> bool:
        return needed <= set(candidate.faults) and objects[3] in candidate.objects

    small = shrunk(plan, fails)
    assert small == replace(plan, faults=(faults[2], faults[5]), objects=(objects[3],))


def test_a_spot_reads_as_a_sentence() -> None:
    assert {type(spot) for spot in SPOTS} == {Spot}
    assert "home: call sent, receiver.open" in set(map(str, SPOTS))
