"""Drives one claimed job from where its row says it is to SEAL_OBJECT_DONE, or to an error.

Each step is: do the work, commit the event, go on with the row that came back. Everything needed
to continue is in the row, so a driver may start in any state.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

from greenray.actors.ports import SealOrder
from greenray.actors.task_node.driver_ports import DriverPorts, collect_approvals, new_run, record
from greenray.actors.task_node.early_replication import EarlyReplications
from greenray.actors.task_node.settings import DriverSettings
from greenray.protocol.errors import GreenrayError, StaleJob
from greenray.protocol.job import (
    EventKind,
    JobContext,
    JobError,
    JobEvent,
    JobState,
    next_attempt_at,
)
from greenray.protocol.layout import PayloadLayout
from greenray.timeline.stage_trace import Stage

log = logging.getLogger(__name__)


_FAILURE_EVENTS = {
    JobState.UPLOAD_OBJECT_DONE: EventKind.REPLICATE_FAILED,
    JobState.REPLICATE_OBJECT_DOING: EventKind.REPLICATE_FAILED,
    JobState.SIGN_OBJECT_DOING: EventKind.SIGN_FAILED,
    JobState.SEAL_OBJECT_TX_DOING: EventKind.SEAL_FAILED,
}


class JobDriver:
    """One claim of one job."""

    def __init__(
        self,
        job: JobContext,
        ports: DriverPorts,
        settings: DriverSettings,
        early: EarlyReplications,
    ) -> None:
        """``early``: what this node sent ahead during uploads."""
        self._job = job
        self._early = early
        self._ports = ports
        self._settings = settings
        self._stages = ports.trace.of(job.object_id, job.sp_address)
        self._steps: dict[JobState, Callable[[], Awaitable[None]]] = {
            JobState.UPLOAD_OBJECT_DONE: self._start_replicating,
            JobState.REPLICATE_OBJECT_DOING: self._replicate,
            JobState.REPLICATE_OBJECT_DONE: self._start_signing,
            JobState.REPLICATE_OBJECT_ERROR: self._retry,
            JobState.SIGN_OBJECT_DOING: self._sign,
            JobState.SIGN_OBJECT_DONE: self._start_watching,
            JobState.SIGN_OBJECT_ERROR: self._retry,
            JobState.SEAL_OBJECT_TX_DOING: self._watch,
            JobState.SEAL_OBJECT_ERROR: self._retry,
        }

    async def run(self) -> JobContext:
        """The job after this claim: sealed, given up, or waiting for its next attempt.

        Raises StaleJob when somebody else owns the job now; nothing more is written then.
        """
        while not self._job.final:
            try:
                await self._steps[self._job.state]()
            except StaleJob:
                raise
            except Exception as error:
                await self._fail(error)
                break
        return self._job

    # --- steps ---------------------------------------------------------------------------------

    async def _start_replicating(self) -> None:
        await self._record(JobEvent(EventKind.REPLICATE_STARTED))

    async def _replicate(self) -> None:
        if not self._has_usable_approvals():
            await self._collect_approvals()
        job = self._job
        started = self._early.take(job)
        if started is not None:
            started.run.admit(job, self._record)
            await started.working
        else:
            run = new_run(job, self._ports, self._settings, uploading=False)
            run.admit(job, self._record)
            await run.run()
        await self._record(JobEvent(EventKind.REPLICATE_FINISHED), JobEvent(EventKind.SIGN_STARTED))
        layout = PayloadLayout.of(job.object_info, job.params, job.batch_segments)
        if layout.pieces.batch_size_bytes(0) >= self._settings.hot_from_bytes:
            await self._ports.hot_columns.release_object(job.sp_address, job.object_id)

    def _has_usable_approvals(self) -> bool:
        """Approvals on record that are still valid for every index that is not finished."""
        if not self._job.approvals:
            return False
        now = self._ports.clock()
        missing = self._ports.dialect.secondaries.plan(self._job).assignments()
        return all(approval.expired_time > now for approval in missing.values())

    async def _collect_approvals(self) -> None:
        await self._record(await collect_approvals(self._job, self._ports, self._settings))

    async def _start_signing(self) -> None:
        await self._record(JobEvent(EventKind.SIGN_STARTED))

    async def _sign(self) -> None:
        with self._stages.during(Stage.SUBMITTED):
            ticket = await self._ports.sealer.submit_seal(self._seal_order())
        await self._record(
            JobEvent.sign_finished(ticket.tx_hash), JobEvent(EventKind.SEAL_WATCH_STARTED)
        )

    async def _start_watching(self) -> None:
        await self._record(JobEvent(EventKind.SEAL_WATCH_STARTED))

    async def _watch(self) -> None:
        with self._stages.during(Stage.SEALED):
            outcome = await self._ports.sealer.watch_seal(
                self._seal_order(), self._settings.seal_timeout_s
            )
        await self._record(JobEvent.seal_finished(outcome.height, outcome.tx_hash))

    async def _retry(self) -> None:
        await self._record(JobEvent(EventKind.RETRY_DUE))

    # --- recording -----------------------------------------------------------------------------

    def _seal_order(self) -> SealOrder:
        job = self._job
        return SealOrder(
            job.sp_address, job.job_id, job.epoch, job.object_info, job.params, job.secondaries
        )

    async def _record(self, *events: JobEvent) -> JobContext:
        self._job = after = await record(self._job, self._ports.job_store, *events)
        return after

    async def _fail(self, error: Exception) -> None:
        """Write why the step failed and when it is tried again, or that it never will be."""
        job = self._job
        kind = _FAILURE_EVENTS.get(job.state)
        if kind is None:
            raise error
        if isinstance(error, GreenrayError):
            job_error = JobError.of(error)
        else:
            log.exception("a step of %s broke", job.where)
            message = f"{type(error).__name__}: {error}"
            job_error = JobError(GreenrayError.reason, message, retryable=True)
        due = next_attempt_at(
            job,
            self._ports.clock(),
            random.random(),
            self._settings.retry_base_s,
            self._settings.retry_cap_s,
        )
        await self._record(JobEvent.failed(kind, job_error, due))
        log.warning("%s: %s (%s)", job.object_info.name, job_error.message, job_error.reason)
        if due is None or not job_error.retryable:
            await self._give_up()

    async def _give_up(self) -> None:
        await self._record(JobEvent(EventKind.GIVEN_UP))
        log.error("%s is given up: %s", self._job.object_info.name, self._job.error)
        await self._ports.sealer.reject_seal(self._seal_order())
