"""What every way to a secondary must do, whatever carries the bytes."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import pytest

from greenray.actors.ports import Column, GroupOrder, ReceiverPort, SecondaryClient, SecondaryGroup
from greenray.chain.crypto import recover_signer
from greenray.protocol.errors import (
    ApprovalError,
    GreenrayError,
    PayloadSizeMismatch,
    SecondaryFailed,
    SecondaryLied,
    SecondaryTimeout,
)
from greenray.protocol.integrity import UnverifiedReceipt, verify_receipt
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import Fence
from tests.support.faulty_secondaries import (
    DyingReceiver,
    HangingReceiver,
    LyingReceiver,
    PassingReceiver,
    SlowReceiver,
)
from tests.support.groups import NOW, approve, corrupted
from tests.support.receiver_rig import NOTHING, ReceiverRig

BIG_BATCHES = StorageParams(max_segment_size_bytes=4 * 1024 * 1024)


class SecondaryContract:
    """Subclasses say how a client reaches a receiver; ``rig`` is a fixture of theirs."""

    @abstractmethod
    async def connect(
        self, rig: ReceiverRig, receiver: ReceiverPort, timeout_s: float = 30.0
    ) -> SecondaryClient:
        """A client of ``rig.secondary`` whose calls end in ``receiver``."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until the receiving side has nothing to do any more."""

    async def send(
        self, client: SecondaryClient, order: GroupOrder, batches: Sequence[Column]
    ) -> UnverifiedReceipt:
        """Send a whole group; give it up when anything goes wrong, as a primary does."""
        group = await client.open(order)
        try:
            return await _stream(group, batches)
        except GreenrayError:
            await group.abort()
            await self.settle()
            raise

    @pytest.mark.parametrize("payload_size", [1, 5, 1024, 1025, 4096, 9 * 1024 + 7])
    async def test_secondary_stores_every_byte_and_vouches_for_it(
        self, rig: ReceiverRig, payload_size: int
    ) -> None:
        groups = rig.put_object(payload_size)
        client = await self.connect(rig, rig.start())
        receipt = await self.send(client, groups.order(rig.secondary, 3), groups.batches(3))
        assert rig.stored(groups, 3) == groups.columns[3]
        verify_receipt(receipt, groups.info, rig.secondary.provider(), recover_signer)
        assert receipt.redundancy_index == 3

    async def test_secondary_takes_whole_segments_of_a_replica_object(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(5000, replica=True)
        client = await self.connect(rig, rig.start())
        receipt = await self.send(client, groups.order(rig.secondary, 5), groups.batches(5))
        assert len(rig.stored(groups, 5)) == 5000
        assert rig.stored(groups, 5) == groups.columns[5]
        verify_receipt(receipt, groups.info, rig.secondary.provider(), recover_signer)

    @pytest.mark.parametrize("object_name", ["dir/héllo <a>&b 中.txt", "emoji 🦄/\u2028", 'q"\\'])
    async def test_secondary_takes_objects_of_any_name(
        self, rig: ReceiverRig, object_name: str
    ) -> None:
        groups = rig.put_object(2000, object_name)
        client = await self.connect(rig, rig.start())
        receipt = await self.send(client, groups.order(rig.secondary, 0), groups.batches(0))
        verify_receipt(receipt, groups.info, rig.secondary.provider(), recover_signer)

    async def test_many_groups_are_taken_at_the_same_time(self, rig: ReceiverRig) -> None:
        objects = [rig.put_object(6000 + i, f"photo-{i}") for i in range(8)]
        client = await self.connect(rig, rig.start())
        await asyncio.gather(
            *(
                self.send(client, groups.order(rig.secondary, i % 6), groups.batches(i % 6))
                for i, groups in enumerate(objects)
            )
        )
        for i, groups in enumerate(objects):
            assert rig.stored(groups, i % 6) == groups.columns[i % 6]

    async def test_secondary_refuses_an_expired_approval_and_stores_nothing(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        order = groups.order(rig.secondary, 0, expired_time=NOW - 1)
        with pytest.raises(ApprovalError):
            await self.send(client, order, groups.batches(0))
        assert await rig.leftovers() == NOTHING

    async def test_approval_is_still_valid_in_its_last_second(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        order = groups.order(rig.secondary, 0, expired_time=NOW)
        await self.send(client, order, groups.batches(0))

    async def test_secondary_refuses_an_approval_of_another_provider(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        foreign = replace(groups.order(rig.secondary, 0), approval=approve(rig.other, groups.info))
        with pytest.raises(ApprovalError):
            await self.send(client, foreign, groups.batches(0))
        assert await rig.leftovers() == NOTHING

    async def test_secondary_refuses_an_approval_that_another_key_signed(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        signature = approve(rig.other, groups.info).signature
        order = groups.order(rig.secondary, 0)
        forged = replace(order, approval=replace(order.approval, signature=signature))
        with pytest.raises(ApprovalError):
            await self.send(client, forged, groups.batches(0))
        assert await rig.leftovers() == NOTHING

    async def test_secondary_refuses_an_approval_for_another_object(self, rig: ReceiverRig) -> None:
        groups, another = rig.put_object(5000), rig.put_object(5000, "another.jpg")
        client = await self.connect(rig, rig.start())
        order = replace(
            groups.order(rig.secondary, 0), approval=approve(rig.secondary, another.info)
        )
        with pytest.raises(ApprovalError):
            await self.send(client, order, groups.batches(0))
        assert await rig.leftovers() == NOTHING

    async def test_corrupt_column_is_refused_and_nothing_is_left(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        with pytest.raises(GreenrayError) as failure:
            await self.send(client, groups.order(rig.secondary, 2), corrupted(groups.batches(2)))
        assert failure.value.reason in ("integrity-hash-mismatch", "secondary-failed")
        assert await rig.leftovers() == NOTHING

    async def test_group_is_taken_after_a_corrupt_one_was_refused(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        order = groups.order(rig.secondary, 2)
        with pytest.raises(GreenrayError):
            await self.send(client, order, corrupted(groups.batches(2)))
        await self.send(client, order, groups.batches(2))
        assert rig.stored(groups, 2) == groups.columns[2]

    async def test_batch_of_another_size_is_not_sent(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        short = [groups.batches(0)[0][:-1]]
        with pytest.raises(PayloadSizeMismatch):
            await self.send(client, groups.order(rig.secondary, 0), short)
        assert await rig.leftovers() == NOTHING

    async def test_aborted_group_leaves_nothing(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        client = await self.connect(rig, rig.start())
        group = await client.open(groups.order(rig.secondary, 0))
        await group.write_batch(0, groups.batches(0)[0])
        await group.abort()
        await group.abort()
        await self.settle()
        assert await rig.leftovers() == NOTHING

    async def test_group_that_is_sent_again_gets_the_same_receipt(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(5000)
        client = await self.connect(rig, rig.start())
        order = groups.order(rig.secondary, 1)
        first = await self.send(client, order, groups.batches(1))
        again = await self.send(client, replace(order, fence=Fence(1)), groups.batches(1))
        assert again == first
        assert rig.stored(groups, 1) == groups.columns[1]
        assert (await rig.leftovers())[1:] == ([], [])

    @pytest.mark.parametrize("step", ["open", "write_batch", "finish"])
    async def test_dead_secondary_is_said_to_have_failed(self, rig: ReceiverRig, step: str) -> None:
        groups = rig.put_object(9000)
        client = await self.connect(rig, DyingReceiver(rig.start(), step), timeout_s=5.0)
        with pytest.raises(SecondaryFailed):
            await self.send(client, groups.order(rig.secondary, 0), groups.batches(0))

    @pytest.mark.parametrize("step", ["open", "write_batch", "finish"])
    async def test_silent_secondary_times_out(self, rig: ReceiverRig, step: str) -> None:
        groups = rig.put_object(500)
        hanging = HangingReceiver(rig.start(), step)
        client = await self.connect(rig, hanging, timeout_s=0.3)
        with pytest.raises(SecondaryTimeout):
            await _open_and_stream(client, groups.order(rig.secondary, 0), groups.batches(0))
        assert hanging.reached.is_set()
        hanging.released.set()

    @pytest.mark.parametrize("about", ["hash", "signature", "length"])
    async def test_untrue_receipt_does_not_verify(self, rig: ReceiverRig, about: str) -> None:
        groups = rig.put_object(500)
        client = await self.connect(rig, LyingReceiver(rig.start(), about))
        receipt = await self.send(client, groups.order(rig.secondary, 0), groups.batches(0))
        with pytest.raises(SecondaryLied):
            verify_receipt(receipt, groups.info, rig.secondary.provider(), recover_signer)

    async def test_slow_secondary_slows_its_sender(self, rig: ReceiverRig) -> None:
        """Whenever the sender stands still, the secondary may take one more batch; the sender
        never gets further ahead than buffers of a few batches allow."""
        rig.chain.params = BIG_BATCHES
        groups = rig.put_object(32 * BIG_BATCHES.max_segment_size_bytes)
        slow = SlowReceiver(rig.start())
        client = await self.connect(rig, slow)
        sent, furthest_ahead, moved = 0, 0, asyncio.Event()

        async def send() -> UnverifiedReceipt:
            nonlocal sent
            group = await client.open(groups.order(rig.secondary, 0))
            for index, batch in enumerate(groups.batches(0)):
                await group.write_batch(index, batch)
                sent += 1
                moved.set()
            return await group.finish()

        sending = asyncio.create_task(send())
        for taken in range(groups.layout.batch_count):
            await _stand_still(moved)
            furthest_ahead = max(furthest_ahead, sent - taken)
            slow.grant()
        await sending
        assert groups.layout.batch_count == 16
        assert furthest_ahead <= 10
        assert rig.stored(groups, 0) == groups.columns[0]

    async def test_sender_sends_no_batch_twice(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        passing = PassingReceiver(rig.start())
        client = await self.connect(rig, passing)
        await self.send(client, groups.order(rig.secondary, 4), groups.batches(4))
        assert len(passing.batches) == len(set(passing.batches))


async def _stream(group: SecondaryGroup, batches: Sequence[Column]) -> UnverifiedReceipt:
    for index, batch in enumerate(batches):
        if index >= group.batches_acknowledged:
            await group.write_batch(index, batch)
    return await group.finish()


async def _open_and_stream(
    client: SecondaryClient, order: GroupOrder, batches: Sequence[Column]
) -> UnverifiedReceipt:
    return await _stream(await client.open(order), batches)


async def _stand_still(moved: asyncio.Event) -> None:
    """Return when nothing has moved for a moment."""
    while True:
        moved.clear()
        try:
            await asyncio.wait_for(moved.wait(), 0.1)
        except TimeoutError:
            return
