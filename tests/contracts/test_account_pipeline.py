"""Many transactions of one account at a time, against the embedded chain: none is lost, none comes
twice, whoever else sends with the same key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from greenray.chain import wire
from greenray.chain.crypto import address_of, sign_bytes
from greenray.chain.dialects import Message, get_dialect, get_local_dialect, v0_2
from greenray.chain.local.mempool import Mempool, MempoolLimits
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.signing import unsigned_for_simulation
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import ComponentUnavailable, InsufficientFunds, TransactionRefused
from greenray.protocol.objects import Visibility
from tests.support.chain_hand import set_balance
from tests.support.dropping_mempool import DroppingMempool
from tests.support.sps import SpKeys, test_key
from tests.support.whole_network import genesis_of

ALICE, BOB = test_key("alice"), test_key("bob")
SP = SpKeys.numbered(0)

pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def program(endpoint: str, key: bytes = ALICE) -> AsyncIterator[TransactionSender]:
    """One that sends with a key of its own accord."""
    chain = RpcChainClient(endpoint)
    sender = TransactionSender(chain, get_dialect(), key, poll_interval_s=0.02)
    try:
        yield sender
    finally:
        await sender.close()
        await chain.close()


async def transfer(sender: TransactionSender, amount: int) -> None:
    await sender.send(v0_2.MsgSend(sender.address, address_of(BOB), (v0_2.Coin("BNB", amount),)))


async def transfer_all(sender: TransactionSender, amounts: range) -> None:
    await asyncio.gather(*(transfer(sender, amount) for amount in amounts))


@dataclass
class World:
    running: RunningChain
    chain: RpcChainClient
    alice: TransactionSender
    bobs_balance_before: int

    async def check_done_once(self, amounts: range) -> None:
        """As many transactions as transfers, and bob has got the sum."""
        assert (await self.chain.account(self.alice.address)).sequence == len(amounts)
        balance = await self.chain.balance(address_of(BOB))
        assert balance - self.bobs_balance_before == sum(amounts)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    genesis = genesis_of([SpKeys.numbered(i) for i in range(7)], [*map(address_of, (ALICE, BOB))])
    async with (
        running_chain(
            tmp_path,
            port=0,
            local_dialect=get_local_dialect(),
            genesis=genesis,
            block_interval_s=0.05,
        ) as running,
        program(running.endpoint) as alice,
    ):
        chain = RpcChainClient(running.endpoint)
        yield World(running, chain, alice, await chain.balance(address_of(BOB)))
        await chain.close()


async def test_many_share_their_blocks(world: World) -> None:
    first = await world.chain.latest_height()
    await transfer_all(world.alice, range(1, 201))
    await world.check_done_once(range(1, 201))
    # One after the other they would need a block each.
    assert await world.chain.latest_height() - first < 200


async def test_eight_programs_with_one_key_in_threads_of_their_own(world: World) -> None:
    def run(amounts: range) -> None:
        async def work() -> None:
            async with program(world.running.endpoint) as sender:
                await transfer_all(sender, amounts)

        asyncio.run(work())

    await asyncio.gather(
        *(asyncio.to_thread(run, range(1 + 20 * i, 21 + 20 * i)) for i in range(8))
    )
    await world.check_done_once(range(1, 161))


async def test_what_a_node_loses_is_sent_again(world: World) -> None:
    mempool = world.running.node.mempool = DroppingMempool(world.running.node, every=10)
    await transfer_all(world.alice, range(1, 201))
    await world.check_done_once(range(1, 201))
    assert mempool.dropped >= 20


async def test_two_programs_at_a_node_that_loses_transactions(world: World) -> None:
    world.running.node.mempool = DroppingMempool(world.running.node, every=10)
    async with program(world.running.endpoint) as other:
        await asyncio.gather(
            transfer_all(world.alice, range(1, 61)), transfer_all(other, range(61, 121))
        )
    await world.check_done_once(range(1, 121))


async def test_a_full_mempool_is_waited_for(world: World) -> None:
    world.running.node.mempool = Mempool(world.running.node.app, MempoolLimits(size=7))
    await transfer_all(world.alice, range(1, 51))
    await world.check_done_once(range(1, 51))


async def test_one_that_is_refused_does_not_hold_up_those_behind_it(world: World) -> None:
    """Its signer has no such coins: the node's first check does not see it, the block does."""
    bad = v0_2.MsgSend(world.alice.address, address_of(BOB), (v0_2.Coin("BNB", 10**40),))
    outcomes = await asyncio.gather(
        transfer_all(world.alice, range(1, 21)),
        world.alice.send(bad),
        transfer_all(world.alice, range(21, 41)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome] == [InsufficientFunds]
    balance = await world.chain.balance(address_of(BOB))
    assert balance - world.bobs_balance_before == sum(range(1, 41))


async def test_an_account_that_runs_empty_says_so_of_all_that_are_left(world: World) -> None:
    fee = (await world.chain.simulate(_unsigned(world.alice))).fee_amount
    set_balance(world.running, world.alice.address, 10 * (fee + 1))
    outcomes = await asyncio.gather(
        *(transfer(world.alice, 1) for _ in range(20)), return_exceptions=True
    )
    assert outcomes.count(None) == 10
    assert sum(isinstance(outcome, InsufficientFunds) for outcome in outcomes) == 10


def _unsigned(sender: TransactionSender) -> bytes:
    message = v0_2.MsgSend(sender.address, address_of(BOB), (v0_2.Coin("BNB", 1),))
    return unsigned_for_simulation(get_dialect(), message, bytes([2]) + bytes(32), 0)


async def test_who_is_closed_tells_those_that_wait(world: World) -> None:
    sending = asyncio.create_task(transfer(world.alice, 1))
    await asyncio.sleep(0)
    await world.alice.close()
    with pytest.raises(ComponentUnavailable, match="the client was closed"):
        await sending


# --- approvals -----------------------------------------------------------------------------------


class Approver:
    """Approves buckets of alice. The first ``stale`` approvals are too old when they are used."""

    def __init__(self, world: World, stale: int) -> None:
        self._world = world
        self._stale = stale
        self.asked = 0

    async def approve(self, bucket_name: str) -> Message:
        self.asked += 1
        height = await self._world.chain.latest_height()
        expired_height = 1 if self.asked <= self._stale else height + 100
        message = v0_2.create_bucket_message(
            self._world.alice.address,
            bucket_name,
            SP.address,
            Visibility.VISIBILITY_TYPE_PRIVATE,
        )
        unsigned = v0_2.with_approval(message, expired_height, b"")
        signature = sign_bytes(SP.approval, v0_2.approval_sign_bytes(unsigned))
        return v0_2.with_approval(message, expired_height, signature)


@pytest.mark.parametrize("beside", [0, 5], ids=["alone", "beside-others"])
async def test_an_approval_that_has_expired_is_asked_for_again(world: World, beside: int) -> None:
    """Alone it is refused by the simulation, beside others by a block."""
    approver = Approver(world, stale=2)
    fine = Approver(world, stale=0)
    await world.alice.send_approved(lambda: fine.approve("first-of-its-kind"))
    names = [f"beside-{number}" for number in range(beside)]
    others = [world.alice.send_approved(partial(fine.approve, name)) for name in names]
    await asyncio.gather(*others, world.alice.send_approved(lambda: approver.approve("my-bucket")))
    assert (await world.chain.head_bucket("my-bucket")).owner == world.alice.address
    assert approver.asked == 3


async def test_an_approval_that_is_always_too_old_is_told(world: World) -> None:
    approver = Approver(world, stale=100)
    with pytest.raises(TransactionRefused, match="approval of sp is expired"):
        await world.alice.send_approved(lambda: approver.approve("my-bucket"))


# --- one message for each ------------------------------------------------------------------------


async def test_the_chain_takes_one_message_in_a_transaction(world: World) -> None:
    """So objects are created by a transaction each."""
    raw = wire.tx.TxRaw.FromString(_unsigned(world.alice))
    body = wire.tx.TxBody.FromString(raw.body_bytes)
    body.messages.add().CopyFrom(body.messages[0])
    raw.body_bytes = body.SerializeToString()
    with pytest.raises(TransactionRefused, match="Only one msg is allowed"):
        await world.chain.simulate(raw.SerializeToString())
