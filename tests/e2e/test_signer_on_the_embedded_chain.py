"""The Signer against the embedded chain's own process: real CheckTx, real blocks, real kills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.actors.signer.actor import Signer
from greenray.chain import crypto
from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.ledger.genesis import GenesisProvider, build_genesis
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.signing import SignedTransaction, sign_transaction
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import NoSuchObject
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.objects import ObjectStatus, Visibility
from tests.support.chain_process import ChainProcess
from tests.support.seal_world import SealWorld, order_of

USER_KEY = b"\x77" * 32
USER = crypto.address_of(USER_KEY)
FAR_HEIGHT = 10_000
GAS_PRICE = 5_000_000_000


@pytest.fixture
def world(tmp_path: Path) -> SealWorld:
    return SealWorld.open(tmp_path)


@pytest.fixture
def process(tmp_path: Path, world: SealWorld) -> ChainProcess:
    providers = [
        GenesisProvider(
            p.operator_address,
            p.funding_address,
            p.seal_address,
            p.approval_address,
            p.gc_address,
            f"http://127.0.0.1:{9033 + index}",
            moniker=f"sp{index}",
        )
        for index, p in enumerate(world.chain.providers)
    ]
    genesis = build_genesis(providers, [USER], fixed_gas=get_local_dialect().fixed_gas)
    return ChainProcess(tmp_path, genesis, block_interval_s=0.3)


@pytest.fixture
async def chain(process: ChainProcess) -> AsyncIterator[RpcChainClient]:
    process.start()
    client = RpcChainClient(process.endpoint)
    yield client
    await client.close()
    process.stop()


async def create_jobs(world: SealWorld, chain: RpcChainClient, count: int) -> list[JobContext]:
    """Objects that the user creates on chain, and jobs that wait for their seals."""
    approver = world.primary.approval
    bucket = dialect.MsgCreateBucket(
        USER,
        "bucket",
        Visibility.VISIBILITY_TYPE_PRIVATE,
        world.sp_address,
        dialect.SpApproval(FAR_HEIGHT),
    )
    sign_bytes = dialect.approval_sign_bytes(bucket)
    approved = dialect.with_approval(bucket, FAR_HEIGHT, crypto.sign_bytes(approver, sign_bytes))
    sender = TransactionSender(chain, get_dialect(), USER_KEY)
    await sender.create_bucket(approved)
    account = await chain.account(USER)
    sent = []
    for number in range(count):
        info = world.create_object(f"object-{number}")
        message = dialect.MsgCreateObject(
            USER,
            info.bucket_name,
            info.object_name,
            info.payload_size,
            info.visibility,
            info.content_type,
            dialect.SpApproval(FAR_HEIGHT),
            info.checksums,
        )
        sign_bytes = dialect.approval_sign_bytes(message)
        signed = sign_transaction(
            get_dialect(),
            dialect.with_approval(message, FAR_HEIGHT, crypto.sign_bytes(approver, sign_bytes)),
            private_key=USER_KEY,
            chain_id=await chain.chain_id(),
            account_number=account.account_number,
            sequence=account.sequence + number,
            gas_limit=1200,
            fee_amount=1200 * GAS_PRICE,
        )
        answer = await chain.broadcast_sync(signed.tx_bytes)
        assert answer.code == 0, answer.log
        sent.append(signed)
    await sender.wait(sent[-1])
    infos = [await chain.head_object("bucket", f"object-{number}") for number in range(count)]
    return await world.add_jobs_of(infos)


def make_signer(world: SealWorld, chain: RpcChainClient) -> Signer:
    return Signer(chain=chain, store=world.store, keys=world.keys(), dialect=get_dialect())


async def assert_sealed_once(
    world: SealWorld, chain: RpcChainClient, done: list[JobContext]
) -> None:
    """The account's sequence counts every transaction that was paid for."""
    for job in done:
        assert job.state is JobState.SEAL_OBJECT_DONE
        info = await chain.head_object("bucket", job.object_info.object_name)
        assert info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
        assert job.seal_tx_hash is not None
        result = await chain.transaction(job.seal_tx_hash)
        assert result is not None
        assert (result.code, result.height) == (0, job.seal_height)
    assert (await chain.account(world.seal_address)).sequence == len(done)


async def test_seals_of_one_key_share_blocks(world: SealWorld, chain: RpcChainClient) -> None:
    jobs = await create_jobs(world, chain, 40)
    signer = make_signer(world, chain)
    done = await world.seal_all(signer, jobs)
    await assert_sealed_once(world, chain, done)
    assert len({job.seal_height for job in done}) < len(done)
    await signer.close()


async def test_seals_survive_a_chain_that_is_killed_and_a_signer_that_is_replaced(
    world: SealWorld, chain: RpcChainClient, process: ChainProcess
) -> None:
    jobs = await create_jobs(world, chain, 12)
    first = make_signer(world, chain)
    tickets = await asyncio.gather(*(first.submit_seal(order_of(job)) for job in jobs))
    process.kill()
    await first.close()
    process.start()
    second = make_signer(world, chain)
    done = await world.seal_all(second, jobs)
    await assert_sealed_once(world, chain, done)
    assert [job.seal_tx_hash for job in done] == [ticket.tx_hash for ticket in tickets]
    await second.close()


async def test_a_given_up_object_is_rejected(world: SealWorld, chain: RpcChainClient) -> None:
    (job,) = await create_jobs(world, chain, 1)
    signer = make_signer(world, chain)
    await signer.reject_seal(order_of(job))
    (row,) = await world.store.get_transactions(job.sp_address, job.job_id)
    rejection = SignedTransaction(row.tx_bytes, row.tx_hash, row.nonce, row.timeout_height)
    await TransactionSender(chain, get_dialect(), USER_KEY).wait(rejection)
    assert (await chain.account(world.seal_address)).sequence == 1
    with pytest.raises(NoSuchObject):
        await chain.head_object("bucket", job.object_info.object_name)
    await signer.close()
