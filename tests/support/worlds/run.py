"""One random world from its beginning to its end, and what is wrong with it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from greenray.actors import names
from greenray.cluster.roles import launch_names
from greenray.cluster.scrub import NetworkScrub
from greenray.protocol.errors import GreenrayError
from greenray.protocol.job import JobState
from greenray.protocol.job_table import UPLOADER_STATES
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.scrub import ScrubOrder
from greenray.storage.ports import ColumnKey
from tests.support.worlds.behind import Behind
from tests.support.worlds.clients import UsersObject, client_of, put_all, users_objects
from tests.support.worlds.network import World, world_of
from tests.support.worlds.plan import Damage, Plan, PlannedFault, Spot

FAULTS_S = 60.0
"""How long there are faults, if the life of the world is not over before, as it should be."""

DEADLINE_S = 90.0
"""Far more than a world takes on a machine three times slower; then it is stuck, and says where."""

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Ending:
    """``findings``: the promises that are broken; none when all is well. ``outcomes``: how many
    objects ended how."""

    plan: Plan
    findings: tuple[str, ...]
    happened: tuple[PlannedFault, ...]
    passed: Mapping[Spot, int]
    outcomes: Counter[str]
    trace: tuple[str, ...]

    def __str__(self) -> str:
        lines = [str(self.plan), *(f"  {line}" for line in self.trace)]
        return "\n".join([*lines, *(f"  WRONG: {finding}" for finding in self.findings)])


async def run_world(plan: Plan) -> Ending:
    with tempfile.TemporaryDirectory(prefix="world-") as folder:
        async with world_of(plan, Path(folder)) as world:
            objects = users_objects(world)
            await world.start()
            findings = await live_to_the_end(world, objects)
            await world.stop()
            async with Behind(world, objects) as behind:
                findings += await behind.findings()
                return Ending(
                    plan,
                    tuple(findings),
                    tuple(world.schedule.happened),
                    dict(world.schedule.passed),
                    behind.outcomes,
                    tuple(world.trace),
                )


async def live_to_the_end(world: World, objects: list[UsersObject]) -> list[str]:
    """What users find wrong."""
    life = asyncio.create_task(_live(world, objects))
    await asyncio.wait([life], timeout=FAULTS_S)
    await world.cease()
    world.note("faults have ceased")
    try:
        async with asyncio.timeout(DEADLINE_S):
            await life
            await _swept(world)
            await _collected(world)
            return await _read_wrong(world, objects)
    except TimeoutError:
        return [f"it is stuck: {await _unfinished(world)}"]
    except (AssertionError, GreenrayError) as failure:
        return [f"{type(failure).__name__}: {failure}"]


async def _live(world: World, objects: list[UsersObject]) -> None:
    await put_all(world, objects)
    world.note("all that is to be taken is taken")
    await _all_jobs_ended(world)
    world.note("all jobs have ended")
    for each in objects:
        if each.taken:
            await _damage_and_read(world, each)
    await _scrub(world)


async def _all_jobs_ended(world: World) -> None:
    while True:
        if not await _unfinished(world):
            return
        await asyncio.sleep(_POLL_S)


async def _unfinished(world: World) -> list[str]:
    """Jobs that are to go on by themselves."""
    try:
        jobs = await world.finder.find(names.JOB_STORE).list_jobs(unfinished_only=True)
    except GreenrayError as error:
        return [str(error)]
    return [
        f"{job.object_info.name}: {job.state.name}, {job.error}"
        for job in jobs
        if job.state not in UPLOADER_STATES
    ]


# --- reading -------------------------------------------------------------------------------------


async def _damage_and_read(world: World, each: UsersObject) -> None:
    """Damage a column, and read the object until the primary has its segments again."""
    damaged = await _file(world, each, each.planned.damaged_index)
    segments = await _file(world, each, SEGMENTS)
    if damaged is None or segments is None:
        return
    _damage(damaged, each.planned.damage)
    while True:
        world.note(f"{each.name} is read: {await _read(world, each) or 'the same bytes'}")
        if segments.is_file() and segments.read_bytes() == each.payload:
            return
        await asyncio.sleep(_POLL_S)


async def _file(world: World, each: UsersObject, index: int) -> Path | None:
    """None for an object that is not sealed."""
    async with client_of(world, each.planned.client) as user:
        try:
            status = await user.status(each.bucket, each.name)
        except GreenrayError:
            return None
    if status["state"] != JobState.SEAL_OBJECT_DONE.name:
        return None
    holders = {s["redundancy_index"]: s["operator_address"] for s in status["secondaries"]}
    holders[SEGMENTS] = world.primary_of(each.planned.client)
    return Path(world.config.pieces.place(holders[index], ColumnKey(status["object_id"], index)))


def _damage(file: Path, damage: Damage) -> None:
    stored = bytearray(file.read_bytes())
    match damage:
        case Damage.NONE:
            return
        case Damage.FLIPPED:
            stored[len(stored) // 2] ^= 1
        case Damage.CUT:
            del stored[len(stored) // 2 :]
        case Damage.REMOVED:
            file.unlink()
            return
    file.write_bytes(stored)


async def _scrub(world: World) -> None:
    """Until everything that is broken is repaired."""
    while True:
        scrub = NetworkScrub(world.finder, len(world.sps))
        try:
            report = await scrub.run(ScrubOrder(repair=True))
        except GreenrayError as error:
            world.note(f"a scrub ended with {type(error).__name__}: {error}")
        else:
            world.note(
                f"a scrub has repaired {len(report.repaired)}, {len(report.broken)} are left"
            )
            if not report.broken:
                return
        await asyncio.sleep(_POLL_S)


async def _read(world: World, each: UsersObject) -> str:
    """What is wrong with the object as its user gets it; empty when nothing is."""
    target = world.folder / f"{each.name}.downloaded"
    async with client_of(world, each.planned.client) as user:
        try:
            await user.get(each.bucket, each.name, target)
        except GreenrayError as error:
            return f"{type(error).__name__}: {error}"
    same = target.read_bytes() == each.payload
    target.unlink()
    return "" if same else "OTHER bytes"


async def _read_wrong(world: World, objects: list[UsersObject]) -> list[str]:
    wrong = [(each, await _read(world, each)) for each in objects if each.taken]
    return [f"{each.name} cannot be read: {what}" for each, what in wrong if what]


async def _swept(world: World) -> None:
    """What the sweeps of a network would come to in time."""
    for index in range(len(world.sps)):
        await world.finder.find(launch_names.sweeper(index)).sweep(0.0)


async def _collected(world: World) -> None:
    """What its Collector would come to in time: nothing is left that waits for it."""
    while True:
        report = await world.finder.find(names.COLLECTOR).collect(dry_run=False)
        world.note(f"{len(report.collected)} collected, {len(report.waiting)} wait")
        if not report.waiting:
            return
        await asyncio.sleep(_POLL_S)
