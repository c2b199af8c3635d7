"""TaskNode: claims jobs from the job store and drives them to the sealed state.

The committed row UPLOAD_OBJECT_DONE is the notification; ``wake`` only saves the wait for the next
look. Leases belong to this process: when it dies its jobs become claimable by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from greenray.actors.task_node.driver_ports import DriverPorts
from greenray.actors.task_node.early_replication import EarlyReplications
from greenray.actors.task_node.job_driver import JobDriver
from greenray.actors.task_node.settings import TaskNodeSettings
from greenray.protocol.errors import (
    ComponentUnavailable,
    GreenrayError,
    InvalidInput,
    StaleJob,
    StoreError,
)
from greenray.protocol.job import JobContext
from greenray.protocol.job_table import TASK_NODE_STATES
from greenray.timeline.stage_trace import TracePart

log = logging.getLogger(__name__)


class TaskNode:
    """One claiming loop; ``run`` lives as long as the actor."""

    def __init__(self, *, owner: str, ports: DriverPorts, settings: TaskNodeSettings) -> None:
        self._owner = owner
        self._ports = ports
        self._settings = settings
        self._early = EarlyReplications(ports, settings.driver)
        self._woken = asyncio.Event()
        self._is_running = False
        self._running: dict[asyncio.Task[None], tuple[int, int]] = {}
        """Which claim each drives: id and epoch of its job. One whose lease ran out while this
        process stood still may have been claimed again, by us."""
        self._operated: list[int] = []
        """Jobs that an operator has claimed, or is about to."""
        self._may_own_others = False
        """A claim had no answer: the journal may say that jobs are ours which nobody drives."""

    async def wake(self) -> None:
        self._woken.set()

    async def follow_upload(self, job: JobContext) -> None:
        """See ``greenray.actors.ports.TaskWaker``."""
        if self._is_running:  # nobody would claim the job here
            self._early.begin(job)

    async def trace_of(self, object_id: int) -> TracePart:
        """See ``greenray.timeline.stage_trace.TraceSource``."""
        return self._ports.trace.part(object_id)

    async def run(self) -> None:
        """Claim and drive until ``close``."""
        self._is_running = True
        keeper = asyncio.create_task(self._keep_leases())
        await self._ports.encoder.warm_up()
        try:
            while self._is_running:
                self._woken.clear()
                wait_s = await self._claim()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            keeper.cancel()

    async def close(self) -> None:
        """Finish no job, start no job: what runs is left to the next owner."""
        self._is_running = False
        self._woken.set()
        for task in self._running:
            task.cancel()
        await asyncio.gather(self._early.stop(), *self._running, return_exceptions=True)

    # --- what an operator asks for ---------------------------------------------------------------

    async def retry_now(self, sp_address: str, job_id: int) -> JobContext:
        """See ``greenray.actors.ports.JobOperator``."""
        with self._operating(job_id):
            job = await self._claim_one(sp_address, job_id)
            if job.state not in TASK_NODE_STATES:
                await self._release(job)
                raise InvalidInput("its payload is not stored", job.where, "Put the object again")
            self._start(job)
            return job

    async def give_up(self, sp_address: str, job_id: int) -> None:
        """See ``greenray.actors.ports.JobOperator``."""
        with self._operating(job_id):
            job = await self._claim_one(sp_address, job_id)
            try:
                await JobDriver(job, self._ports, self._settings.driver, self._early).give_up()
            finally:
                await self._release(job)

    @contextmanager
    def _operating(self, job_id: int) -> Iterator[None]:
        self._operated.append(job_id)
        try:
            yield
        finally:
            self._operated.remove(job_id)

    async def _claim_one(self, sp_address: str, job_id: int) -> JobContext:
        try:
            return await self._ports.job_store.claim_job(
                sp_address, job_id, self._owner, self._settings.lease_s
            )
        except (StoreError, ComponentUnavailable):
            self._may_own_others = True
            raise

    def _start(self, job: JobContext) -> None:
        task = asyncio.create_task(self._drive(job))
        self._running[task] = job.job_id, job.epoch
        task.add_done_callback(self._ended)

    async def _claim(self) -> float:
        """Start what is due; returns how long to sleep (s)."""
        settings = self._settings
        try:
            free = settings.parallel_jobs - len(self._running)
            if free > 0:
                for job in await self._claimed(free):
                    self._start(job)
            if len(self._running) >= settings.parallel_jobs:
                return settings.poll_s
            due_s = await self._ports.job_store.next_due_in_s()
        except GreenrayError as error:
            log.warning("the job store does not answer: %s", error)
            return settings.poll_s
        if due_s is None:
            return settings.poll_s
        return min(max(due_s, 0.02), settings.poll_s)

    async def _claimed(self, limit: int) -> Sequence[JobContext]:
        """Jobs to be driven from now on. A claim whose answer was lost may have been written; its
        leases would be renewed with the others, and nobody else would ever get those jobs."""
        jobs = self._ports.job_store
        if self._may_own_others:
            unfinished = await jobs.list_jobs(unfinished_only=True)
            self._may_own_others = False
            others = [job for job in unfinished if self._is_undriven(job)]
            if others:
                return others
        try:
            return await jobs.claim_jobs(self._owner, self._settings.lease_s, limit)
        except GreenrayError:
            self._may_own_others = True
            raise

    def _is_undriven(self, job: JobContext) -> bool:
        return (
            job.owner == self._owner
            and job.job_id not in self._operated
            and (job.job_id, job.epoch) not in self._running.values()
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._woken.set()

    async def _drive(self, job: JobContext) -> None:
        if not await self._run_driver(job):
            # Nothing on record holds the job back: what was in the way must not be met at once.
            await asyncio.sleep(self._settings.poll_s)
        await self._release(job)

    async def _run_driver(self, job: JobContext) -> bool:
        """Whether the journal says how it ended."""
        try:
            with self._ports.trace.cpu.working():
                await JobDriver(job, self._ports, self._settings.driver, self._early).run()
        except StaleJob as error:
            log.warning("lost the job to another owner: %s", error)
        except GreenrayError as error:
            log.warning("%s: the journal could not be written: %s", job.object_info.name, error)
        except Exception:
            log.exception("%s could not be driven", job.where)
        else:
            return True
        return False

    async def _release(self, job: JobContext) -> None:
        """Give the job back; a job store that is away is asked until it answers, because a lease
        that this node keeps renewing would hold the job for ever."""
        while True:
            try:
                await self._ports.job_store.release_job(job.sp_address, job.job_id, job.epoch)
            except GreenrayError as error:
                log.warning("%s: not released yet: %s", job.object_info.name, error)
                await asyncio.sleep(self._settings.poll_s)
            else:
                return

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            try:
                await self._ports.job_store.renew_leases(self._owner, self._settings.lease_s)
            except GreenrayError as error:
                log.warning("leases could not be renewed: %s", error)
