"""Drives one claimed job from where its row says it is to SEAL_OBJECT_DONE, or to an error.

Each step is: do the work, commit the event, go on with the row that came back. Everything needed
to continue is in the row, so a driver may start in any state.
"""

from __future__ import annotations

import logging
import random
from typing import assert_never

from greenray.actors.ports import SealOrder
from greenray.actors.task_node.driver_ports import DriverPorts, collect_approvals, new_run, record
from greenray.actors.task_node.early_replication import EarlyReplications
from greenray.actors.task_node.settings import DriverSettings
from greenray.protocol.errors import (
    ChainError,
    GreenrayError,
    IllegalTransition,
    NoSuchObject,
    ReceiptsVoid,
    StaleJob,
)
from greenray.protocol.job import JobContext, JobError
from greenray.protocol.job_claims import next_look_at, next_retry_at
from greenray.protocol.job_events import (
    GivenUp,
    JobEvent,
    ReceiptsVoided,
    ReplicateFinished,
    ReplicateStarted,
    RetryDue,
    SealFinished,
    SealWatchStarted,
    SignFinished,
    SignStarted,
)
from greenray.protocol.job_table import STATES, Step, StepFailure, TaskNodeState
from greenray.protocol.layout import PayloadLayout
from greenray.timeline.stage_trace import Stage

log = logging.getLogger(__name__)


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
        self._parked_for = job.error.waits_for if job.error else ""

    async def run(self) -> JobContext:
        """The job after this claim: sealed, given up, or waiting for its next retry.

        Raises:
            StaleJob: somebody else owns the job now; nothing more is written then.
            IllegalTransition: the job is in a state that is not the task node's.
        """
        while not self._job.final:
            step = self._row().step
            try:
                await self._take(step)
                if step is not Step.RETRY:
                    await self._wake_others()
            except StaleJob:
                raise
            except ReceiptsVoid as error:
                await self._wake_others()
                await self._replicate_again(error)
            except Exception as error:
                await self._fail(error)
                break
        return self._job

    # --- steps ---------------------------------------------------------------------------------

    def _row(self) -> TaskNodeState:
        row = STATES[self._job.state]
        if not isinstance(row, TaskNodeState):
            raise IllegalTransition(
                f"a task node has nothing to do in state {self._job.state.name}", self._job.where
            )
        return row

    async def _take(self, step: Step) -> None:
        match step:
            case Step.START_REPLICATING:
                await self._record(ReplicateStarted())
            case Step.REPLICATE:
                await self._replicate()
            case Step.START_SIGNING:
                await self._record(SignStarted())
            case Step.SIGN:
                await self._sign()
            case Step.START_WATCHING:
                await self._record(SealWatchStarted())
            case Step.WATCH:
                await self._watch()
            case Step.RETRY:
                await self._record(RetryDue())
            case _:
                assert_never(step)

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
        await self._record(ReplicateFinished(), SignStarted())
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

    async def _sign(self) -> None:
        with self._stages.during(Stage.SUBMITTED):
            ticket = await self._ports.sealer.submit_seal(self._seal_order())
        await self._record(SignFinished(ticket.tx_hash), SealWatchStarted())

    async def _replicate_again(self, error: ReceiptsVoid) -> None:
        log.warning("%s: %s", self._job.object_info.name, error)
        self._ports.providers.forget()
        await self._record(ReceiptsVoided(error.void))

    async def _watch(self) -> None:
        with self._stages.during(Stage.SEALED):
            outcome = await self._ports.sealer.watch_seal(
                self._seal_order(), self._settings.seal_timeout_s
            )
        await self._record(SealFinished(outcome.height, outcome.tx_hash))

    async def _wake_others(self) -> None:
        """What this job was parked for has come, for all that wait for the same. (After an error of
        another kind nobody knows, and the next of them looks.)"""
        if self._parked_for:
            waits_for, self._parked_for = self._parked_for, ""
            try:
                await self._ports.job_store.wake_parked(self._job.sp_address, waits_for)
            except GreenrayError as error:
                log.warning("jobs that waited for %s go on one by one: %s", waits_for, error)

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
        job, failure = self._job, self._row().failure
        job_error = _job_error(job, error)
        due = self._due(job_error)
        await self._record(failure(job_error, due))
        if job_error.parks and job_error.waits_for == self._parked_for:
            return  # nothing has changed, for thousands of jobs perhaps
        log.warning("%s: %s (%s)", job.object_info.name, job_error.message, job_error.reason)
        if due is None or not (job_error.retryable or job_error.parks):
            await self._end(failure, job_error)

    def _due(self, error: JobError) -> float | None:
        now, settings = self._ports.clock(), self._settings
        if error.parks:
            return next_look_at(now, random.random(), settings.parked_look_s)
        return next_retry_at(
            self._job, now, random.random(), settings.retry_base_s, settings.retry_cap_s
        )

    async def _end(self, failure: StepFailure, error: JobError) -> None:
        """Give the job up once the chain has been told; while it cannot be, the job stays."""
        try:
            await self._ports.sealer.reject_seal(self._seal_order())
        except NoSuchObject as gone:
            log.info("%s needs no rejection: %s", self._job.object_info.name, gone)
        except ChainError as away:
            log.warning("%s is given up later: %s", self._job.object_info.name, away)
            later = self._ports.clock() + self._settings.retry_cap_s
            await self._record(failure(error, later))
            return
        await self._record(GivenUp())
        log.error("%s is given up: %s", self._job.object_info.name, self._job.error)

    async def give_up(self) -> None:
        """Nobody tries this job again; its object is rejected on chain, if the chain lets it.

        Raises: IllegalTransition (it is not in an error state), StaleJob, and what ``reject_seal``
        raises, when the job is given up already.
        """
        await self._record(GivenUp())
        log.error("%s is given up: %s", self._job.object_info.name, self._job.error)
        await self._ports.sealer.reject_seal(self._seal_order())


def _job_error(job: JobContext, error: Exception) -> JobError:
    if isinstance(error, GreenrayError):
        return JobError.of(error)
    log.error("a step of %s broke", job.where, exc_info=error)
    return JobError(GreenrayError.reason, f"{type(error).__name__}: {error}", retryable=True)
