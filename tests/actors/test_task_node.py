"""The upload path without Ray: every actor class, a real chain, real HTTP, real stores."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from greenray.actors.ports import ReceiverPort
from greenray.actors.replication.settings import ReplicationSettings
from greenray.client.storage_client import WaitFor
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import StorageProvider
from greenray.storage.ports import ColumnKey
from tests.support.faulty_secondaries import (
    DyingReceiver,
    HangingReceiver,
    LyingReceiver,
    PassingReceiver,
)
from tests.support.whole_network import SEGMENT_SIZE_BYTES, Decorate, WholeNetwork, whole_network

BATCHES_3 = random.Random(3).randbytes(SEGMENT_SIZE_BYTES * 9 + 777)
TINY = b"hello"


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        yield network


@pytest.fixture
async def network_of_nine(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path, sps=9) as network:
        yield network


def is_sealed(status: Mapping[str, Any]) -> bool:
    return bool(status["state"] == "SEAL_OBJECT_DONE")


@pytest.mark.parametrize("payload", [TINY, BATCHES_3], ids=["5 bytes", "three batches"])
@pytest.mark.parametrize("replica", [False, True], ids=["EC", "replica"])
async def test_a_payload_goes_in_and_a_sealed_object_comes_out(
    network: WholeNetwork, payload: bytes, replica: bool
) -> None:
    await network.start()
    status = await network.put(payload, replica=replica)
    assert is_sealed(status)
    assert [s["redundancy_index"] for s in status["secondaries"]] == list(range(6))
    assert len({s["operator_address"] for s in status["secondaries"]} - {network.primary}) == 6
    assert await network.get() == payload
    [seal] = await network.seal_transactions()
    assert seal["hash"] == status["seal_tx_hash"]
    assert seal["tx_result"]["code"] == 0


async def test_every_state_of_the_specification_is_recorded_in_order(
    network: WholeNetwork,
) -> None:
    await network.start()
    status = await network.put(TINY)
    assert [entry["state"] for entry in status["history"]] == [
        "INIT_UNSPECIFIED",
        "UPLOAD_OBJECT_DOING",
        "UPLOAD_OBJECT_DONE",
        "REPLICATE_OBJECT_DOING",
        "REPLICATE_OBJECT_DONE",
        "SIGN_OBJECT_DOING",
        "SIGN_OBJECT_DONE",
        "SEAL_OBJECT_TX_DOING",
        "SEAL_OBJECT_DONE",
    ]


async def test_put_answers_while_the_task_node_is_stopped_and_the_object_seals_later(
    network: WholeNetwork,
) -> None:
    await network.start(task_node=False)
    status = await network.put(BATCHES_3, wait=WaitFor.UPLOADED)
    assert status["state"] == "UPLOAD_OBJECT_DONE"
    network.start_task_node()
    assert await network.wait_until(is_sealed)
    assert await network.get() == BATCHES_3


async def test_columns_that_were_all_dropped_are_read_from_the_piece_store(
    network: WholeNetwork,
) -> None:
    network.cold = True
    await network.start()
    assert is_sealed(await network.put(BATCHES_3))
    assert await network.get() == BATCHES_3


async def test_secondaries_hold_exactly_their_column(network: WholeNetwork) -> None:
    await network.start()
    status = await network.put(BATCHES_3)
    for secondary in status["secondaries"]:
        store = network.piece_store(secondary["operator_address"])
        key = ColumnKey(status["object_id"], secondary["redundancy_index"])
        assert list(store.list_columns()) == [key]
    assert list(network.piece_store(network.primary).list_columns()) == [
        ColumnKey(status["object_id"], SEGMENTS)
    ]


Misbehave = Callable[[ReceiverPort], ReceiverPort]


def faulty_at(victim: str, make: Misbehave) -> Decorate:
    def decorate(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        return make(receiver) if sp_address == victim else receiver

    return decorate


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda honest: LyingReceiver(honest), "secondary-lied"),
        (lambda honest: HangingReceiver(honest, "write_batch"), "secondary-timeout"),
        (lambda honest: HangingReceiver(honest, "open"), "secondary-timeout"),
        (lambda honest: HangingReceiver(honest, "finish"), "secondary-timeout"),
    ],
    ids=["lies", "hangs in a batch", "hangs at open", "hangs at finish"],
)
async def test_a_faulty_secondary_is_replaced_by_a_spare_and_named(
    network_of_nine: WholeNetwork, make: Misbehave, reason: str
) -> None:
    network = network_of_nine
    victim = network.sps[3].address
    network.replication = ReplicationSettings(batch_timeout_s=1.5)
    network.decorate = faulty_at(victim, make)
    await network.start()
    status = await network.put(BATCHES_3)
    assert is_sealed(status)
    assert victim not in {s["operator_address"] for s in status["secondaries"]}
    assert {(r["operator_address"], r["reason"]) for r in status["replaced"]} <= {(victim, reason)}
    assert await network.get() == BATCHES_3
    used = {s["operator_address"] for s in status["secondaries"]}
    assert len(used) == 6
    assert network.primary not in used


async def test_with_seven_sps_a_missing_secondary_leads_to_a_timed_retry(
    network: WholeNetwork,
) -> None:
    class Away:
        """One SP does not answer approval requests until it is brought back."""

        def __init__(self) -> None:
            self.back = False
            self.p2p: Any = None

        async def request_approval(self, provider: StorageProvider, message: bytes) -> Any:
            if provider.operator_address == network.sps[4].address and not self.back:
                return None
            return await self.p2p.answer(provider.operator_address, message)

    away = Away()
    network.transport = away
    await network.start(task_node=False)
    away.p2p = network.live.p2p
    network.start_task_node()
    await network.put(TINY, wait=WaitFor.UPLOADED)
    status = await network.wait_until(lambda s: s["state"] == "REPLICATE_OBJECT_ERROR")
    assert status["error"]["reason"] == "too-few-approvals"
    assert network.sps[4].address in status["error"]["message"]
    assert status["error"]["retryable"]
    away.back = True
    status = await network.wait_until(is_sealed)
    assert status["attempt"] >= 1


async def test_with_seven_sps_a_dead_secondary_is_tried_again_until_it_is_back(
    network: WholeNetwork,
) -> None:
    victim = network.sps[2].address
    dead: list[DyingReceiver] = []

    def decorate(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        if sp_address != victim:
            return receiver
        dead.append(DyingReceiver(receiver, "write_batch", 1))
        return dead[-1]

    network.decorate = decorate
    network.replication = ReplicationSettings(batch_timeout_s=0.5)
    await network.start()
    await network.put(BATCHES_3, wait=WaitFor.UPLOADED)
    status = await network.wait_until(lambda s: s["state"] == "REPLICATE_OBJECT_ERROR")
    assert {r["operator_address"] for r in status["replaced"]} == {victim}
    await network.kill()
    network.decorate = lambda sp_address, receiver: receiver
    await network.start()
    status = await network.wait_until(is_sealed)
    assert await network.get() == BATCHES_3
    assert len(await network.seal_transactions()) == 1


async def test_a_segment_that_rotted_in_the_primary_is_named_and_no_secondary_is_blamed(
    network: WholeNetwork,
) -> None:
    network.cold = True
    await network.start(task_node=False)
    status = await network.put(BATCHES_3, wait=WaitFor.UPLOADED)
    [stored] = [
        path
        for path in (network.folder / "pieces" / network.primary.lower()).rglob("*")
        if path.is_file() and path.stat().st_size == len(BATCHES_3)
    ]
    with stored.open("r+b") as file:
        file.seek(6 * SEGMENT_SIZE_BYTES + 1)
        file.write(bytes([BATCHES_3[6 * SEGMENT_SIZE_BYTES + 1] ^ 1]))
    network.start_task_node()
    status = await network.wait_until(lambda s: s["final"])
    assert status["state"] == "REPLICATE_OBJECT_ERROR"
    assert status["error"]["reason"] == "corrupt-piece"
    assert f"{status['object_id']}_s6" in status["error"]["message"]
    assert await network.seal_transactions() == []


async def test_a_payload_whose_disk_is_away_waits_for_it_and_no_secondary_is_blamed(
    network: WholeNetwork,
) -> None:
    network.cold = True
    await network.start(task_node=False)
    await network.put(BATCHES_3, wait=WaitFor.UPLOADED)
    columns = network.folder / "pieces" / network.primary.lower() / "columns"
    columns.rename(columns.with_name("away"))
    network.start_task_node()
    status = await network.wait_until(lambda s: s["attempt"] >= 1 and s["error"])
    assert status["state"] == "REPLICATE_OBJECT_ERROR"
    assert status["error"]["reason"] == "segments-unreadable"
    assert status["replaced"] == []
    assert not status["final"]
    columns.with_name("away").rename(columns)
    assert await network.wait_until(is_sealed)
    assert await network.get() == BATCHES_3


async def test_many_objects_at_once_are_all_sealed_once(network: WholeNetwork) -> None:
    import asyncio

    await network.start()
    await network.put(TINY, "first")  # makes the bucket
    payloads = {f"object-{i}": random.Random(i).randbytes(1000 + i) for i in range(12)}
    async with network.client() as client:
        del client
    for name, payload in payloads.items():
        await network.put(payload, name, wait=WaitFor.UPLOADED)
    await asyncio.gather(*(network.wait_until(is_sealed, name) for name in payloads))
    for name, payload in payloads.items():
        assert await network.get(name) == payload
    assert len(await network.seal_transactions()) == len(payloads) + 1


async def test_a_receiver_gets_each_batch_once(network: WholeNetwork) -> None:
    seen: dict[str, PassingReceiver] = {}

    def decorate(sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        seen[sp_address] = PassingReceiver(receiver)
        return seen[sp_address]

    network.decorate = decorate
    await network.start()
    await network.put(BATCHES_3)
    for receiver in seen.values():
        assert len(receiver.batches) == len(set(receiver.batches))
    assert sum(len(r.batches) for r in seen.values()) == 6 * 3
