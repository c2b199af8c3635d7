"""What a Collector removes, what it keeps, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.collector import actor
from greenray.protocol.collection import Cause
from greenray.protocol.errors import ChainNotComparable, StoreError
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.storage.ports import ColumnKey, Fence
from tests.support.collector_world import (
    DELAY_S,
    LAYOUT,
    OTHER_BUCKET,
    OTHER_PRIMARY,
    PRIMARY,
    SECONDARIES,
    SPARE,
    CollectorWorld,
)
from tests.support.waiting import eventually


@pytest.fixture
async def world() -> AsyncIterator[CollectorWorld]:
    world = CollectorWorld()
    await world.collect()  # it knows the chain
    yield world
    await world.journal.close()


async def stored_object(world: CollectorWorld) -> int:
    object_id = world.created()
    await world.put(object_id)
    return object_id


async def due_object(world: CollectorWorld) -> int:
    """One that was deleted, and has waited as long as it has to."""
    deleted = await stored_object(world)
    world.chain.write(deleted={deleted})
    await world.collect()
    world.now += DELAY_S
    return deleted


async def test_a_deleted_object_is_removed_everywhere_after_the_delay(
    world: CollectorWorld,
) -> None:
    deleted, kept = await stored_object(world), await stored_object(world)
    world.chain.write(deleted={deleted})
    report = await world.collect()
    assert report.collected == ()
    assert [one.due_in_s for one in report.waiting] == [DELAY_S]
    assert world.columns(deleted) == world.whole(deleted)

    world.now += DELAY_S
    report = await world.collect()
    (collected,) = report.collected
    assert (collected.object_id, collected.cause) == (deleted, Cause.DELETED)
    assert (collected.columns, collected.size_bytes) == (7, 28)
    assert (report.waiting, world.columns(deleted)) == ((), [])
    assert await world.records(deleted) == 0
    assert world.columns(kept) == world.whole(kept)
    assert await world.records(kept) == 7


async def test_the_job_of_a_deleted_object_ends_at_once_and_says_so(
    world: CollectorWorld,
) -> None:
    object_id = world.created()
    await world.upload(object_id)
    world.chain.write(deleted={object_id})
    await world.collect()
    job = await world.journal.get_job(PRIMARY, object_id)
    assert job is not None
    assert (job.state, job.final, job.owner) == (JobState.UPLOAD_OBJECT_ERROR, True, "")
    assert job.error is not None
    assert job.error.reason == "object-gone"


async def test_a_dry_run_says_what_would_go_and_removes_nothing(world: CollectorWorld) -> None:
    deleted = await due_object(world)
    report = await world.collect(dry_run=True)
    assert report.dry_run
    assert report.size_bytes == 28
    assert world.columns(deleted) == world.whole(deleted)
    assert len((await world.collect()).collected) == 1


async def test_what_was_deleted_while_nobody_read_blocks_is_found_by_comparing(
    world: CollectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted, kept = await stored_object(world), await stored_object(world)
    monkeypatch.setattr(actor, "_MAX_BLOCKS_BEHIND", 0)
    world.chain.write(deleted={deleted})
    world.chain.write(creates=1)
    report = await world.collect_after_the_delay()
    assert [(one.object_id, one.cause) for one in report.collected] == [
        (deleted, Cause.NOT_ON_CHAIN)
    ]
    assert world.columns(kept) == world.whole(kept)


async def test_a_group_of_a_secondary_that_was_replaced_goes_and_the_others_stay(
    world: CollectorWorld,
) -> None:
    object_id = world.created()
    await world.upload(object_id)
    await world.replicate(object_id)
    await world.store(SPARE, object_id, 3)
    world.chain.write(seals={object_id: SECONDARIES})
    report = await world.collect_after_the_delay()
    (collected,) = report.collected
    assert (collected.cause, collected.sp_address) == (Cause.REPLACED, SPARE)
    assert world.columns(object_id) == world.whole(object_id)
    assert await world.journal.get_integrity(SPARE, object_id, 3) is None
    assert await world.records(object_id) == 7
    job = await world.journal.get_job(PRIMARY, object_id)
    assert job is not None
    assert job.error is None


async def test_nothing_of_an_object_that_is_not_sealed_goes(world: CollectorWorld) -> None:
    object_id = world.created()
    await world.upload(object_id)
    await world.store(SPARE, object_id, 3)
    world.leave_unfinished(SECONDARIES[0], object_id, 0, fence=1)
    before = world.columns(object_id)
    report = await world.collect_after_the_delay()
    assert report.collected == ()
    assert world.columns(object_id) == before


async def test_a_column_that_nobody_finishes_goes_once_it_has_not_grown_for_long(
    world: CollectorWorld,
) -> None:
    object_id = await stored_object(world)
    world.leave_unfinished(PRIMARY, object_id, SEGMENTS, fence=1)
    world.leave_unfinished(SECONDARIES[2], object_id, 2, fence=7)
    report = await world.collect_after_the_delay()
    assert {one.cause for one in report.collected} == {Cause.LEFT_UNFINISHED}
    assert world.columns(object_id) == world.whole(object_id)


async def test_a_column_that_grows_is_left_to_its_writer(world: CollectorWorld) -> None:
    object_id = await stored_object(world)
    world.leave_unfinished(PRIMARY, object_id, SEGMENTS, fence=1)
    await world.collect()
    world.now += DELAY_S
    key = ColumnKey(object_id, SEGMENTS)
    store = world.stores[PRIMARY]
    writer = store.resume(key, LAYOUT, 2, Fence(1))
    writer.append([memoryview(b"x")])
    assert (await world.collect()).collected == ()
    writer.append([memoryview(b"y")])
    writer.finish()
    assert world.columns(object_id) == world.whole(object_id)


async def test_rows_without_a_column_go_with_their_object(world: CollectorWorld) -> None:
    object_id = await stored_object(world)
    for sp, index in ((PRIMARY, SEGMENTS), (SECONDARIES[0], 0)):
        world.stores[sp].delete(ColumnKey(object_id, index))
    await world.collect_after_the_delay()
    assert await world.records(object_id) == 7  # the object lives: a repair needs them
    world.chain.write(deleted={object_id})
    await world.collect_after_the_delay()
    assert await world.records(object_id) == 0


async def test_columns_without_a_row_go_with_their_object(world: CollectorWorld) -> None:
    object_id = world.created()
    writer = world.stores[SPARE].create(ColumnKey(object_id, 5), LAYOUT)
    writer.append([memoryview(bytes(4))])
    writer.finish()
    await world.collect_after_the_delay()
    assert world.columns(object_id) == [(SPARE, 5, None)]
    world.chain.write(deleted={object_id})
    await world.collect_after_the_delay()
    assert world.columns(object_id) == []


# --- what proves nothing -------------------------------------------------------------------------


async def test_a_node_that_lags_confirms_nothing(world: CollectorWorld) -> None:
    deleted = await due_object(world)
    world.node.lag = 1
    with pytest.raises(ChainNotComparable):
        await world.collect()
    assert world.columns(deleted) == world.whole(deleted)
    world.node.lag = 0
    assert len((await world.collect()).collected) == 1


async def test_an_object_that_the_node_has_not_seen_yet_stays(world: CollectorWorld) -> None:
    world.node.lag = 3
    object_id = await stored_object(world)
    report = await world.collect_after_the_delay()
    assert (report.collected, report.waiting) == ((), ())
    assert world.columns(object_id) == world.whole(object_id)


async def test_a_chain_that_went_back_confirms_nothing_until_it_has_caught_up(
    world: CollectorWorld,
) -> None:
    kept = await stored_object(world)
    lost = await stored_object(world)
    await world.collect()
    world.chain.restore(2)  # the block that created ``lost`` and the one that sealed it
    with pytest.raises(ChainNotComparable):
        await world.collect()

    world.chain.write()
    world.chain.write()
    world.chain.write()
    report = await world.collect_after_the_delay()
    assert report.collected == ()  # its number is still to be given away
    assert world.columns(lost) == world.whole(lost)

    assert world.created(2) == lost
    world.chain.write(deleted={lost})
    report = await world.collect_after_the_delay()
    assert [one.object_id for one in report.collected] == [lost]
    assert world.columns(lost) == []
    assert world.columns(kept) == world.whole(kept)


async def test_segments_of_a_lost_object_go_when_its_id_is_of_another_primary_now(
    world: CollectorWorld,
) -> None:
    lost = await stored_object(world)
    await world.collect()
    world.chain.restore(2)
    assert world.created(bucket=OTHER_BUCKET) == lost
    await world.put(lost, OTHER_BUCKET)
    while len(world.chain.states) < 10:
        world.chain.write()
    (collected,) = (await world.collect_after_the_delay()).collected
    assert collected.cause is Cause.ANOTHER_PRIMARY
    assert (collected.sp_address, collected.redundancy_index) == (PRIMARY, SEGMENTS)
    assert world.columns(lost) == world.whole(lost, OTHER_PRIMARY)
    assert await world.records(lost) == 7


async def test_what_waited_before_the_chain_went_back_begins_to_wait_anew(
    world: CollectorWorld,
) -> None:
    deleted = await due_object(world)
    world.chain.restore(1)
    world.chain.write()
    world.chain.write()
    report = await world.collect()
    assert (report.collected, report.waiting) == ((), ())
    assert world.columns(deleted) == world.whole(deleted)


async def test_another_chain_behind_the_same_address_confirms_nothing(
    world: CollectorWorld,
) -> None:
    deleted = await due_object(world)
    world.node.first = "another first block"
    with pytest.raises(ChainNotComparable, match="another chain"):
        await world.collect()
    world.new_collector()
    with pytest.raises(ChainNotComparable, match="another chain"):
        await world.collect()
    assert world.columns(deleted) == world.whole(deleted)


async def test_another_chain_that_has_other_blocks_is_none_that_went_back(
    world: CollectorWorld,
) -> None:
    kept = await stored_object(world)
    await world.collect()
    world.chain.restore(2)
    for _ in range(5):
        world.chain.write(creates=1)
    world.chain.write(deleted={kept})
    world.node.first = "another first block"
    with pytest.raises(ChainNotComparable, match="another chain"):
        await world.collect_after_the_delay()
    assert world.columns(kept) == world.whole(kept)


async def test_what_the_chain_has_after_all_does_not_wait_any_longer(
    world: CollectorWorld,
) -> None:
    object_id = world.created()
    await world.upload(object_id)
    await world.store(SPARE, object_id, 0)
    world.chain.write(seals={object_id: SECONDARIES})
    await world.collect()
    assert len(await world.journal.list_collectable()) == 1
    world.chain.write(seals={object_id: (SPARE, *SECONDARIES[1:])})
    world.now += DELAY_S
    report = await world.collect()
    assert (report.collected, report.waiting) == ((), ())
    assert (SPARE, 0, None) in world.columns(object_id)


# --- restarts and faults -------------------------------------------------------------------------


async def test_what_waits_and_what_was_read_outlive_the_process(tmp_path: Path) -> None:
    world = CollectorWorld(journal=tmp_path / "jobs.sqlite")
    await world.collect()
    deleted = await due_object(world)
    world.new_collector()
    assert [one.object_id for one in (await world.collect()).collected] == [deleted]
    await world.journal.close()


async def test_a_store_that_fails_leaves_the_object_waiting(
    world: CollectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = await due_object(world)

    def fail(key: ColumnKey) -> None:
        raise StoreError("the disk is gone", SECONDARIES[3])

    with monkeypatch.context() as patched:
        patched.setattr(world.stores[SECONDARIES[3]], "delete", fail)
        with pytest.raises(StoreError):
            await world.collect()
    assert await world.records(deleted) == 7
    await world.collect()
    assert (world.columns(deleted), await world.records(deleted)) == ([], 0)


async def test_it_runs_by_itself_until_it_is_closed(world: CollectorWorld) -> None:
    deleted = await due_object(world)
    running = asyncio.create_task(world.collector.run())
    await eventually(lambda: not world.columns(deleted))
    await world.collector.close()
    await running
    assert await world.records(deleted) == 0


async def test_what_is_not_to_be_removed_by_itself_waits_and_its_jobs_end(
    world: CollectorWorld,
) -> None:
    world.settings = replace(world.settings, enabled=False)
    collector = world.new_collector()
    object_id = world.created()
    await world.upload(object_id)
    world.chain.write(deleted={object_id})
    world.now += DELAY_S
    running = asyncio.create_task(collector.run())
    while not await _is_final(world, object_id):
        world.now += DELAY_S
    await collector.close()
    await running
    assert world.columns(object_id) == [(PRIMARY, SEGMENTS, None)]
    await world.collect_after_the_delay()
    assert world.columns(object_id) == []


async def _is_final(world: CollectorWorld, object_id: int) -> bool:
    job = await world.journal.get_job(PRIMARY, object_id)
    return job is not None and job.final


async def test_a_chain_that_does_not_answer_stops_nothing_and_is_named_once(
    world: CollectorWorld, caplog: pytest.LogCaptureFixture
) -> None:
    deleted = await stored_object(world)
    world.chain.write(deleted={deleted})
    await world.collect()
    world.node.lag = 2
    world.now += DELAY_S
    running = asyncio.create_task(world.collector.run())
    await eventually(lambda: bool(caplog.records))
    world.node.lag = 0
    await eventually(lambda: not world.columns(deleted))
    await world.collector.close()
    await running
    assert len([r for r in caplog.records if "nothing can be collected" in r.message]) == 1
