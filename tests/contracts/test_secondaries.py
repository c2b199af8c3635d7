"""The contract of the secondary port, in the cluster and over HTTP to a real Gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.downloader.actor import Downloader
from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.gateway.server import Binding, Gateway
from greenray.actors.ports import ColumnRef, GroupOrder, ReceiverPort, SecondaryClient
from greenray.actors.replication.secondaries import Directory
from greenray.actors.replication.settings import HttpSettings, InClusterSettings
from greenray.actors.uploader.actor import Uploader
from greenray.chain.dialects import get_dialect
from greenray.cluster.in_process import LocalSpace
from greenray.coding.codec import get_codec
from greenray.protocol.errors import ComponentUnavailable, InvalidInput, SecondaryFailed
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.job import JobContext
from greenray.storage.ports import Fence, GroupKey
from tests.contracts.secondary_contract import SecondaryContract
from tests.support.faulty_secondaries import DyingReceiver, NoPieces, PassingReceiver
from tests.support.receiver_rig import NOTHING, ReceiverRig
from tests.support.sps import KeySigner


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ReceiverRig]:
    rig = ReceiverRig.create(tmp_path)
    yield rig
    await rig.close()


class TestInCluster(SecondaryContract):
    async def connect(
        self, rig: ReceiverRig, receiver: ReceiverPort, timeout_s: float = 30.0
    ) -> SecondaryClient:
        settings = InClusterSettings(timeout_s, restart_wait_s=0.0)
        directory = Directory({rig.secondary.address: receiver}, LocalSpace(), in_cluster=settings)
        return directory.client(rig.secondary.provider())

    async def settle(self) -> None:
        """Calls are answered when they are done."""

    async def test_acknowledged_batches_are_not_sent_again(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        order, batches = groups.order(rig.secondary, 0), groups.batches(0)
        receiver = PassingReceiver(rig.start())
        first = await (await self.connect(rig, receiver)).open(order)
        await first.write_batch(0, batches[0])
        await first.write_batch(1, batches[1])
        await self.send(await self.connect(rig, receiver), order, batches)
        assert receiver.batches == [(0, index) for index in range(len(batches))]
        assert rig.stored(groups, 0) == groups.columns[0]

    async def test_restarted_receiver_is_not_noticed(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        batches = groups.batches(0)
        moving = _Restarting(rig)
        group = await (await self.connect(rig, moving)).open(groups.order(rig.secondary, 0))
        for index, batch in enumerate(batches):
            await moving.restart()
            await group.write_batch(index, batch)
        await moving.restart()
        receipt = await group.finish()
        await moving.restart()
        assert await group.finish() == receipt
        assert rig.stored(groups, 0) == groups.columns[0]

    async def test_batch_whose_answer_was_lost_is_stored_once(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        losing = _AnswerLost(rig.start())
        receipt = await self.send(
            await self.connect(rig, losing), groups.order(rig.secondary, 0), groups.batches(0)
        )
        assert receipt.integrity_hash == groups.info.checksums[1]
        assert losing.batches == [(0, index) for index in range(len(groups.batches(0)))]

    async def test_receiver_that_comes_back_in_time_is_waited_for(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(500)
        dying = DyingReceiver(rig.start(), "open")
        settings = InClusterSettings(30.0, restart_wait_s=30.0, restart_poll_s=0.001)
        directory = Directory({rig.secondary.address: dying}, LocalSpace(), in_cluster=settings)
        client = directory.client(rig.secondary.provider())
        opening = asyncio.create_task(client.open(groups.order(rig.secondary, 0)))
        await dying.died.wait()
        dying.revive()
        assert (await opening).batches_acknowledged == 0

    async def test_secondary_that_lost_acknowledged_bytes_has_failed(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(9000)
        batches = groups.batches(0)
        moving = _Restarting(rig)
        group = await (await self.connect(rig, moving)).open(groups.order(rig.secondary, 0))
        await group.write_batch(0, batches[0])
        await moving.restart()
        for column, fence in list(rig.store.list_unfinished()):
            rig.store.delete_unfinished(column, fence)
        with pytest.raises(SecondaryFailed, match="lost"):
            await group.write_batch(1, batches[1])


class TestInClusterAsAWhole(SecondaryContract):
    """Small groups are sent in one call."""

    async def connect(
        self, rig: ReceiverRig, receiver: ReceiverPort, timeout_s: float = 30.0
    ) -> SecondaryClient:
        settings = InClusterSettings(timeout_s, restart_wait_s=0.0, whole_group_bytes=64 * 1024)
        directory = Directory({rig.secondary.address: receiver}, LocalSpace(), in_cluster=settings)
        return directory.client(rig.secondary.provider())

    async def settle(self) -> None:
        """Calls are answered when they are done."""

    async def test_nothing_is_asked_before_the_group_is_there(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(500)
        receiver = PassingReceiver(rig.start())
        group = await (await self.connect(rig, receiver)).open(groups.order(rig.secondary, 0))
        await group.write_batch(0, groups.batches(0)[0])
        assert receiver.opened == []
        assert await rig.leftovers() == NOTHING
        await group.finish()
        assert rig.stored(groups, 0) == groups.columns[0]

    async def test_a_group_of_several_batches_is_acknowledged_batch_by_batch(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(9000)
        receiver = PassingReceiver(rig.start())
        group = await (await self.connect(rig, receiver)).open(groups.order(rig.secondary, 0))
        await group.write_batch(0, groups.batches(0)[0])
        assert group.batches_acknowledged == 1
        assert receiver.batches == [(0, 0)]

    async def test_a_group_whose_answer_was_lost_is_vouched_for_again(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(500)
        receiver = rig.start()
        order, column = groups.order(rig.secondary, 0), groups.batches(0)[0]
        first = await receiver.hold_group(rig.secondary.address, order, column)
        restarted = rig.start()
        again = await restarted.hold_group(
            rig.secondary.address, replace(order, fence=Fence(1)), column
        )
        assert again == first
        assert (await rig.leftovers())[1:] == ([], [])

    async def test_a_group_that_was_begun_in_batches_can_be_sent_as_a_whole(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(500)
        receiver = rig.start()
        order, column = groups.order(rig.secondary, 0), groups.batches(0)[0]
        await receiver.open(rig.secondary.address, order)
        await receiver.hold_group(rig.secondary.address, order, column)
        assert rig.stored(groups, 0) == groups.columns[0]
        assert (await rig.leftovers())[1:] == ([], [])


class TestHttp(SecondaryContract):
    @pytest.fixture(autouse=True)
    async def _gateways(self, rig: ReceiverRig) -> AsyncIterator[None]:
        self._open: list[Gateway | Uploader | Downloader | Directory] = []
        self._watched: list[_Watched] = []
        yield
        for part in reversed(self._open):
            await part.close()

    async def connect(
        self, rig: ReceiverRig, receiver: ReceiverPort, timeout_s: float = 30.0
    ) -> SecondaryClient:
        watched = _Watched(receiver)
        uploader = Uploader(
            job_store=rig.job_store,
            piece_stores=rig.piece_stores,
            object_space=LocalSpace(),
            signer=KeySigner([]),
            waker=_NoWork(),
            owner="test",
        )
        downloader = Downloader(
            chain=rig.chain,
            job_store=rig.job_store,
            piece_stores=rig.piece_stores,
            pieces=NoPieces(),
            codec=get_codec,
            records=RecordMaker(rig.job_store, KeySigner([]), get_dialect()),
        )
        gateway = Gateway(
            bindings=[Binding(rig.secondary.address)],
            chain=rig.chain,
            uploader=uploader,
            downloader=downloader,
            job_store=rig.job_store,
            ledger=rig.job_store,
            user_keys=rig.job_store,
            signer=KeySigner([]),
            dialect=get_dialect(),
            receiver=watched,
        )
        await gateway.start()
        directory = Directory({}, LocalSpace(), http=HttpSettings(idle_timeout_s=timeout_s))
        self._open += [uploader, downloader, gateway, directory]
        self._watched.append(watched)
        endpoint = f"http://127.0.0.1:{gateway.port(rig.secondary.address)}"
        return directory.client(rig.secondary.provider(endpoint))

    async def settle(self) -> None:
        for watched in self._watched:
            await watched.idle.wait()

    async def test_nothing_is_acknowledged_before_the_end(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        client = await self.connect(rig, rig.start())
        group = await client.open(groups.order(rig.secondary, 0))
        await group.write_batch(0, groups.batches(0)[0])
        assert group.batches_acknowledged == 0
        await group.abort()
        await self.settle()

    async def test_batches_go_in_order(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(9000)
        client = await self.connect(rig, rig.start())
        group = await client.open(groups.order(rig.secondary, 0))
        with pytest.raises(InvalidInput, match="batch 1 came where batch 0 belongs"):
            await group.write_batch(1, groups.batches(0)[1])
        await group.abort()

    async def test_closed_port_is_a_failed_secondary(self, rig: ReceiverRig) -> None:
        groups = rig.put_object(500)
        directory = Directory({}, LocalSpace())
        self._open.append(directory)
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        client = directory.client(rig.secondary.provider(f"http://127.0.0.1:{port}"))
        with pytest.raises(SecondaryFailed, match="connection failed"):
            await self.send(client, groups.order(rig.secondary, 0), groups.batches(0))

    async def test_endpoint_that_is_no_address_is_a_failed_secondary(
        self, rig: ReceiverRig
    ) -> None:
        groups = rig.put_object(500)
        directory = Directory({}, LocalSpace())
        self._open.append(directory)
        client = directory.client(rig.secondary.provider("http://[broken"))
        with pytest.raises(SecondaryFailed):
            await self.send(client, groups.order(rig.secondary, 0), groups.batches(0))


class _Restarting(PassingReceiver):
    """A Receiver whose process can be restarted: each call goes to the newest one."""

    def __init__(self, rig: ReceiverRig) -> None:
        self._rig = rig
        self._newest = rig.start()
        super().__init__(self._newest)

    async def restart(self) -> None:
        await self._newest.close()
        self.honest = self._newest = self._rig.start()


class _AnswerLost(PassingReceiver):
    """Does everything, but its process dies before it can answer a batch."""

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        await super().write_batch(sp_address, key, batch_index, column)
        raise ComponentUnavailable("the process is gone", "test")


class _Watched(PassingReceiver):
    """``idle`` is set while no group is open."""

    def __init__(self, honest: ReceiverPort) -> None:
        super().__init__(honest)
        self.idle = asyncio.Event()
        self.idle.set()
        self._busy: set[GroupKey] = set()

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        acknowledged = await super().open(sp_address, order)
        index, fence = order.redundancy_index, order.fence
        self._busy.add(GroupKey(sp_address, order.object_info.id, index, fence))
        self.idle.clear()
        return acknowledged

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        receipt = await super().finish(sp_address, key)
        self._ended(key)
        return receipt

    async def abort(self, sp_address: str, key: GroupKey) -> None:
        try:
            await super().abort(sp_address, key)
        finally:
            self._ended(key)

    def _ended(self, key: GroupKey) -> None:
        self._busy.discard(key)
        if not self._busy:
            self.idle.set()


class _NoWork:
    async def wake(self) -> None:
        """Nobody waits for uploads here."""

    async def follow_upload(self, job: JobContext) -> None:
        """Nobody waits for uploads here."""
