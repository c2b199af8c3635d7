"""Replication that begins while the payload still arrives (design §3, "One port to a secondary").

What is sent ahead is acknowledged by the secondaries, but not recorded in the job and not signed.
When the upload succeeds the job's driver takes the run over; when it fails, the secondaries forget
what they have; when this process ends, the next one continues from what they have.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from greenray.actors.replication.run import ReplicationRun
from greenray.actors.task_node.driver_ports import DriverPorts, collect_approvals, new_run, record
from greenray.actors.task_node.settings import DriverSettings
from greenray.protocol.errors import ComponentUnavailable, GreenrayError
from greenray.protocol.job import JobContext
from greenray.protocol.job_table import UPLOADER_STATES

log = logging.getLogger(__name__)

_TAKE_OVER_S = 30.0
"""How long a run waits for its job to be claimed here after the upload."""

_RunKey = tuple[str, int, int]


def _run_key(job: JobContext) -> _RunKey:
    return job.sp_address, job.job_id, job.approval_round


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that may have sent batches already; ``working`` is its ``run``."""

    run: ReplicationRun
    working: asyncio.Task[JobContext]
    taken: asyncio.Event = field(default_factory=asyncio.Event)


class EarlyReplications:
    """The runs of one TaskNode whose jobs are not claimed yet."""

    def __init__(self, ports: DriverPorts, settings: DriverSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._runs: dict[_RunKey, StartedRun] = {}
        self._following: set[asyncio.Task[None]] = set()

    def begin(self, job: JobContext) -> None:
        """Send the batches of ``job`` ahead; its upload has just begun."""
        task = asyncio.create_task(self._follow(job))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def take(self, job: JobContext) -> StartedRun | None:
        """The run that follows this job's approvals, if there is one; it is the caller's now."""
        started = self._runs.pop(_run_key(job), None)
        if started is None or started.working.done():
            return None
        started.taken.set()
        return started

    async def stop(self) -> None:
        """Leave everything as it is to the next owner of the jobs."""
        tasks = [*self._following, *(started.working for started in self._runs.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, job: JobContext) -> None:
        try:
            job = await self._with_approvals(job)
            run = await self._prepared(job)
        except GreenrayError as error:
            # The job's driver will ask again, and record the reason if it has to.
            log.info("%s is not sent ahead: %s", job.object_info.name, error)
            return
        if run is None:
            return
        started = StartedRun(run, asyncio.create_task(run.run()))
        self._runs[_run_key(job)] = started
        try:
            if await self._is_stored(job):
                async with asyncio.timeout(_TAKE_OVER_S):
                    await started.taken.wait()
            else:
                await self._end(started)
                await run.abandon()
        except TimeoutError:
            log.warning("%s was not claimed here after its upload", job.object_info.name)
            await self._end(started)
        finally:
            self._runs.pop(_run_key(job), None)

    async def _with_approvals(self, job: JobContext) -> JobContext:
        """The job with approvals on record, before anything is sent: whoever continues it finds the
        same assignments. Raises StaleJob when the upload was over first."""
        event = await collect_approvals(job, self._ports, self._settings)
        return await record(job, self._ports.job_store, event)

    async def _prepared(self, job: JobContext) -> ReplicationRun | None:
        """None when the end of the upload has to be waited for: a secondary takes whole groups."""
        for approval in self._ports.dialect.secondaries.plan(job).assignments().values():
            provider = await self._ports.providers.get(approval.sp_operator_address)
            if not self._ports.secondaries.client(provider).keeps_batches:
                return None
        return new_run(job, self._ports, self._settings, uploading=True)

    async def _is_stored(self, job: JobContext) -> bool:
        """Wait for the end of the upload; whether it succeeded."""
        try:
            await self._ports.running_uploads.wait_for_end(job)
        except ComponentUnavailable as error:
            log.info("%s: its uploader is gone: %s", job.object_info.name, error)
        try:
            row = await self._ports.job_store.job_of(job.sp_address, job.object_info.identity)
        except GreenrayError as error:
            log.warning("%s: the job cannot be read: %s", job.object_info.name, error)
            return True  # nothing that may be needed is thrown away
        return row is not None and row.state not in UPLOADER_STATES

    async def _end(self, started: StartedRun) -> None:
        started.working.cancel()
        await asyncio.wait([started.working])
        if not started.working.cancelled() and (error := started.working.exception()):
            log.info("what was sent ahead had failed: %s", error)
