"""Batches go out while the payload still arrives, and whatever breaks then costs nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from greenray.actors.ports import ColumnRef, GroupOrder, ReceiverPort
from greenray.actors.replication.settings import InClusterSettings
from greenray.protocol.errors import ComponentUnavailable, GreenrayError, UnreadableFile
from greenray.protocol.job import JobState
from greenray.storage.ports import GroupKey, GroupRow
from tests.support.faulty_secondaries import PassingReceiver
from tests.support.gated_file import GatedFile
from tests.support.whole_network import SEGMENT_SIZE_BYTES, WholeNetwork, whole_network

T = TypeVar("T")

PAYLOAD = random.Random(11).randbytes(SEGMENT_SIZE_BYTES * 13 + 100)
BATCH_BYTES = SEGMENT_SIZE_BYTES * 4
BATCHES = 4
INDICES = 6


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        yield network


def is_sealed(status: Mapping[str, Any]) -> bool:
    return bool(status["state"] == JobState.SEAL_OBJECT_DONE.name)


def watch_batches(network: WholeNetwork) -> dict[str, PassingReceiver]:
    sent: dict[str, PassingReceiver] = {}

    def decorate(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        sent[sp_address] = PassingReceiver(receiver)
        return sent[sp_address]

    network.decorate = decorate
    return sent


async def groups(network: WholeNetwork) -> list[GroupRow]:
    """What the secondaries hold unfinished."""
    store = network.live.job_store
    return [row for sp in network.sps for row in await store.list_groups(sp.address)]


async def until(look: Callable[[], Awaitable[T]], *, reached: Callable[[T], bool]) -> None:
    while True:
        if reached(await look()):
            return
        await asyncio.sleep(0.01)


async def until_sent_ahead(network: WholeNetwork, batches: int) -> None:
    def all_have_them(rows: list[GroupRow]) -> bool:
        return [row.batches_acknowledged for row in rows] == [batches] * INDICES

    await until(lambda: groups(network), reached=all_have_them)


def put(network: WholeNetwork, file: GatedFile) -> asyncio.Task[Mapping[str, Any]]:
    return asyncio.create_task(network.put(file))


@pytest.mark.parametrize("cold", [False, True], ids=["hot", "read back from disk"])
async def test_batches_are_with_the_secondaries_before_the_payload_is_complete(
    network: WholeNetwork, cold: bool
) -> None:
    network.cold = cold
    sent = watch_batches(network)
    await network.start()
    file = GatedFile(PAYLOAD, 2 * BATCH_BYTES)
    uploading = put(network, file)
    await until_sent_ahead(network, 2)
    file.open_gate()
    assert is_sealed(await uploading)
    assert await network.get() == PAYLOAD
    came = [batch for receiver in sent.values() for batch in receiver.batches]
    assert sorted(came) == [(index, batch) for index in range(INDICES) for batch in range(BATCHES)]


@pytest.mark.parametrize("cold", [False, True], ids=["hot", "read back from disk"])
async def test_columns_leave_the_object_space_as_soon_as_all_secondaries_have_them(
    network: WholeNetwork, cold: bool
) -> None:
    network.cold = cold

    async def columns_in_use() -> int:
        return network.space.columns_in_use()

    await network.start()
    file = GatedFile(PAYLOAD, 2 * BATCH_BYTES)
    uploading = put(network, file)
    await until_sent_ahead(network, 2)
    # Only what nobody has asked for is left: the uploader keeps it hot, although all is read back.
    kept = 2 * 4 if cold else 0
    await until(columns_in_use, reached=lambda columns: columns == kept)
    file.open_gate()
    assert is_sealed(await uploading)


async def test_nothing_is_recorded_or_finished_before_the_payload_is_complete(
    network: WholeNetwork,
) -> None:
    await network.start()
    file = GatedFile(PAYLOAD, len(PAYLOAD) - 1)
    uploading = put(network, file)
    await until_sent_ahead(network, BATCHES - 1)
    [row] = await network.live.job_store.list_jobs()
    assert row.state is JobState.UPLOAD_OBJECT_DOING
    assert len(row.approvals) == INDICES
    assert row.secondaries == ()
    for sp in network.sps:
        assert list(network.piece_store(sp.address).list_columns()) == []
    file.open_gate()
    assert is_sealed(await uploading)


async def test_what_was_sent_ahead_is_forgotten_when_the_upload_fails(
    network: WholeNetwork,
) -> None:
    await network.start()
    file = GatedFile(PAYLOAD, 2 * BATCH_BYTES)
    uploading = put(network, file)
    await until_sent_ahead(network, 2)
    file.break_off()
    with pytest.raises(UnreadableFile):
        await uploading
    await until(lambda: groups(network), reached=lambda rows: not rows)
    for sp in network.sps:
        assert list(network.piece_store(sp.address).list_unfinished()) == []
    assert is_sealed(await network.put(PAYLOAD))
    assert await network.get() == PAYLOAD


class _OpensWhenToldTo(PassingReceiver):
    """Opens no group before it is told to."""

    def __init__(self, honest: ReceiverPort, told: asyncio.Event) -> None:
        super().__init__(honest)
        self._told = told
        self.asked = 0

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        self.asked += 1
        # The call goes on at the secondary when its caller has gone away.
        return await asyncio.shield(asyncio.ensure_future(self._open(sp_address, order)))

    async def _open(self, sp_address: str, order: GroupOrder) -> int:
        await self._told.wait()
        return await super().open(sp_address, order)


async def test_groups_that_were_being_opened_are_forgotten_too_when_the_upload_fails(
    network: WholeNetwork,
) -> None:
    told = asyncio.Event()
    secondaries: list[_OpensWhenToldTo] = []

    def decorate(_: str, receiver: ReceiverPort) -> ReceiverPort:
        secondaries.append(_OpensWhenToldTo(receiver, told))
        return secondaries[-1]

    network.decorate = decorate
    await network.start()
    file = GatedFile(PAYLOAD, 2 * BATCH_BYTES)
    uploading = put(network, file)

    async def opening_and_aborted() -> tuple[int, int]:
        return sum(s.asked for s in secondaries), sum(len(s.aborted) for s in secondaries)

    await until(opening_and_aborted, reached=lambda counts: counts == (INDICES, 0))
    file.break_off()
    with pytest.raises(UnreadableFile):
        await uploading
    await asyncio.sleep(0.05)
    told.set()
    await until(opening_and_aborted, reached=lambda counts: counts == (INDICES, INDICES))
    assert await groups(network) == []
    for sp in network.sps:
        assert list(network.piece_store(sp.address).list_unfinished()) == []


async def test_another_payload_that_was_sent_ahead_never_gets_into_the_object(
    network: WholeNetwork,
) -> None:
    """The client hashes one payload and sends another of the same size."""
    await network.start()
    file = GatedFile(PAYLOAD, 1)
    uploading = put(network, file)
    await until(network.live.job_store.list_jobs, reached=bool)
    file.seek(0)
    file.write(bytes(len(PAYLOAD)))
    file.seek(1)
    file.open_gate()
    with pytest.raises(GreenrayError, match="integrity"):
        await uploading
    assert is_sealed(await network.put(PAYLOAD))
    assert await network.get() == PAYLOAD


class _DiesWithTheFirstColumn(PassingReceiver):
    """Gone for good once it is sent batch 1 of redundancy index 0."""

    def __init__(self, honest: ReceiverPort, died: asyncio.Event) -> None:
        super().__init__(honest)
        self._died = died
        self._is_gone = False

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        self._check()
        return await super().open(sp_address, order)

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        if (key.redundancy_index, batch_index) == (0, 1) and not self._died.is_set():
            self._died.set()
            self._is_gone = True
        self._check()
        await super().write_batch(sp_address, key, batch_index, column)

    def _check(self) -> None:
        if self._is_gone:
            raise ComponentUnavailable("the receiver's process is gone", "test")


async def test_a_secondary_that_dies_during_the_upload_is_replaced_after_it(
    tmp_path: Path,
) -> None:
    async with whole_network(tmp_path, sps=8) as network:
        died = asyncio.Event()
        network.decorate = lambda _, receiver: _DiesWithTheFirstColumn(receiver, died)
        network.in_cluster = InClusterSettings(restart_wait_s=0.2, restart_poll_s=0.05)
        await network.start()
        file = GatedFile(PAYLOAD, 3 * BATCH_BYTES)
        uploading = put(network, file)
        await died.wait()
        file.open_gate()
        status = await uploading
        assert is_sealed(status)
        assert [r["redundancy_index"] for r in status["replaced"]] == [0]
        assert await network.get() == PAYLOAD


async def test_a_task_node_that_dies_during_the_upload_costs_no_batch_twice(
    network: WholeNetwork,
) -> None:
    sent = watch_batches(network)
    await network.start()
    file = GatedFile(PAYLOAD, 2 * BATCH_BYTES)
    uploading = put(network, file)
    await until_sent_ahead(network, 2)
    await network.restart_task_node()
    file.open_gate()
    assert is_sealed(await uploading)
    came = [batch for receiver in sent.values() for batch in receiver.batches]
    assert sorted(came) == [(index, batch) for index in range(INDICES) for batch in range(BATCHES)]


async def _crash_after(commits: int, folder: Path) -> bool:
    """Whether the journal had that many writes from the beginning of the upload to the seal."""
    async with whole_network(folder) as network:
        network.freeze_after(commits)
        await network.start()
        uploading = asyncio.create_task(network.put(PAYLOAD))
        frozen = asyncio.create_task(network.frozen.wait())
        await asyncio.wait({uploading, frozen}, return_when=asyncio.FIRST_COMPLETED)
        crashed = network.frozen.is_set()
        uploading.cancel()
        await asyncio.wait([uploading])
        await network.kill()

        sent = watch_batches(network)
        await network.start(task_node=False)
        held = {
            (row.key.sp_address, row.key.redundancy_index, row.key.fence): row
            for row in await groups(network)
        }
        network.start_task_node()
        [job] = await network.live.job_store.list_jobs() or [None]
        if job is None or job.state in (JobState.UPLOAD_OBJECT_DOING, JobState.UPLOAD_OBJECT_ERROR):
            await network.put(PAYLOAD)
        status = await network.wait_until(is_sealed)

        assert [s["redundancy_index"] for s in status["secondaries"]] == list(range(INDICES))
        assert await network.get() == PAYLOAD
        [seal] = await network.seal_transactions()
        assert seal["tx_result"]["code"] == 0
        rounds = {order.fence for r in sent.values() for order in r.opened}
        again = {
            (sp_address, index, batch)
            for sp_address, receiver in sent.items()
            for index, batch in receiver.batches
            for fence in rounds
            if (row := held.get((sp_address, index, fence))) and batch < row.batches_acknowledged
        }
        assert again == set()
        return crashed


@pytest.mark.timeout(300)
async def test_the_object_is_sealed_once_whichever_journal_write_during_the_upload_was_the_last(
    tmp_path: Path,
) -> None:
    commits = 1
    while await _crash_after(commits, tmp_path / str(commits)):
        commits += 1
    # At least: begin, approvals, the batches sent ahead, and what follows the upload.
    assert commits > 12
