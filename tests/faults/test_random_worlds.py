"""Random worlds of a few fixed seeds.

``make faults SEEDS=200`` runs more of them, ``make faults SEED=123`` one again, with its plan and
its trace. What a seed has found is a test where it was mended.
"""

from __future__ import annotations

import pytest

from greenray.seam.fault_points import FaultPoint
from tests.support.worlds.plan import (
    SEGMENT_SIZE_BYTES,
    SPOTS,
    Behaviour,
    Damage,
    Plan,
    PlannedObject,
    plan_of,
)
from tests.support.worlds.run import run_world

SEEDS = (1, 8, 12, 13, 19, 26, 30, 35)

LARGE_BYTES = 9 * SEGMENT_SIZE_BYTES + 100

CALM = Plan(
    seed=0,
    sps=7,
    k=4,
    m=2,
    objects=(
        PlannedObject(0, 1),
        PlannedObject(0, LARGE_BYTES, damage=Damage.REMOVED),
        PlannedObject(1, LARGE_BYTES, replica=True, behaviour=Behaviour.BREAKS_OFF),
        PlannedObject(1, SEGMENT_SIZE_BYTES, behaviour=Behaviour.SENDS_OTHER_BYTES),
    ),
    faults=(),
)


async def test_a_calm_world_passes_every_spot_that_a_plan_can_name() -> None:
    ending = await run_world(CALM)
    assert not ending.findings, str(ending)
    assert [str(spot) for spot in SPOTS - ending.passed.keys()] == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_world_keeps_every_promise(seed: int) -> None:
    ending = await run_world(plan_of(seed))
    assert not ending.findings, str(ending)
    assert {spot.point for spot in ending.passed} == set(FaultPoint)
