"""Whatever breaks in a step of a job, the job waits before it is tried again, longer each time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.credit.byte_budget import ByteBudget
from greenray.actors.task_node.actor import TaskNode
from greenray.actors.task_node.driver_ports import DriverPorts
from greenray.actors.task_node.settings import DriverSettings, TaskNodeSettings
from greenray.protocol.errors import JournalError
from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_events import (
    JobEvent,
    ReplicateFailed,
    ReplicateFinished,
    ReplicateStarted,
    SealFailed,
    SealWatchStarted,
    SecondaryFinished,
    SignFailed,
    SignFinished,
    SignStarted,
    StepFailed,
)
from greenray.protocol.job_table import TASK_NODE_STATES
from greenray.storage.ports import JobUpdate
from greenray.storage.sqlite_store import SqliteJobStore
from tests.contracts.job_store_contract import Clock, after, receipt, uploaded
from tests.support.protocol_values import HELLO, PRIMARY

_BASE_S = 8.0
_LOOKS = 3
"""So often the node finds nothing to claim before it is believed that there is nothing."""
_ERROR = JobError("chain-unavailable", "no answer", True)

_REPLICATING: tuple[JobEvent, ...] = (ReplicateStarted(),)
_REPLICATED = (
    *_REPLICATING,
    *(SecondaryFinished(receipt(index)) for index in range(6)),
    ReplicateFinished(),
)
_SIGNING = (*_REPLICATED, SignStarted())
_SIGNED = (*_SIGNING, SignFinished("AB"))
_WATCHING = (*_SIGNED, SealWatchStarted())
_WAY: dict[JobState, tuple[JobEvent, ...]] = {
    JobState.UPLOAD_OBJECT_DONE: (),
    JobState.REPLICATE_OBJECT_DOING: _REPLICATING,
    JobState.REPLICATE_OBJECT_DONE: _REPLICATED,
    JobState.REPLICATE_OBJECT_ERROR: (*_REPLICATING, ReplicateFailed(_ERROR)),
    JobState.SIGN_OBJECT_DOING: _SIGNING,
    JobState.SIGN_OBJECT_DONE: _SIGNED,
    JobState.SIGN_OBJECT_ERROR: (*_SIGNING, SignFailed(_ERROR)),
    JobState.SEAL_OBJECT_TX_DOING: _WATCHING,
    JobState.SEAL_OBJECT_ERROR: (*_WATCHING, SealFailed(_ERROR)),
}
"""From the stored payload to each state of the task node."""


class BrokenJournal(SqliteJobStore):
    """Knows of claims; once ``breaks`` says so of an event, writing it is a defect."""

    breaks: Callable[[JobEvent], bool] = staticmethod(lambda event: False)
    looks_in_vain = 0
    loses_claims = 0
    """So many claims are written, and have no answer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.claims: Counter[JobState] = Counter()
        self.looked = asyncio.Event()
        self.reached = asyncio.Event()
        self.goes_on = asyncio.Event()
        """Until then no step gets any further than to its first write."""
        self.goes_on.set()

    async def apply(self, update: JobUpdate) -> JobContext:
        self.reached.set()
        await self.goes_on.wait()
        if self.breaks(update.event):
            raise RuntimeError(f"{update.event.name} is broken")
        return await super().apply(update)

    async def claim_jobs(self, owner: str, lease_s: float, limit: int) -> tuple[JobContext, ...]:
        jobs = await super().claim_jobs(owner, lease_s, limit)
        self.claims.update(JobState(job.object_id) for job in jobs)
        self.looks_in_vain = 0 if jobs else self.looks_in_vain + 1
        self.looked.set()
        self._lose_claim()
        return jobs

    async def claim_job(
        self, sp_address: str, job_id: int, owner: str, lease_s: float
    ) -> JobContext:
        job = await super().claim_job(sp_address, job_id, owner, lease_s)
        self._lose_claim()
        return job

    def _lose_claim(self) -> None:
        if self.loses_claims:
            self.loses_claims -= 1
            raise JournalError("no answer", "test")


class BrokenPort:
    """In the place of any port: every call of it is a defect."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def broken(*arguments: object) -> None:
            raise RuntimeError(f"{name} is broken")

        return broken

    async def warm_up(self) -> None:
        """There is nothing to start."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def journal(tmp_path: Path, clock: Clock) -> AsyncIterator[BrokenJournal]:
    """One job in each state of the task node; its object id is the state's number."""
    store = BrokenJournal.open(tmp_path / "journal.db", clock)
    for state in sorted(TASK_NODE_STATES):
        job = await uploaded(store, replace(HELLO, id=int(state)))
        job = await after(store, job, *_WAY[state])
        assert job.state is state
    yield store
    await store.close()


@asynccontextmanager
async def running_task_node(
    store: BrokenJournal, clock: Clock, *, poll_s: float
) -> AsyncIterator[TaskNode]:
    port: Any = BrokenPort()
    ports = DriverPorts(
        dialect=port,
        job_store=store,
        piece_stores={PRIMARY: port},
        approvals=port,
        secondaries=port,
        sealer=port,
        encoder=port,
        object_space=port,
        hot_columns=port,
        running_uploads=port,
        cold_buffers=BufferPool(1),
        replication_budget=ByteBudget(1),
        providers=port,
        clock=clock,
    )
    driver = DriverSettings(retry_base_s=_BASE_S, retry_cap_s=1800.0)
    settings = TaskNodeSettings(poll_s=poll_s, driver=driver)
    node = TaskNode(owner="node", ports=ports, settings=settings)
    running = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        await node.close()
        await running


async def next_look(store: BrokenJournal) -> None:
    store.looked.clear()
    await asyncio.wait_for(store.looked.wait(), 60.0)


async def settled(store: BrokenJournal) -> None:
    """Nobody works on a job, and the node finds none to claim."""
    store.looks_in_vain = 0
    async with asyncio.timeout(30.0):
        while store.looks_in_vain < _LOOKS or any(job.owner for job in await store.list_jobs()):
            await next_look(store)


async def test_an_unexpected_error_backs_off_in_every_state_of_the_task_node(
    journal: BrokenJournal, clock: Clock
) -> None:
    journal.breaks = lambda event: not isinstance(event, StepFailed)
    async with running_task_node(journal, clock, poll_s=0.01):
        await settled(journal)
        assert journal.claims == dict.fromkeys(TASK_NODE_STATES, 1)
        for job in await journal.list_jobs():
            assert clock.now + _BASE_S / 2 <= job.retry_at <= clock.now + _BASE_S
            assert job.error is not None
            assert "is broken" in job.error.message
        for _ in range(25):
            clock.now += _BASE_S / 2
            await settled(journal)
    # Pauses of 4 to 8 s that double: 100 s have room for four to six claims.
    assert journal.claims.keys() == TASK_NODE_STATES
    assert all(4 <= count <= 6 for count in journal.claims.values()), journal.claims


async def test_a_job_whose_failure_cannot_be_recorded_is_held_back_all_the_same(
    journal: BrokenJournal, clock: Clock
) -> None:
    journal.breaks = lambda event: True
    async with running_task_node(journal, clock, poll_s=3600.0) as node:
        for _ in range(10):
            await node.wake()
            await next_look(journal)
            await asyncio.sleep(0.01)
    assert journal.claims == dict.fromkeys(TASK_NODE_STATES, 1)


async def test_jobs_whose_claim_had_no_answer_are_driven_all_the_same(
    journal: BrokenJournal, clock: Clock
) -> None:
    journal.loses_claims = 1
    journal.breaks = lambda event: not isinstance(event, StepFailed)
    async with running_task_node(journal, clock, poll_s=0.01):
        await settled(journal)
    for job in await journal.list_jobs():
        assert job.error is not None, job.state
        assert "is broken" in job.error.message
    assert journal.claims == dict.fromkeys(TASK_NODE_STATES, 1)


async def test_jobs_that_a_node_has_claimed_again_without_an_answer_are_driven_all_the_same(
    journal: BrokenJournal, clock: Clock
) -> None:
    journal.breaks = lambda event: not isinstance(event, StepFailed)
    journal.goes_on.clear()
    journal.reached.clear()
    async with running_task_node(journal, clock, poll_s=0.01):
        await asyncio.wait_for(journal.reached.wait(), 30.0)
        journal.loses_claims = 1
        clock.now += 2 * TaskNodeSettings().lease_s  # as after standing still
        while journal.loses_claims:
            await next_look(journal)
        await next_look(journal)
        journal.goes_on.set()
        await settled(journal)
    for job in await journal.list_jobs():
        assert job.error is not None, job.state
        assert "is broken" in job.error.message
    assert journal.claims == dict.fromkeys(TASK_NODE_STATES, 2)


async def test_a_job_whose_claim_for_an_operator_had_no_answer_is_driven_all_the_same(
    journal: BrokenJournal, clock: Clock
) -> None:
    journal.breaks = lambda event: not isinstance(event, StepFailed)
    async with running_task_node(journal, clock, poll_s=0.01) as node:
        await settled(journal)
        job = (await journal.list_jobs())[0]
        journal.loses_claims = 1
        with pytest.raises(JournalError):
            await node.retry_now(job.sp_address, job.job_id)
        await settled(journal)
    again = await journal.get_job(job.sp_address, job.object_id)
    assert again is not None
    assert again.epoch > job.epoch
    assert again.retries > job.retries
