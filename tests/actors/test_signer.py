"""The Signer over a real job store and a model of a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.ports import SealOrder, SealOutcome, SealTicket
from greenray.actors.signer.actor import Signer
from greenray.actors.signer.nonce_ledger import NonceLedger
from greenray.actors.signer.settings import QueueSettings, WatchSettings
from greenray.chain.crypto import address_of, recover_signer
from greenray.protocol.errors import (
    ChainUnavailable,
    ComponentUnavailable,
    InsufficientFunds,
    NoSuchObject,
    SealAccountWithoutFunds,
    SealTimeout,
    SignatureError,
    StaleJob,
    TransactionFailed,
    TransactionLost,
    TransactionRefused,
    UnknownStorageProvider,
)
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.objects import ObjectStatus, ProviderStatus
from greenray.storage.ports import TransactionRow, TransactionState
from tests.support.seal_chain import FEE, BroadcastFault
from tests.support.seal_world import PLENTY, SealWorld, order_of


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SealWorld]:
    world = SealWorld.open(tmp_path)
    yield world
    await world.store.close()


@pytest.fixture
async def signer(world: SealWorld) -> AsyncIterator[Signer]:
    signer = world.signer()
    yield signer
    await signer.close()


async def rows_of(world: SealWorld, job: JobContext) -> tuple[TransactionRow, ...]:
    return await world.store.get_transactions(job.sp_address, job.job_id)


def sequences(world: SealWorld) -> list[int]:
    return [block.sequence for block in world.chain.blocks]


class TestSealing:
    async def test_an_object_is_sealed_by_one_transaction(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        ticket = await signer.submit_seal(order_of(job))
        outcome = await signer.watch_seal(order_of(job), 60.0)
        (block,) = world.chain.blocks
        assert ticket == SealTicket(block.tx_hash, 0, world.chain.height - 1 + 100)
        assert outcome == SealOutcome(block.tx_hash, block.height)
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.COMMITTED
        sealed = world.chain.objects["bucket", "a"]
        assert sealed.object_status is ObjectStatus.OBJECT_STATUS_SEALED
        assert sealed.secondary_sp_addresses == tuple(r.operator_address for r in job.secondaries)

    async def test_many_seals_of_one_address_wait_for_one_block_together(
        self, world: SealWorld, signer: Signer
    ) -> None:
        jobs = await world.add_jobs(100)
        tickets = await asyncio.gather(*(signer.submit_seal(order_of(job)) for job in jobs))
        assert world.chain.mempool_size == 100
        assert sorted(t.nonce for t in tickets if t.nonce is not None) == list(range(100))
        assert world.chain.simulations == 1
        outcomes = await asyncio.gather(*(signer.watch_seal(order_of(job), 60.0) for job in jobs))
        assert [o.tx_hash for o in outcomes] == [t.tx_hash for t in tickets]
        assert len({o.height for o in outcomes}) == 1

    async def test_each_of_many_seals_that_failed_in_a_block_is_told(
        self, world: SealWorld, signer: Signer
    ) -> None:
        jobs = await world.add_jobs(20)
        await asyncio.gather(*(signer.submit_seal(order_of(job)) for job in jobs))
        world.chain.refuse_messages = ("storage", 1116, "no")
        told = await asyncio.gather(
            *(signer.watch_seal(order_of(job), 60.0) for job in jobs), return_exceptions=True
        )
        assert [type(one) for one in told] == [TransactionFailed] * 20

    async def test_many_seals_that_the_node_has_not_indexed_yet_are_found_later(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.index_lag_blocks = 1
        jobs = await world.add_jobs(40)
        done = await world.seal_all(signer, jobs)
        assert [job.state for job in done] == [JobState.SEAL_OBJECT_DONE] * 40
        assert [len(world.chain.sealed_by(job.object_info)) for job in jobs] == [1] * 40

    async def test_seal_addresses_have_their_own_nonces(self, world: SealWorld) -> None:
        first = await world.add_job("a")
        world.sp_address = world.sps[1].address
        world.sps.append(world.sps.pop(0))
        world.chain.fund(address_of(world.sps[0].seal), PLENTY)
        second = await world.add_job("b")
        signer = world.signer()
        done = await world.seal_all(signer, [first, second])
        assert [job.state for job in done] == [JobState.SEAL_OBJECT_DONE] * 2
        assert sequences(world) == [0, 0]
        assert len({block.signer for block in world.chain.blocks}) == 2
        await signer.close()

    async def test_a_job_with_a_living_transaction_gets_that_one(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        tickets = [await signer.submit_seal(order_of(job)) for _ in range(3)]
        assert len(set(tickets)) == 1
        assert world.chain.mempool_size == 1
        assert len(await rows_of(world, job)) == 1

    async def test_signs_with_the_keys_of_the_named_provider(
        self, world: SealWorld, signer: Signer
    ) -> None:
        approver = await signer.sign_as_approver(world.sp_address, b"data")
        operator = await signer.sign_as_operator(world.sp_address, b"data")
        assert recover_signer(b"data", approver) == address_of(world.primary.approval)
        assert recover_signer(b"data", operator) == address_of(world.primary.operator)


class TestVerifyingReceipts:
    async def refuse(self, world: SealWorld, signer: Signer, order: SealOrder) -> SignatureError:
        with pytest.raises(SignatureError) as caught:
            await signer.submit_seal(order)
        assert world.chain.broadcasts == 0
        assert not caught.value.retryable
        return caught.value

    async def test_receipts_out_of_index_order_are_refused(
        self, world: SealWorld, signer: Signer
    ) -> None:
        order = order_of(await world.add_job("a"))
        swapped = (order.secondaries[1], order.secondaries[0], *order.secondaries[2:])
        await self.refuse(world, signer, replace(order, secondaries=swapped))

    async def test_a_missing_receipt_is_refused(self, world: SealWorld, signer: Signer) -> None:
        order = order_of(await world.add_job("a"))
        await self.refuse(world, signer, replace(order, secondaries=order.secondaries[:-1]))

    async def test_another_integrity_hash_is_refused_and_the_secondary_named(
        self, world: SealWorld, signer: Signer
    ) -> None:
        order = order_of(await world.add_job("a"))
        bad = replace(order.secondaries[2], integrity_hash=b"\0" * 32)
        secondaries = (*order.secondaries[:2], bad, *order.secondaries[3:])
        error = await self.refuse(world, signer, replace(order, secondaries=secondaries))
        assert bad.operator_address in str(error)

    @pytest.mark.parametrize("position", [0, 33, 64])
    async def test_a_changed_signature_is_refused(
        self, world: SealWorld, signer: Signer, position: int
    ) -> None:
        order = order_of(await world.add_job("a"))
        good = order.secondaries[5]
        signature = bytearray(good.signature)
        signature[position] ^= 1
        secondaries = (*order.secondaries[:5], replace(good, signature=bytes(signature)))
        await self.refuse(world, signer, replace(order, secondaries=secondaries))

    async def test_a_secondary_that_is_not_in_service_is_refused(
        self, world: SealWorld, signer: Signer
    ) -> None:
        order = order_of(await world.add_job("a"))
        world.chain.providers[3] = replace(
            world.chain.providers[3], status=ProviderStatus.STATUS_IN_JAILED
        )
        with pytest.raises(UnknownStorageProvider, match="not in service"):
            await signer.submit_seal(order)
        assert world.chain.broadcasts == 0


class TestMissingAnswers:
    async def test_a_lost_answer_sends_the_same_bytes_again(
        self, world: SealWorld, signer: Signer
    ) -> None:
        sent: list[bytes] = []
        world.chain.on_broadcast = sent.append
        world.chain.faults[0] = BroadcastFault.ANSWER_LOST
        job = await world.add_job("a")
        await signer.submit_seal(order_of(job))
        assert len(sent) == 2
        assert sent[0] == sent[1]
        assert world.chain.mempool_size == 1

    async def test_a_lost_request_sends_the_same_bytes_again(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.faults |= dict.fromkeys(range(2), BroadcastFault.REQUEST_LOST)
        await world.seal(signer, await world.add_job("a"), tries=1)
        assert sequences(world) == [0]

    async def test_without_any_answer_the_reserved_transaction_stays(
        self, world: SealWorld, signer: Signer
    ) -> None:
        jobs = await world.add_jobs(3)
        await world.seal(signer, await world.add_job("first"))
        world.chain.faults |= dict.fromkeys(range(100), BroadcastFault.REQUEST_LOST)
        results = await asyncio.gather(
            *(signer.submit_seal(order_of(job)) for job in jobs), return_exceptions=True
        )
        assert all(isinstance(r, ChainUnavailable) and r.retryable for r in results)
        before = [(await rows_of(world, job))[0] for job in jobs]
        assert [row.state for row in before] == [TransactionState.RESERVED] * 3
        world.chain.faults.clear()
        tickets = await asyncio.gather(*(signer.submit_seal(order_of(job)) for job in jobs))
        assert [t.tx_hash for t in tickets] == [row.tx_hash for row in before]
        assert world.chain.mempool_size == 3

    async def test_an_unreachable_node_is_a_retryable_error(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        world.chain.unavailable = True
        with pytest.raises(ChainUnavailable):
            await signer.submit_seal(order_of(job))
        world.chain.unavailable = False
        assert (await world.seal(signer, job)).state is JobState.SEAL_OBJECT_DONE

    async def test_watching_survives_a_node_that_is_away_for_a_while(
        self, world: SealWorld
    ) -> None:
        job = await world.add_job("a")
        polls = 0

        async def sleep(seconds: float) -> None:
            nonlocal polls
            polls += 1
            world.chain.unavailable = polls < 10
            await world.chain.sleep(seconds)

        signer = world.signer(sleep=sleep)
        await signer.submit_seal(order_of(job))
        world.chain.unavailable = True
        outcome = await signer.watch_seal(order_of(job), 60.0)
        assert outcome.height is not None
        await signer.close()


class TestRefusals:
    async def test_a_refused_transaction_is_dead_and_the_later_ones_are_planned_again(
        self, world: SealWorld, signer: Signer
    ) -> None:
        await world.seal(signer, await world.add_job("first"))
        world.chain.faults[2] = BroadcastFault.REFUSED
        jobs = await world.add_jobs(5)
        results = await asyncio.gather(
            *(signer.submit_seal(order_of(job)) for job in jobs), return_exceptions=True
        )
        refused = [job for job, r in zip(jobs, results, strict=True) if isinstance(r, Exception)]
        assert refused == [jobs[1]]
        assert isinstance(results[1], TransactionRefused)
        assert results[1].code == 18
        (row,) = await rows_of(world, jobs[1])
        assert row.state is TransactionState.DEAD
        nonces = sorted(r.nonce for r in results if isinstance(r, SealTicket) and r.nonce)
        assert nonces == [1, 2, 3, 4]
        await world.seal_all(signer, jobs)
        assert sequences(world) == list(range(6))

    @pytest.mark.parametrize(
        "fault", [BroadcastFault.SEQUENCE_TOO_HIGH, BroadcastFault.SEQUENCE_TOO_LOW]
    )
    async def test_wrong_sequence_answers_leave_no_gap(
        self, world: SealWorld, signer: Signer, fault: BroadcastFault
    ) -> None:
        world.chain.faults |= {3: fault, 4: fault}
        jobs = await world.add_jobs(8)
        await world.seal_all(signer, jobs)
        assert sequences(world) == list(range(8))

    async def test_a_nonce_that_somebody_else_used_is_given_up(
        self, world: SealWorld, signer: Signer
    ) -> None:
        await world.seal(signer, await world.add_job("a"))
        world.chain.consume_sequence(world.seal_address)
        await world.seal_all(signer, await world.add_jobs(3))
        assert sequences(world) == [0, 2, 3, 4]

    async def test_a_full_mempool_is_a_retryable_error_for_all_that_wait(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.faults[1] = BroadcastFault.MEMPOOL_FULL
        jobs = await world.add_jobs(4)
        results = await asyncio.gather(
            *(signer.submit_seal(order_of(job)) for job in jobs), return_exceptions=True
        )
        assert [isinstance(r, TransactionRefused) for r in results] == [False, True, True, True]
        await world.seal_all(signer, jobs)
        assert sequences(world) == [0, 1, 2, 3]

    async def test_a_stale_claim_is_refused_and_leaves_no_gap(
        self, world: SealWorld, signer: Signer
    ) -> None:
        jobs = await world.add_jobs(4)
        orders = [order_of(job) for job in jobs]
        orders[1] = replace(orders[1], epoch=orders[1].epoch - 1)
        results = await asyncio.gather(
            *(signer.submit_seal(order) for order in orders), return_exceptions=True
        )
        assert [type(r) for r in results] == [SealTicket, StaleJob, SealTicket, SealTicket]
        nonces = sorted(r.nonce for r in results if isinstance(r, SealTicket) and r.nonce)
        assert nonces == [1, 2]

    async def test_two_callers_for_one_job_share_one_transaction(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        await asyncio.gather(
            *(signer.submit_seal(order_of(job)) for _ in range(2)), return_exceptions=True
        )
        assert world.chain.mempool_size == 1
        living = [r for r in await rows_of(world, job) if r.state is TransactionState.RESERVED]
        assert len(living) == 1


class TestFunds:
    async def test_an_empty_seal_address_is_named_and_goes_on_after_a_refill(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.drain(world.seal_address)
        jobs = await world.add_jobs(3)
        for _ in range(3):
            # What was refused once is not sent again before there are coins.
            for job in jobs:
                with pytest.raises(InsufficientFunds) as caught:
                    await signer.submit_seal(order_of(job))
                assert world.seal_address in str(caught.value)
                assert "BNB" in str(caught.value)
                assert caught.value.retryable
        hashes = [row.tx_hash for job in jobs for row in await rows_of(world, job)]
        assert len(hashes) == len(set(hashes)) == 1
        world.chain.fund(world.seal_address, PLENTY)
        await world.seal_all(signer, jobs)
        assert sequences(world) == [0, 1, 2]

    async def test_seals_that_the_balance_still_covers_go_through(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.drain(world.seal_address)
        world.chain.fund(world.seal_address, 2 * FEE)
        jobs = await world.add_jobs(5)
        results = await asyncio.gather(
            *(signer.submit_seal(order_of(job)) for job in jobs), return_exceptions=True
        )
        assert [type(r) for r in results] == [SealTicket] * 2 + [SealAccountWithoutFunds] * 3

    async def test_a_drain_behind_an_accepted_seal_parks_it_and_the_same_bytes_go_on_later(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        ticket = await signer.submit_seal(order_of(job))
        world.chain.drain(world.seal_address)
        assert world.chain.mempool_size == 0
        with pytest.raises(InsufficientFunds):
            await signer.watch_seal(order_of(job), 60.0)
        with pytest.raises(InsufficientFunds):
            await signer.submit_seal(order_of(job))
        world.chain.fund(world.seal_address, PLENTY)
        assert await signer.submit_seal(order_of(job)) == ticket
        outcome = await signer.watch_seal(order_of(job), 60.0)
        assert outcome.tx_hash == ticket.tx_hash


class TestLostTransactions:
    async def test_a_lost_mempool_gets_the_identical_bytes_again(
        self, world: SealWorld, signer: Signer
    ) -> None:
        jobs = await world.add_jobs(5)
        tickets = await asyncio.gather(*(signer.submit_seal(order_of(job)) for job in jobs))
        world.chain.lose_mempool()
        outcomes = await asyncio.gather(*(signer.watch_seal(order_of(job), 60.0) for job in jobs))
        assert [o.tx_hash for o in outcomes] == [t.tx_hash for t in tickets]
        assert sequences(world) == [0, 1, 2, 3, 4]

    async def test_a_transaction_is_replaced_only_after_its_timeout_height(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.block_limit = 0
        job = await world.add_job("a")
        first = await signer.submit_seal(order_of(job))
        assert first.timeout_height is not None
        while world.chain.height < first.timeout_height - 1:
            world.chain.make_block()
            assert await signer.submit_seal(order_of(job)) == first
        with pytest.raises(TransactionLost):
            await signer.watch_seal(order_of(job), 60.0)
        assert world.chain.height >= first.timeout_height
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.DEAD
        world.chain.block_limit = 10
        second = await signer.submit_seal(order_of(job))
        assert second.nonce == first.nonce
        assert second.tx_hash != first.tx_hash
        assert (await signer.watch_seal(order_of(job), 60.0)).tx_hash == second.tx_hash

    async def test_seals_that_all_timed_out_are_made_again_without_a_gap(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.block_limit = 0
        jobs = await world.add_jobs(6)

        async def open_the_gates() -> None:
            world.chain.block_limit = 1000

        done = await world.seal_all(signer, jobs, pause=open_the_gates)
        assert all(job.state is JobState.SEAL_OBJECT_DONE for job in done)
        assert sequences(world) == list(range(6))

    async def test_a_slow_index_does_not_make_a_transaction_dead(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.index_lag_blocks = 2
        job = await world.seal(signer, await world.add_job("a"), tries=1)
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.COMMITTED
        assert job.seal_tx_hash == row.tx_hash

    async def test_a_nonce_consumed_by_a_stranger_makes_another_transaction(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        ticket = await signer.submit_seal(order_of(job))
        world.chain.lose_mempool()
        world.chain.consume_sequence(world.seal_address)
        with pytest.raises(TransactionLost):
            await signer.watch_seal(order_of(job), 60.0)
        again = await signer.submit_seal(order_of(job))
        assert (ticket.nonce, again.nonce) == (0, 1)

    async def test_the_wait_is_bounded_and_says_what_is_awaited(self, world: SealWorld) -> None:
        world.chain.block_limit = 0
        signer = world.signer(sleep=_pass_no_time)
        job = await world.add_job("a")
        ticket = await signer.submit_seal(order_of(job))
        assert ticket.tx_hash is not None
        with pytest.raises(SealTimeout, match=ticket.tx_hash):
            await signer.watch_seal(order_of(job), 0.05)
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.RESERVED
        await signer.close()


class TestFailuresInABlock:
    async def test_a_failed_seal_names_the_chains_reason_and_is_simulated_the_next_time(
        self, world: SealWorld, signer: Signer
    ) -> None:
        await world.seal(signer, await world.add_job("first"))
        job = await world.add_job("a")
        await signer.submit_seal(order_of(job))
        world.chain.refuse_messages = ("storage", 1116, "Invalid approval of sp")
        with pytest.raises(TransactionFailed) as caught:
            await signer.watch_seal(order_of(job), 60.0)
        assert (caught.value.codespace, caught.value.code) == ("storage", 1116)
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.FAILED
        broadcasts = world.chain.broadcasts
        with pytest.raises(TransactionRefused, match="Invalid approval"):
            await signer.submit_seal(order_of(job))
        assert world.chain.broadcasts == broadcasts
        world.chain.refuse_messages = None
        assert (await world.seal(signer, job)).state is JobState.SEAL_OBJECT_DONE
        assert sequences(world) == [0, 1, 2]

    async def test_already_sealed_by_somebody_else_counts_as_sealed(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        await signer.submit_seal(order_of(job))
        _seal_behind_the_back(world, job)
        assert await signer.watch_seal(order_of(job), 60.0) == SealOutcome(None, None)
        assert world.chain.blocks[0].code == 1108

    async def test_a_bad_first_seal_fails_in_simulation_and_costs_nothing(
        self, world: SealWorld, signer: Signer
    ) -> None:
        world.chain.refuse_messages = ("storage", 1107, "Access denied")
        job = await world.add_job("a")
        with pytest.raises(TransactionRefused, match="Access denied"):
            await signer.submit_seal(order_of(job))
        assert await rows_of(world, job) == ()
        assert world.chain.broadcasts == 0

    async def test_large_transactions_are_simulated_each(self, world: SealWorld) -> None:
        signer = world.signer(queue=QueueSettings(cached_gas_up_to_size_bytes=10))
        jobs = await world.add_jobs(4)
        await world.seal_all(signer, jobs)
        assert world.chain.simulations == 4
        assert sequences(world) == [0, 1, 2, 3]
        await signer.close()


class TestObjectState:
    async def test_a_sealed_object_needs_no_transaction(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        _seal_behind_the_back(world, job)
        assert await signer.submit_seal(order_of(job)) == SealTicket(None)
        assert world.chain.broadcasts == 0
        done = await world.seal(signer, job)
        assert done.state is JobState.SEAL_OBJECT_DONE

    async def test_a_job_that_forgot_its_seal_gets_the_transaction_that_did_it(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        first = await signer.submit_seal(order_of(job))
        outcome = await signer.watch_seal(order_of(job), 60.0)
        again = await signer.submit_seal(order_of(job))
        assert again.tx_hash == first.tx_hash
        assert await signer.watch_seal(order_of(job), 60.0) == outcome
        assert len(world.chain.blocks) == 1

    async def test_a_seal_that_is_seen_before_its_nonce_is_committed_in_the_journal_too(
        self, world: SealWorld
    ) -> None:
        signer = world.signer(watch=WatchSettings(object_check_blocks=1))
        job = await world.add_job("a")
        ticket = await signer.submit_seal(order_of(job))
        world.chain.sequence_lag = 1
        outcome = await signer.watch_seal(order_of(job), 60.0)
        assert outcome.tx_hash == ticket.tx_hash
        [row] = await world.store.get_transactions(job.sp_address, job.job_id)
        assert row.state is TransactionState.COMMITTED
        another = await signer.submit_seal(order_of(await world.add_job("b")))
        assert another.nonce == 1
        await signer.close()

    async def test_a_cancelled_object_ends_the_watch_for_good(self, world: SealWorld) -> None:
        signer = world.signer(watch=WatchSettings(object_check_blocks=3))
        world.chain.block_limit = 0
        job = await world.add_job("a")
        await signer.submit_seal(order_of(job))
        world.chain.remove_object(job.object_info)
        with pytest.raises(NoSuchObject) as caught:
            await signer.watch_seal(order_of(job), 60.0)
        assert not caught.value.retryable
        await signer.close()

    async def test_another_object_of_the_same_name_is_not_sealed(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        key = ("bucket", "a")
        world.chain.objects[key] = replace(world.chain.objects[key], id=99)
        with pytest.raises(NoSuchObject, match="99"):
            await signer.submit_seal(order_of(job))


class TestNonces:
    async def test_a_seal_that_is_being_written_down_as_committed_stays_so(
        self, world: SealWorld, signer: Signer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The journal is read again meanwhile, and the account's answer is older than the seal's.
        job = await world.add_job("a")
        await signer.submit_seal(order_of(job))
        world.chain.make_block()
        world.chain.sequence_lag = 1
        (row,) = await rows_of(world, job)
        ledger = NonceLedger(world.seal_address, world.chain, world.store, settle_blocks=2)
        await ledger.look()
        mark = world.store.mark_transaction

        async def mark_slowly(tx_hash: str, state: TransactionState) -> None:
            await mark(tx_hash, state)
            await ledger.reload()

        monkeypatch.setattr(world.store, "mark_transaction", mark_slowly)
        await ledger.declare_committed(row)
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.COMMITTED


class TestRestart:
    async def test_a_new_signer_sends_what_the_old_one_reserved(self, world: SealWorld) -> None:
        jobs = await world.add_jobs(3)
        old = world.signer()
        await world.seal(old, await world.add_job("first"))
        world.chain.faults |= dict.fromkeys(range(100), BroadcastFault.REQUEST_LOST)
        await asyncio.gather(
            *(old.submit_seal(order_of(job)) for job in jobs), return_exceptions=True
        )
        await old.close()
        world.chain.faults.clear()
        new = world.signer()
        ticket = await new.submit_seal(order_of(jobs[2]))
        assert world.chain.mempool_size == 3
        (row,) = await rows_of(world, jobs[2])
        assert ticket.tx_hash == row.tx_hash
        await world.seal_all(new, jobs)
        assert sequences(world) == [0, 1, 2, 3]
        await new.close()

    async def test_a_new_signer_watches_without_a_new_submission(self, world: SealWorld) -> None:
        job = await world.add_job("a")
        old = world.signer()
        ticket = await old.submit_seal(order_of(job))
        await old.close()
        world.chain.lose_mempool()
        new = world.signer()
        assert (await new.watch_seal(order_of(job), 60.0)).tx_hash == ticket.tx_hash
        await new.close()

    async def test_a_transaction_that_was_committed_meanwhile_is_found(
        self, world: SealWorld
    ) -> None:
        job = await world.add_job("a")
        old = world.signer()
        ticket = await old.submit_seal(order_of(job))
        await old.close()
        world.chain.make_block()
        new = world.signer()
        assert (await new.submit_seal(order_of(job))).tx_hash == ticket.tx_hash
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.COMMITTED
        assert world.chain.broadcasts == 1
        await new.close()

    async def test_closing_tells_everyone_who_waits_and_keeps_what_is_reserved(
        self, world: SealWorld
    ) -> None:
        job = await world.add_job("a")
        polled, never = asyncio.Event(), asyncio.Event()

        async def sleep(seconds: float) -> None:
            polled.set()
            await never.wait()

        signer = world.signer(sleep=sleep)
        await signer.submit_seal(order_of(job))
        watch = asyncio.create_task(signer.watch_seal(order_of(job), 60.0))
        await polled.wait()
        await signer.close()
        with pytest.raises(ComponentUnavailable):
            await watch
        (row,) = await rows_of(world, job)
        assert row.state is TransactionState.RESERVED


class TestRejecting:
    async def test_a_given_up_object_is_rejected_on_chain(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        await signer.reject_seal(order_of(job))
        world.chain.make_block()
        assert ("bucket", "a") not in world.chain.objects

    async def test_a_chain_that_never_rejects_costs_no_fee_and_is_only_reported(
        self, world: SealWorld, signer: Signer, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.chain.accept_reject = False
        job = await world.add_job("a")
        await signer.reject_seal(order_of(job))
        assert world.chain.broadcasts == 0
        assert "could not be rejected" in caplog.text

    async def test_a_job_whose_rejection_is_on_its_way_never_counts_as_sealed(
        self, world: SealWorld, signer: Signer
    ) -> None:
        # Nobody has heard that it was sent, so the job is tried again.
        job = await world.add_job("a")
        await signer.reject_seal(order_of(job))
        ticket = await signer.submit_seal(order_of(job))
        (row,) = await rows_of(world, job)
        assert ticket.tx_hash == row.tx_hash
        with pytest.raises(NoSuchObject):
            await signer.watch_seal(order_of(job), 60.0)

    async def test_an_object_whose_seal_is_on_its_way_is_not_rejected(
        self, world: SealWorld, signer: Signer
    ) -> None:
        job = await world.add_job("a")
        await signer.submit_seal(order_of(job))
        await signer.reject_seal(order_of(job))
        assert world.chain.mempool_size == 1
        assert (await world.seal(signer, job)).state is JobState.SEAL_OBJECT_DONE


def _seal_behind_the_back(world: SealWorld, job: JobContext) -> None:
    key = (job.object_info.bucket_name, job.object_info.object_name)
    world.chain.objects[key] = replace(
        world.chain.objects[key], object_status=ObjectStatus.OBJECT_STATUS_SEALED
    )


async def _pass_no_time(seconds: float) -> None:
    await asyncio.sleep(0.001)
