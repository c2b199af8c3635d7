"""The Receiver by itself: what it takes, what it keeps, what it forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenray.actors.ports import BorrowedColumn, GroupOrder
from greenray.actors.receiver.actor import Receiver
from greenray.chain.crypto import recover_signer
from greenray.protocol.errors import (
    ApprovalError,
    ChainUnavailable,
    ComponentUnavailable,
    GroupNotOpen,
    InvalidInput,
    NoSuchObject,
    PayloadSizeMismatch,
    SharedBlockGone,
    WrongObjectStatus,
    WrongRedundancyIndex,
)
from greenray.protocol.integrity import UnverifiedReceipt, verify_receipt
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import LONE_WRITER, ColumnKey, Fence, GroupKey
from tests.support.fake_chain import FakeChain
from tests.support.groups import SMALL_SEGMENTS, ObjectGroups, put_object_on_chain
from tests.support.naughty import naughty_piece_store
from tests.support.receiver_rig import IMPATIENT, NOTHING, ReceiverRig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ReceiverRig]:
    rig = ReceiverRig.create(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
def groups(rig: ReceiverRig) -> ObjectGroups:
    """Nine segments in five batches; the last piece is shorter."""
    return rig.put_object(9000)


async def write(
    receiver: Receiver, rig: ReceiverRig, groups: ObjectGroups, order: GroupOrder, *indices: int
) -> None:
    batches = groups.batches(order.redundancy_index)
    key = order.key_at(rig.secondary.address)
    for index in indices or range(len(batches)):
        await receiver.write_batch(rig.secondary.address, key, index, batches[index])


async def take(
    receiver: Receiver, rig: ReceiverRig, groups: ObjectGroups, order: GroupOrder
) -> UnverifiedReceipt:
    await receiver.open(rig.secondary.address, order)
    await write(receiver, rig, groups, order)
    return await receiver.finish(rig.secondary.address, order.key_at(rig.secondary.address))


# --- batches -------------------------------------------------------------------------------------


async def test_same_batch_again_changes_nothing(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    assert await receiver.open(rig.secondary.address, order) == 0
    await write(receiver, rig, groups, order, 0, 1, 0, 1, 1, 2, 3, 4, 4)
    await receiver.finish(rig.secondary.address, order.key_at(rig.secondary.address))
    assert rig.stored(groups, 0) == groups.columns[0]


async def test_acknowledged_batch_with_other_bytes_is_refused(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    key = order.key_at(rig.secondary.address)
    await receiver.open(rig.secondary.address, order)
    await write(receiver, rig, groups, order, 0)
    with pytest.raises(InvalidInput, match="other bytes"):
        await receiver.write_batch(rig.secondary.address, key, 0, groups.batches(1)[0])
    await write(receiver, rig, groups, order, 1, 2, 3, 4)
    await receiver.finish(rig.secondary.address, key)


async def test_gap_is_refused(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    with pytest.raises(InvalidInput, match="batch 1 came before batch 0"):
        await write(receiver, rig, groups, order, 1)


@pytest.mark.parametrize("batch_index", [-1, 5])
async def test_batch_outside_the_object_is_refused(
    rig: ReceiverRig, groups: ObjectGroups, batch_index: int
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    key = order.key_at(rig.secondary.address)
    with pytest.raises(InvalidInput):
        await receiver.write_batch(rig.secondary.address, key, batch_index, groups.batches(0)[0])


async def test_batch_of_another_size_is_refused(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    key = order.key_at(rig.secondary.address)
    longer = np.concatenate([groups.batches(0)[0], np.zeros(1, dtype=np.uint8)])
    with pytest.raises(PayloadSizeMismatch):
        await receiver.write_batch(rig.secondary.address, key, 0, longer)


async def test_batches_that_lie_in_several_runs_of_memory_are_stored_like_others(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    address, key = rig.secondary.address, order.key_at(rig.secondary.address)
    await receiver.open(address, order)
    for index, column in enumerate(groups.batches(0)):
        runs = column[:1], column[1:1], column[1 : column.size // 2], column[column.size // 2 :]
        await receiver.write_batch(address, key, index, runs)
        await receiver.write_batch(address, key, index, column)  # the same bytes
    receipt = await receiver.finish(address, key)
    assert receipt.integrity_hash == groups.info.checksums[1]
    assert rig.stored(groups, 0) == groups.columns[0]


async def test_what_is_not_made_of_bytes_is_refused(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    numbers: Any = np.zeros(groups.batches(0)[0].size, dtype=np.uint16)
    key = order.key_at(rig.secondary.address)
    with pytest.raises(InvalidInput, match="uint16"):
        await receiver.write_batch(rig.secondary.address, key, 0, numbers)


async def test_large_batches_are_hashed_and_written_at_the_same_time_and_stay_right(
    rig: ReceiverRig,
) -> None:
    rig.chain.params = replace(rig.chain.params, max_segment_size_bytes=4 * 1024 * 1024)
    groups = rig.put_object(10 * 1024 * 1024 + 3)
    receipt = await take(rig.start(), rig, groups, groups.order(rig.secondary, 5))
    assert receipt.integrity_hash == groups.info.checksums[6]
    assert rig.stored(groups, 5) == groups.columns[5]


async def test_a_batch_whose_memory_is_used_again_while_it_is_read_is_not_acknowledged(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 5)
    address, key = rig.secondary.address, order.key_at(rig.secondary.address)
    first, second, *rest = groups.batches(5)
    await receiver.open(address, order)
    await receiver.write_batch(address, key, 0, first)

    def used_again() -> None:
        raise SharedBlockGone("its memory is used for something else by now", "loan 7")

    torn = BorrowedColumn(np.full_like(second, 9), used_again)
    for index in (1, 0):  # a new one, and one that is compared with what is held
        with pytest.raises(SharedBlockGone):
            await receiver.write_batch(address, key, index, torn)
        assert await receiver.open(address, order) == 1
    for index, column in enumerate([second, *rest], 1):
        await receiver.write_batch(address, key, index, BorrowedColumn(column, lambda: None))
    receipt = await receiver.finish(address, key)
    assert receipt.integrity_hash == groups.info.checksums[6]
    assert rig.stored(groups, 5) == groups.columns[5]


async def test_batch_of_a_caller_that_went_away_is_stored(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    writing = asyncio.create_task(write(receiver, rig, groups, order, 0))
    await asyncio.sleep(0)  # the call has begun
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await write(receiver, rig, groups, order, 0, 1, 2, 3, 4)
    await receiver.finish(rig.secondary.address, order.key_at(rig.secondary.address))
    assert rig.stored(groups, 0) == groups.columns[0]


# --- finishing -----------------------------------------------------------------------------------


async def test_finish_is_refused_before_the_last_batch(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    await write(receiver, rig, groups, order, 0, 1, 2, 3)
    key = order.key_at(rig.secondary.address)
    with pytest.raises(InvalidInput, match="only 4 of 5 batches"):
        await receiver.finish(rig.secondary.address, key)
    await write(receiver, rig, groups, order, 4)
    await receiver.finish(rig.secondary.address, key)


async def test_finish_again_gives_the_same_receipt_even_after_a_restart(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    receipt = await take(receiver, rig, groups, order)
    key = order.key_at(rig.secondary.address)
    assert await receiver.finish(rig.secondary.address, key) == receipt
    await receiver.close()
    again = rig.start()
    assert await again.finish(rig.secondary.address, key) == receipt
    assert await again.open(rig.secondary.address, order) == groups.layout.batch_count


async def test_finished_group_is_on_record_with_its_checksums(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receipt = await take(rig.start(), rig, groups, groups.order(rig.secondary, 3))
    record = await rig.job_store.get_integrity(rig.secondary.address, groups.info.id, 3)
    assert record is not None
    assert len(record.piece_checksums) == 9
    assert record.signature == receipt.signature
    assert (await rig.leftovers())[1:] == ([], [])


async def test_finish_of_a_group_that_was_never_opened_is_refused(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    key = groups.order(rig.secondary, 0).key_at(rig.secondary.address)
    with pytest.raises(GroupNotOpen):
        await rig.start().finish(rig.secondary.address, key)


async def test_abort_after_finish_keeps_the_group(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await take(receiver, rig, groups, order)
    await receiver.abort(rig.secondary.address, order.key_at(rig.secondary.address))
    assert rig.stored(groups, 0) == groups.columns[0]


# --- restarts ------------------------------------------------------------------------------------


async def test_restarted_receiver_goes_on_after_the_last_acknowledged_batch(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    order = groups.order(rig.secondary, 0)
    first = rig.start()
    await first.open(rig.secondary.address, order)
    await write(first, rig, groups, order, 0, 1)
    second = rig.start()  # the first one is not closed: it was killed
    assert await second.open(rig.secondary.address, order) == 2
    await write(second, rig, groups, order, 2, 3, 4)
    await second.finish(rig.secondary.address, order.key_at(rig.secondary.address))
    assert rig.stored(groups, 0) == groups.columns[0]


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_is_left_of_another_object_with_the_id_is_not_continued(
    rig: ReceiverRig, groups: ObjectGroups, restarted: bool
) -> None:
    """The chain went back, and counts from there again: the same id, index and fence."""
    receiver = rig.start()
    await receiver.open(rig.secondary.address, groups.order(rig.secondary, 0))
    await write(receiver, rig, groups, groups.order(rig.secondary, 0), 0, 1)
    del rig.chain.objects["album", "photo.jpg"]
    other = put_object_on_chain(rig.chain, rig.primary, 9000, seed=2)
    assert other.info.id == groups.info.id
    if restarted:
        receiver = rig.start()
    order = other.order(rig.secondary, 0)
    assert await receiver.open(rig.secondary.address, order) == 0
    await take(receiver, rig, other, order)
    assert rig.stored(other, 0) == other.columns[0]


async def test_batch_needs_the_group_to_be_opened_again_after_a_restart(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    order = groups.order(rig.secondary, 0)
    await rig.start().open(rig.secondary.address, order)
    with pytest.raises(GroupNotOpen):
        await write(rig.start(), rig, groups, order, 0)


async def test_group_whose_bytes_are_gone_starts_from_nothing(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    order = groups.order(rig.secondary, 0)
    first = rig.start()
    await first.open(rig.secondary.address, order)
    await write(first, rig, groups, order, 0, 1)
    await first.close()
    rig.store.delete_unfinished(ColumnKey(groups.info.id, 0), LONE_WRITER)
    second = rig.start()
    assert await second.open(rig.secondary.address, order) == 0
    await write(second, rig, groups, order)
    await second.finish(rig.secondary.address, order.key_at(rig.secondary.address))
    assert rig.stored(groups, 0) == groups.columns[0]


async def test_group_whose_finished_column_is_gone_is_taken_again(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver = rig.start()
    first = await take(receiver, rig, groups, groups.order(rig.secondary, 0))
    rig.store.delete(ColumnKey(groups.info.id, 0))
    second = await take(receiver, rig, groups, groups.order(rig.secondary, 0, fence=Fence(1)))
    assert second == first
    assert rig.stored(groups, 0) == groups.columns[0]


async def test_only_so_many_groups_are_open_and_the_rest_are_set_aside(rig: ReceiverRig) -> None:
    receiver = rig.start(replace(IMPATIENT, max_open_groups=2))
    objects = [rig.put_object(4000, f"photo-{i}") for i in range(4)]
    orders = [groups.order(rig.secondary, 0) for groups in objects]
    for groups, order in zip(objects, orders, strict=True):
        await receiver.open(rig.secondary.address, order)
        await write(receiver, rig, groups, order, 0)
    for groups, order in zip(objects, orders, strict=True):
        assert await receiver.open(rig.secondary.address, order) == 1
        await write(receiver, rig, groups, order, 1)
        await receiver.finish(rig.secondary.address, order.key_at(rig.secondary.address))
        assert rig.stored(groups, 0) == groups.columns[0]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("redundancy_index", [-1, 6, 7])
async def test_redundancy_index_outside_the_object_is_refused(
    rig: ReceiverRig, groups: ObjectGroups, redundancy_index: int
) -> None:
    order = replace(groups.order(rig.secondary, 0), redundancy_index=redundancy_index)
    with pytest.raises(WrongRedundancyIndex):
        await rig.start().open(rig.secondary.address, order)
    assert await rig.leftovers() == NOTHING


async def test_sealed_object_takes_no_pieces(rig: ReceiverRig, groups: ObjectGroups) -> None:
    rig.chain.seal_object("album", "photo.jpg")
    with pytest.raises(WrongObjectStatus):
        await rig.start().open(rig.secondary.address, groups.order(rig.secondary, 0))
    assert await rig.leftovers() == NOTHING


async def test_object_that_differs_from_the_chain_is_refused(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    order = groups.order(rig.secondary, 0)
    rig.chain.objects["album", "photo.jpg"] = replace(groups.info, payload_size=8999)
    with pytest.raises(ApprovalError, match="payload_size differs"):
        await rig.start().open(rig.secondary.address, order)


async def test_provider_that_is_not_hosted_here_has_no_receiver(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    with pytest.raises(ComponentUnavailable):
        await rig.start().open(rig.primary.address, groups.order(rig.primary, 0))


async def test_group_of_another_provider_is_refused(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    with pytest.raises(InvalidInput, match="the group belongs to"):
        await receiver.abort(rig.other.address, order.key_at(rig.secondary.address))


async def test_group_cannot_change_its_batches_half_way(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    with pytest.raises(InvalidInput, match="segments per batch"):
        await receiver.open(rig.secondary.address, replace(order, batch_segments=3))


async def test_providers_in_one_process_share_nothing(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver = rig.start()
    for sp in (rig.secondary, rig.other):
        assert await receiver.open(sp.address, groups.order(sp, 0)) == 0
    receipts = []
    for sp in (rig.secondary, rig.other):
        key = groups.order(sp, 0).key_at(sp.address)
        for index, batch in enumerate(groups.batches(0)):
            await receiver.write_batch(sp.address, key, index, batch)
        receipts.append(await receiver.finish(sp.address, key))
        verify_receipt(receipts[-1], groups.info, sp.provider(), recover_signer)
    assert receipts[0].signature != receipts[1].signature


# --- a chain that is behind ----------------------------------------------------------------------


class ChainBehind(FakeChain):
    """``asked`` is released each time the chain is asked for an object by id."""

    def __init__(self) -> None:
        super().__init__(params=SMALL_SEGMENTS)
        self.asked = asyncio.Semaphore(0)

    async def head_object_by_id(self, object_id: int) -> ObjectInfo:
        self.asked.release()
        return await super().head_object_by_id(object_id)


async def test_object_that_the_chain_shows_a_few_blocks_later_is_taken(rig: ReceiverRig) -> None:
    chain = rig.chain = ChainBehind()
    groups = rig.put_object(9000)
    chain.objects.clear()
    opening = asyncio.create_task(
        rig.start().open(rig.secondary.address, groups.order(rig.secondary, 0))
    )
    await chain.asked.acquire()
    await chain.asked.acquire()
    chain.height += 1
    chain.objects["album", "photo.jpg"] = groups.info
    assert await opening == 0


async def test_object_that_no_block_brings_is_refused(rig: ReceiverRig) -> None:
    chain = rig.chain = ChainBehind()
    groups = rig.put_object(9000)
    chain.objects.clear()
    opening = asyncio.create_task(
        rig.start().open(rig.secondary.address, groups.order(rig.secondary, 0))
    )
    await chain.asked.acquire()
    await chain.asked.acquire()
    assert not opening.done()
    chain.height += 2
    with pytest.raises(NoSuchObject):
        await opening
    assert await rig.leftovers() == NOTHING


async def test_silent_chain_is_not_taken_for_a_missing_object(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    rig.chain.unavailable = True
    with pytest.raises(ChainUnavailable):
        await rig.start().open(rig.secondary.address, groups.order(rig.secondary, 0))


async def test_groups_of_one_object_that_open_together_ask_the_chain_once(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver = rig.start()
    orders = [groups.order(rig.secondary, r) for r in range(6)]
    await asyncio.gather(*(receiver.open(rig.secondary.address, order) for order in orders))
    assert rig.chain.calls.count("head_object_by_id") == 1


# --- sweeping ------------------------------------------------------------------------------------


async def test_sweep_removes_groups_that_stand_still_and_keeps_the_others(
    rig: ReceiverRig,
) -> None:
    receiver = rig.start()
    still, moving = rig.put_object(9000, "still"), rig.put_object(9000, "moving")
    for groups in (still, moving):
        await receiver.open(rig.secondary.address, groups.order(rig.secondary, 0))
        await write(receiver, rig, groups, groups.order(rig.secondary, 0), 0)
    rig.clock.now += 500
    await write(receiver, rig, moving, moving.order(rig.secondary, 0), 1)
    rig.clock.now += 501
    assert await receiver.sweep(1000.0) == 1
    finished, unfinished, rows = await rig.leftovers()
    assert finished == []
    assert unfinished == [(ColumnKey(moving.info.id, 0), 0)]
    assert [row.key.object_id for row in rows] == [moving.info.id]
    assert await receiver.open(rig.secondary.address, moving.order(rig.secondary, 0)) == 2


async def test_sweep_removes_superseded_fences(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver = rig.start()
    for fence in range(3):
        order = groups.order(rig.secondary, 0, fence=Fence(fence))
        await receiver.open(rig.secondary.address, order)
        await write(receiver, rig, groups, order, 0)
    assert await receiver.sweep(1000.0) == 2
    _, unfinished, rows = await rig.leftovers()
    assert unfinished == [(ColumnKey(groups.info.id, 0), 2)]
    assert [row.key.fence for row in rows] == [2]


async def test_sweep_removes_a_group_that_is_still_open_when_another_fence_was_finished(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    """Its primary has given it up: it did not answer in time."""
    receiver = rig.start()
    old, new = groups.order(rig.secondary, 0), groups.order(rig.secondary, 0, fence=Fence(1))
    await receiver.open(rig.secondary.address, old)
    await write(receiver, rig, groups, old, 0)
    await take(receiver, rig, groups, new)
    assert await receiver.sweep(1000.0) == 1
    assert await rig.leftovers() == ([ColumnKey(groups.info.id, 0)], [], [])
    assert rig.stored(groups, 0) == groups.columns[0]


async def test_sweep_removes_columns_without_a_group_but_not_an_upload(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    orphan, upload = ColumnKey(groups.info.id, 4), ColumnKey(groups.info.id, SEGMENTS)
    for column in (orphan, upload):
        rig.store.create(column, groups.layout).close()
    assert await rig.start().sweep(0.0) == 1
    assert list(rig.store.list_unfinished()) == [(upload, 0)]


async def test_sweep_never_touches_finished_groups(rig: ReceiverRig, groups: ObjectGroups) -> None:
    receiver = rig.start()
    await take(receiver, rig, groups, groups.order(rig.secondary, 0))
    rig.clock.now += 10**6
    assert await receiver.sweep(0.0) == 0
    assert rig.stored(groups, 0) == groups.columns[0]


async def test_older_fence_that_is_still_running_is_told_to_open_again(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver = rig.start()
    old, new = groups.order(rig.secondary, 0), groups.order(rig.secondary, 0, fence=Fence(1))
    await receiver.open(rig.secondary.address, old)
    await take(receiver, rig, groups, new)
    with pytest.raises(GroupNotOpen):
        await write(receiver, rig, groups, old, 0)
    assert await receiver.open(rig.secondary.address, old) == groups.layout.batch_count


async def test_a_finish_that_is_broken_off_keeps_what_was_acknowledged(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    key = groups.order(rig.secondary, 2).key_at(rig.secondary.address)
    store, _ = naughty_piece_store(
        rig.piece_stores[rig.secondary.address], {("finish", 1): asyncio.CancelledError()}
    )
    honest = rig.piece_stores[rig.secondary.address]
    rig.piece_stores[rig.secondary.address] = store
    receiver = rig.start()
    order = groups.order(rig.secondary, 2)
    await receiver.open(rig.secondary.address, order)
    await write(receiver, rig, groups, order)
    with pytest.raises(asyncio.CancelledError):
        await receiver.finish(rig.secondary.address, key)
    rig.piece_stores[rig.secondary.address] = honest
    later = rig.start()
    assert await later.open(rig.secondary.address, order) == groups.layout.batch_count
    receipt = await later.finish(rig.secondary.address, key)
    assert receipt.integrity_hash == groups.info.checksums[3]


# --- repairs -------------------------------------------------------------------------------------


async def _repair(
    receiver: Receiver, rig: ReceiverRig, groups: ObjectGroups, index: int
) -> GroupKey:
    return await receiver.begin_repair(
        rig.secondary.address, groups.info.id, index, groups.params, groups.batch_segments
    )


def _seal(rig: ReceiverRig, groups: ObjectGroups, index: int) -> None:
    """With ``secondary`` at this index, and the same stranger everywhere else."""
    holders = [rig.other.address] * rig.chain.params.n
    holders[index] = rig.secondary.address
    rig.chain.seal_object("album", groups.info.object_name, tuple(holders))


async def test_a_group_of_a_sealed_object_is_written_anew_beside_the_old_one(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver = rig.start()
    receipt = await take(receiver, rig, groups, groups.order(rig.secondary, 1))
    _seal(rig, groups, 1)
    key = await _repair(receiver, rig, groups, 1)
    batches = groups.batches(1)
    for number, batch in enumerate(batches):
        await receiver.write_batch(rig.secondary.address, key, number, batch)
        assert rig.stored(groups, 1) == groups.columns[1]
    assert await receiver.finish(rig.secondary.address, key) == receipt
    columns, unfinished, rows = await rig.leftovers()
    assert (columns, unfinished, rows) == ([ColumnKey(groups.info.id, 1)], [], [])


async def test_a_repair_that_was_left_is_superseded_by_the_next_and_swept(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    _seal(rig, groups, 1)
    receiver = rig.start()
    left = await _repair(receiver, rig, groups, 1)
    await receiver.write_batch(rig.secondary.address, left, 0, groups.batches(1)[0])
    rig.clock.now += 1.0
    receiver = rig.start()
    key = await _repair(receiver, rig, groups, 1)
    assert key.fence > left.fence
    for number, batch in enumerate(groups.batches(1)):
        await receiver.write_batch(rig.secondary.address, key, number, batch)
    await receiver.finish(rig.secondary.address, key)
    await receiver.sweep(3600.0)
    columns, unfinished, rows = await rig.leftovers()
    assert (columns, unfinished, rows) == ([ColumnKey(groups.info.id, 1)], [], [])
    assert rig.stored(groups, 1) == groups.columns[1]


async def test_only_the_holder_of_a_sealed_group_repairs_it(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver = rig.start()
    with pytest.raises(WrongObjectStatus):
        await _repair(receiver, rig, groups, 1)
    _seal(rig, groups, 1)
    with pytest.raises(WrongRedundancyIndex):
        await _repair(receiver, rig, groups, 2)
    assert await rig.leftovers() == NOTHING


async def test_who_gives_way_to_uploads_is_told_of_batches(
    rig: ReceiverRig, groups: ObjectGroups
) -> None:
    receiver, order = rig.start(), groups.order(rig.secondary, 0)
    await receiver.open(rig.secondary.address, order)
    assert not rig.uploads.is_flowing
    await write(receiver, rig, groups, order, 0)
    assert rig.uploads.is_flowing
