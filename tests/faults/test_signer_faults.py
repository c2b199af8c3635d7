"""The Signer killed at every journal write and every broadcast, with a node that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from greenray.actors.signer.actor import Signer
from greenray.actors.signer.settings import SignerSettings
from greenray.chain.dialects import get_dialect
from greenray.protocol.errors import SealAccountWithoutFunds
from greenray.protocol.job import JobContext, JobState
from greenray.storage.ports import TransactionState
from tests.support.kill_switch import KillSwitch, mortal
from tests.support.seal_chain import FEE, BroadcastFault
from tests.support.seal_world import PLENTY, SealWorld

JOURNAL_WRITES = frozenset({"reserve_transaction", "mark_transaction", "apply"})
CHAIN_WRITES = frozenset({"broadcast_all"})


@dataclass(frozen=True)
class Scenario:
    """``balance_fees``: how many fees the seal address can pay until it is refilled."""

    name: str
    faults: dict[int, BroadcastFault] = field(default_factory=dict)
    balance_fees: int | None = None
    loses_mempool: bool = False

    @property
    def leaves_no_gap(self) -> bool:
        """A node that claims a later sequence is believed once; its word is all there is."""
        return BroadcastFault.SEQUENCE_TOO_HIGH not in self.faults.values()

    def __str__(self) -> str:
        return self.name


SCENARIOS = [
    Scenario("a healthy node"),
    Scenario("a lost answer", {1: BroadcastFault.ANSWER_LOST}),
    Scenario("a lost request", {2: BroadcastFault.REQUEST_LOST}),
    Scenario(
        "a lost answer, then a refusal",
        {1: BroadcastFault.ANSWER_LOST, 2: BroadcastFault.REFUSED},
    ),
    Scenario("a refusal", {1: BroadcastFault.REFUSED}),
    Scenario("a sequence too high", {1: BroadcastFault.SEQUENCE_TOO_HIGH}),
    Scenario("a sequence too low", {2: BroadcastFault.SEQUENCE_TOO_LOW}),
    Scenario("an account that runs dry", balance_fees=2),
    Scenario("a node that restarts", loses_mempool=True),
]


class Life:
    """One life of a signer and of the task node that uses it, over a world that outlives them."""

    def __init__(self, world: SealWorld, kill_at: int | None) -> None:
        self.switch = KillSwitch(kill_at)
        self.world = SealWorld.__new__(SealWorld)
        self.world.__dict__ |= world.__dict__
        self.world.store = mortal(world.store, self.switch, JOURNAL_WRITES)
        self.signer = Signer(
            chain=mortal(world.chain, self.switch, CHAIN_WRITES),
            store=self.world.store,
            keys=world.keys(),
            dialect=get_dialect("v0_2"),
            settings=SignerSettings(),
            sleep=world.chain.sleep,
        )

    async def run(self, jobs: list[JobContext], pause: Callable[[], None]) -> bool:
        """Whether it lived to see all jobs sealed."""

        async def refill() -> None:
            pause()

        results = await asyncio.gather(
            *(self.world.seal(self.signer, job, pause=refill) for job in jobs),
            return_exceptions=True,
        )
        await self.signer.close()
        if self.switch.dead:
            return False
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return True


async def claimed_anew(world: SealWorld, limit: int) -> list[JobContext]:
    """What the next life drives. Jobs that wait for coins are of one group, of which one is claimed
    and wakes the others when it finds some; a life may have died before it did."""
    await world.store.release_all()
    await world.store.wake_parked(world.sp_address, SealAccountWithoutFunds.waits_for)
    return await world.claim(limit)


def watch_for_doubles(world: SealWorld) -> list[str]:
    """Every second transaction of an object that goes out while another of it may be committed."""
    chain = world.chain
    doubles: list[str] = []

    def check(tx_bytes: bytes) -> None:
        tx = chain.decode(tx_bytes)
        name = tx.message.object_name
        if any(q.message == tx.message and q.tx_hash != tx.tx_hash for q in chain.mempool):
            doubles.append(f"{name}: nonce {tx.sequence} while another waits in the mempool")
        if any(b.object_name == name and b.tx_hash != tx.tx_hash for b in chain.blocks):
            doubles.append(f"{name}: nonce {tx.sequence} after it was sealed")

    chain.on_broadcast = check
    return doubles


async def assert_sealed_once(world: SealWorld, jobs: list[JobContext]) -> None:
    assert [block.sequence for block in world.chain.blocks] == list(range(len(jobs)))
    assert all(block.code == 0 for block in world.chain.blocks)
    for job in jobs:
        (block,) = world.chain.sealed_by(job.object_info)
        after = await world.get_job(job)
        assert after.state is JobState.SEAL_OBJECT_DONE
        assert (after.seal_tx_hash, after.seal_height) == (block.tx_hash, block.height)
        rows = await world.store.get_transactions(job.sp_address, job.job_id)
        assert [r.tx_hash for r in rows if r.state is TransactionState.COMMITTED] == [block.tx_hash]
        assert all(r.state in (TransactionState.COMMITTED, TransactionState.DEAD) for r in rows)


async def assert_no_gap(world: SealWorld) -> None:
    """Above a gap nothing can be committed before its timeout height: dying must not leave one."""
    reserved = await world.store.list_reserved(world.seal_address)
    sequence = world.chain.sequence(world.seal_address)
    waiting = [row.nonce for row in reserved if row.nonce >= sequence]
    assert waiting == list(range(sequence, sequence + len(waiting)))


async def live_and_die(
    world: SealWorld, jobs: list[JobContext], scenario: Scenario, kill_at: int | None
) -> bool:
    """One life that dies at ``kill_at``, and a second one that finishes. Whether it died."""
    if scenario.balance_fees is not None:
        world.chain.drain(world.seal_address)
        world.chain.fund(world.seal_address, scenario.balance_fees * FEE)
    world.chain.faults |= scenario.faults
    doubles = watch_for_doubles(world)

    def refill() -> None:
        if scenario.balance_fees is not None:
            world.chain.fund(world.seal_address, PLENTY)

    first = Life(world, kill_at)
    finished = await first.run(jobs, refill)
    if not finished:
        if scenario.leaves_no_gap:
            await assert_no_gap(world)
        if scenario.loses_mempool:
            world.chain.lose_mempool()
        second = Life(world, None)
        assert await second.run(await claimed_anew(world, len(jobs)), refill)
    assert doubles == []
    return not finished


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
@pytest.mark.timeout(300)
async def test_a_signer_killed_anywhere_seals_each_object_once(
    scenario: Scenario, tmp_path: Path
) -> None:
    kill_at = 0
    died = True
    while died:
        world = SealWorld.open(tmp_path, str(kill_at))
        jobs = await world.add_jobs(3)
        died = await live_and_die(world, jobs, scenario, kill_at)
        await assert_sealed_once(world, jobs)
        await world.store.close()
        kill_at += 1
    # Per object at least: reserve, three job events, commit mark; for all together, the broadcast.
    # Each before and after.
    assert kill_at > (3 * 5 + 1) * 2


@pytest.mark.timeout(300)
async def test_five_hundred_objects_survive_everything_at_once(tmp_path: Path) -> None:
    """Lessons §7 U4: killed again and again, every tenth answer lost, wrong sequences, a drained
    account that is refilled, a node that forgets its mempool."""
    world = SealWorld.open(tmp_path)
    jobs = await world.add_jobs(500)
    chain = world.chain
    chain.drain(world.seal_address)
    chain.fund(world.seal_address, 150 * FEE)
    chain.block_limit = 40
    chain.faults |= dict.fromkeys(range(5, 5000, 10), BroadcastFault.ANSWER_LOST)
    chain.faults |= {77: BroadcastFault.SEQUENCE_TOO_HIGH, 78: BroadcastFault.SEQUENCE_TOO_LOW}
    doubles = watch_for_doubles(world)
    lives = 0
    claimed = jobs
    while not await Life(world, 211 + 97 * lives).run(
        claimed, lambda: chain.fund(world.seal_address, 100 * FEE)
    ):
        lives += 1
        if lives % 3 == 0:
            chain.lose_mempool()
        claimed = await claimed_anew(world, len(jobs))
    assert lives > 5
    assert doubles == []
    await assert_sealed_once(world, jobs)
    await world.store.close()
