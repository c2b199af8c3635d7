"""A secondary leaves service, or rotates its approval key, between its receipt and the seal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.ports import SealerPort, SealOrder, SealOutcome, SealTicket
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect, v0_2
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.objects import ProviderStatus
from tests.support.chain_hand import set_provider_status
from tests.support.sps import SpKeys, test_key
from tests.support.whole_network import WholeNetwork, whole_network, write_keys

PAYLOAD = bytes(range(256)) * 100
INDEX = 2

pytestmark = pytest.mark.timeout(120)

Action = Callable[[SealOrder], Awaitable[None]]


class Interposed(SealerPort):
    """Does something between the receipts and the seal, once for each name."""

    def __init__(self, sealer: SealerPort, actions: dict[str, Action]) -> None:
        self._sealer = sealer
        self._actions = actions

    async def submit_seal(self, order: SealOrder) -> SealTicket:
        action = self._actions.pop(order.object_info.object_name, None)
        if action is not None:
            await action(order)
        return await self._sealer.submit_seal(order)

    async def watch_seal(self, order: SealOrder, timeout_s: float) -> SealOutcome:
        return await self._sealer.watch_seal(order, timeout_s)

    async def reject_seal(self, order: SealOrder) -> None:
        await self._sealer.reject_seal(order)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    """With a spare: eight storage providers."""
    async with whole_network(tmp_path, sps=8) as network:
        yield network


def interpose(network: WholeNetwork, **actions: Action) -> None:
    network.decorate_sealer = lambda sealer: Interposed(sealer, actions)


def holder_of(order: SealOrder) -> str:
    return order.secondaries[INDEX].operator_address


async def change_approval_address(network: WholeNetwork, sp: SpKeys, address: str) -> None:
    """As the operator does it."""
    chain = RpcChainClient(network.chain.endpoint, get_dialect())
    sender = TransactionSender(chain, get_dialect(), sp.operator, poll_interval_s=0.02)
    await sender.send(v0_2.MsgEditStorageProvider(sp.address, approval_address=address))
    await chain.close()


def keys_of(network: WholeNetwork, sp_address: str) -> SpKeys:
    return next(sp for sp in network.sps if sp.address == sp_address)


async def rotate(network: WholeNetwork, sp_address: str, *, tell_the_signer: bool) -> None:
    sp = keys_of(network, sp_address)
    rotated = replace(sp, approval=test_key("the next approval key"))
    if tell_the_signer:
        network.sps[network.sps.index(sp)] = rotated
        write_keys(network.folder, network.sps)
        network.live.build("signer")
    await change_approval_address(network, sp, address_of(rotated.approval))


async def results(network: WholeNetwork) -> list[int]:
    """Codes of all seal transactions in blocks, in their order."""
    found = await network.seal_transactions()
    return [transaction["tx_result"]["code"] for transaction in found]


async def test_one_that_rotates_its_key_makes_another_receipt(network: WholeNetwork) -> None:
    before: list[str] = []

    async def action(order: SealOrder) -> None:
        before.append(holder_of(order))
        await rotate(network, holder_of(order), tell_the_signer=True)

    interpose(network, photo=action)
    await network.start()
    status = await network.put(PAYLOAD, "photo")
    assert status["state"] == "SEAL_OBJECT_DONE"
    assert [status["secondaries"][INDEX]["operator_address"]] == before
    assert status["replaced"] == []
    assert await network.get("photo") == PAYLOAD


async def test_one_that_cannot_sign_with_its_new_key_is_replaced(network: WholeNetwork) -> None:
    before: list[str] = []

    async def action(order: SealOrder) -> None:
        before.append(holder_of(order))
        await rotate(network, holder_of(order), tell_the_signer=False)

    interpose(network, photo=action)
    await network.start()
    status = await network.put(PAYLOAD, "photo")
    assert status["state"] == "SEAL_OBJECT_DONE"
    assert status["secondaries"][INDEX]["operator_address"] not in before
    [replaced] = status["replaced"]
    assert (replaced["operator_address"], replaced["reason"]) == (before[0], "secondary-lied")
    assert await results(network) == [0]


async def test_one_that_leaves_service_is_replaced_although_a_seal_has_failed(
    network: WholeNetwork,
) -> None:
    """Its gas is known from an earlier seal, so nothing is simulated: the block refuses it."""
    before: list[str] = []

    async def action(order: SealOrder) -> None:
        before.append(holder_of(order))
        set_provider_status(network.chain, holder_of(order), ProviderStatus.STATUS_IN_JAILED)

    interpose(network, second=action)
    await network.start()
    await network.put(PAYLOAD, "first")
    status = await network.put(PAYLOAD, "second")
    assert status["state"] == "SEAL_OBJECT_DONE"
    assert status["secondaries"][INDEX]["operator_address"] not in before
    [replaced] = status["replaced"]
    assert replaced["operator_address"] == before[0]
    assert replaced["reason"] == "secondary-out-of-service"
    assert (await results(network))[-1] == 0
    assert await network.get("second") == PAYLOAD


async def test_one_that_has_left_service_is_not_asked_for_the_next_object(
    network: WholeNetwork,
) -> None:
    await network.start()
    gone = network.sps[3].address
    set_provider_status(network.chain, gone, ProviderStatus.STATUS_GRACEFUL_EXITING)
    network.live.build("p2p")  # as one that has not asked for providers yet
    status = await network.put(PAYLOAD, "photo")
    assert gone not in {entry["operator_address"] for entry in status["secondaries"]}
    assert status["replaced"] == []
