"""TransactionSender and RpcChainClient against the embedded chain: real blocks, real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.crypto import address_of, sign_bytes
from greenray.chain.dialects import get_dialect, get_local_dialect, v0_2
from greenray.chain.local.ledger.genesis import Genesis, GenesisProvider, build_genesis
from greenray.chain.local.mempool import Mempool, MempoolLimits
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.signing import SignedTransaction, sign_transaction
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import (
    ChainUnavailable,
    InsufficientFunds,
    InvalidInput,
    NoSuchAccount,
    NoSuchObject,
    TransactionFailed,
    TransactionLost,
    TransactionRefused,
)
from greenray.protocol.objects import ObjectStatus, RedundancyType, Visibility
from tests.support.chain_hand import set_balance
from tests.support.local_chain import Approved, genesis_provider
from tests.support.movable_endpoint import MovableEndpoint

PUBLIC = Visibility.VISIBILITY_TYPE_PUBLIC_READ


def _key(name: str) -> bytes:
    return sha256(name.encode()).digest()


def _provider(index: int) -> GenesisProvider:
    return genesis_provider(
        lambda role: address_of(_key(f"sp-{index}-{role}")), f"http://127.0.0.1:{9000 + index}"
    )


@dataclass(frozen=True)
class World:
    chain: RpcChainClient
    user: TransactionSender

    def sender(self, name: str, **options: Any) -> TransactionSender:
        return TransactionSender(self.chain, get_dialect(), _key(name), **options)

    async def approve(self, message: Approved, validity_blocks: int = 100) -> Approved:
        """What the primary SP's gateway does."""
        height = await self.chain.latest_height() + validity_blocks
        unsigned = v0_2.with_approval(message, height, b"")
        text = v0_2.approval_sign_bytes(unsigned)
        return v0_2.with_approval(message, height, sign_bytes(_key("sp-0-approval"), text))

    def bucket(self, name: str) -> Any:
        primary = address_of(_key("sp-0-operator"))
        return v0_2.create_bucket_message(self.user.address, name, primary, PUBLIC)

    def object(self, bucket_name: str, name: str) -> Any:
        return v0_2.create_object_message(
            self.user.address,
            bucket_name,
            name,
            payload_size=5,
            visibility=Visibility.VISIBILITY_TYPE_INHERIT,
            content_type="text/plain",
            expect_checksums=[sha256(bytes([i])).digest() for i in range(7)],
            redundancy_type=RedundancyType.REDUNDANCY_EC_TYPE,
        )


def genesis_of_users(*users: str) -> Genesis:
    return build_genesis(
        [_provider(i) for i in range(7)],
        [address_of(_key(u)) for u in users],
        fixed_gas=get_local_dialect().fixed_gas,
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    genesis = genesis_of_users("alice", "bob")
    async with running_chain(
        tmp_path, port=0, local_dialect=get_local_dialect(), genesis=genesis, block_interval_s=0.05
    ) as running:
        client = RpcChainClient(running.endpoint)
        sender = TransactionSender(client, get_dialect(), _key("alice"), poll_interval_s=0.02)
        yield World(client, sender)
        await client.close()


async def test_user_creates_a_bucket_and_an_object_and_takes_it_back(world: World) -> None:
    assert await world.user.create_bucket(await world.approve(world.bucket("my-bucket"))) == 1
    bucket = await world.chain.head_bucket("my-bucket")
    assert (bucket.owner, bucket.visibility) == (world.user.address, PUBLIC)

    name = "dir/hëllo <a>&b 中.txt"
    message = await world.approve(world.object("my-bucket", name))
    object_id = await world.user.create_object(message)
    info = await world.chain.head_object("my-bucket", name)
    assert info.id == object_id
    assert info.object_status is ObjectStatus.OBJECT_STATUS_CREATED
    assert info.checksums == message.expect_checksums
    assert await world.chain.head_object_by_id(object_id) == info

    result = await world.user.cancel_create_object("my-bucket", name)
    assert (await world.chain.transaction(result.tx_hash)) == result
    with pytest.raises(NoSuchObject):
        await world.chain.head_object("my-bucket", name)


async def test_transactions_of_one_sender_are_counted_without_gaps(world: World) -> None:
    names = [f"bucket-{i}" for i in range(4)]
    messages = [await world.approve(world.bucket(name)) for name in names]
    await asyncio.gather(*(world.user.create_bucket(message) for message in messages))
    assert (await world.chain.account(world.user.address)).sequence == len(names)


async def transfer(sender: TransactionSender, recipient: str, amount: int) -> None:
    await sender.send(v0_2.MsgSend(sender.address, recipient, (v0_2.Coin("BNB", amount),)))


async def test_two_senders_of_one_account_agree_on_the_sequence(world: World) -> None:
    """Another program uses the account: the node names the sequence that it expects."""
    other = world.sender("alice", poll_interval_s=0.02)
    to_bob = address_of(_key("bob"))
    await asyncio.gather(transfer(world.user, to_bob, 1), transfer(other, to_bob, 2))
    assert (await world.chain.account(world.user.address)).sequence == 2


async def test_a_new_account_exists_once_it_has_received_something(world: World) -> None:
    carol = world.sender("carol", poll_interval_s=0.02)
    with pytest.raises(NoSuchAccount):
        await transfer(carol, world.user.address, 1)
    await transfer(world.user, carol.address, 10**18)
    await transfer(carol, world.user.address, 10**17)


async def test_what_the_chain_would_not_look_at_is_refused_at_once(world: World) -> None:
    with pytest.raises(InvalidInput, match="Bucket name contains invalid characters"):
        await world.user.send(world.bucket("Not-A-Bucket"))


async def test_a_refused_simulation_costs_nothing(world: World) -> None:
    unapproved = world.bucket("my-bucket")
    with pytest.raises(TransactionRefused, match="signature"):
        await world.user.send(unapproved)
    with pytest.raises(TransactionRefused, match="No such bucket"):
        await world.user.cancel_create_object("no-such-bucket", "x")
    assert (await world.chain.account(world.user.address)).sequence == 0


async def test_a_transaction_that_fails_in_its_block_says_why(world: World) -> None:
    """Both pass CheckTx; the second one finds the bucket of the first."""
    message = await world.approve(world.bucket("my-bucket"))
    bob_message = await world.approve(
        replace(world.bucket("my-bucket"), creator=address_of(_key("bob")))
    )
    bob = world.sender("bob", poll_interval_s=0.02)
    outcomes = await asyncio.gather(
        world.user.create_bucket(message), bob.create_bucket(bob_message), return_exceptions=True
    )
    failed = [o for o in outcomes if isinstance(o, TransactionRefused)]
    assert len(failed) == 1
    assert "Bucket already exists" in failed[0].what
    if isinstance(failed[0], TransactionFailed):
        assert (failed[0].codespace, failed[0].code) == ("storage", 1104)


async def test_a_transaction_past_its_timeout_height_is_lost(world: World) -> None:
    never_sent = sign_transaction(
        get_dialect(),
        v0_2.MsgSend(world.user.address, address_of(_key("bob")), (v0_2.Coin("BNB", 1),)),
        private_key=_key("alice"),
        chain_id=await world.chain.chain_id(),
        account_number=0,
        sequence=0,
        gas_limit=1200,
        fee_amount=6_000_000_000_000,
        timeout_height=1,
    )
    with pytest.raises(TransactionLost, match="Send it again"):
        await world.user.wait(never_sent)


async def test_a_chain_that_makes_no_blocks_is_not_waited_for_for_ever(world: World) -> None:
    times = iter([0.0, 50.0, 121.0])
    patient = world.sender("alice", inclusion_timeout_s=120.0, clock=lambda: next(times))
    never_sent = SignedTransaction(b"", "AB" * 32, 0, timeout_height=0)
    with pytest.raises(ChainUnavailable, match="no block after 120 s"):
        await patient.wait(never_sent)


async def test_no_repr_of_a_sender_shows_its_key(world: World) -> None:
    assert _key("alice").hex() not in repr(world.user)
    assert repr(world.user) == f"TransactionSender({world.user.address})"


# --- until its fate is decided -------------------------------------------------------------------


@asynccontextmanager
async def slow_chain(
    home: Path, endpoint: MovableEndpoint
) -> AsyncIterator[tuple[RunningChain, TransactionSender]]:
    """A chain that makes blocks when it is told to, behind ``endpoint``, and alice's sender."""
    async with running_chain(
        home,
        port=0,
        local_dialect=get_local_dialect(),
        genesis=genesis_of_users("alice"),
        block_interval_s=3600.0,
    ) as running:
        endpoint.move_to(running.endpoint)
        chain = RpcChainClient(endpoint.url)
        sender = TransactionSender(chain, get_dialect(), _key("alice"), poll_interval_s=0.005)
        yield running, sender
        await chain.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[MovableEndpoint]:
    async with MovableEndpoint.open() as endpoint:
        yield endpoint


async def until_queued(running: RunningChain) -> None:
    while True:
        if running.node.mempool:
            return
        await asyncio.sleep(0.002)


async def test_a_chain_that_was_killed_gets_the_same_bytes_again(
    tmp_path: Path, endpoint: MovableEndpoint
) -> None:
    async with slow_chain(tmp_path, endpoint) as (first, sender):
        sending = asyncio.create_task(transfer(sender, sender.address, 1))
        await until_queued(first)
        [queued] = first.node.mempool.take()
        endpoint.move_to("http://127.0.0.1:1")  # nobody is there
    async with slow_chain(tmp_path, endpoint) as (second, _):
        # Its mempool is empty. What the sender has signed is what comes again.
        await until_queued(second)
        second.node.make_block()
        await sending
        assert second.node.app.database.transaction(sha256(queued).digest()) is not None
        assert second.node.app.head.height == 2


async def test_a_mempool_that_forgot_gets_the_same_bytes_again(
    tmp_path: Path, endpoint: MovableEndpoint
) -> None:
    async with slow_chain(tmp_path, endpoint) as (running, sender):
        sending = asyncio.create_task(transfer(sender, sender.address, 1))
        await until_queued(running)
        running.node.mempool = Mempool(running.node.app, MempoolLimits())
        running.node.app.reset_check_state()
        while not running.node.mempool:
            running.node.make_block()
            await asyncio.sleep(0.005)
        running.node.make_block()
        await sending


async def test_a_transaction_whose_sequence_another_has_used_is_made_anew(
    tmp_path: Path, endpoint: MovableEndpoint
) -> None:
    async with slow_chain(tmp_path, endpoint) as (running, sender):
        sending = asyncio.create_task(transfer(sender, sender.address, 1))
        await until_queued(running)
        running.node.mempool = Mempool(running.node.app, MempoolLimits())
        running.node.app.reset_check_state()
        chain = RpcChainClient(running.endpoint)
        other = TransactionSender(chain, get_dialect(), _key("alice"), poll_interval_s=0.005)
        others = asyncio.create_task(transfer(other, sender.address, 2))
        while not (sending.done() and others.done()):
            running.node.make_block()
            await asyncio.sleep(0.005)
        await asyncio.gather(sending, others)
        assert (await chain.account(sender.address)).sequence == 2
        await chain.close()


async def test_an_account_that_cannot_pay_is_told_before_anything_is_sent(
    tmp_path: Path, endpoint: MovableEndpoint
) -> None:
    async with slow_chain(tmp_path, endpoint) as (running, sender):
        set_balance(running, sender.address, 10**9)
        with pytest.raises(InsufficientFunds, match="has 1000000000 of the") as caught:
            await transfer(sender, sender.address, 1)
        assert sender.address in str(caught.value)
        assert not running.node.mempool
        set_balance(running, sender.address, 10**18)
        sending = asyncio.create_task(transfer(sender, sender.address, 1))
        await until_queued(running)
        running.node.make_block()
        await sending
