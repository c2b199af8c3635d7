"""What it takes to drive jobs, and what every driver does alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.credit.buffers import BufferPool
from greenray.actors.credit.byte_budget import ByteBudget
from greenray.actors.ports import (
    ApprovalSource,
    Encoder,
    HotColumns,
    ObjectSpace,
    RunningUploads,
    SealerPort,
    SecondaryDirectory,
)
from greenray.actors.replication.batch_source import BatchSource, SourceObject
from greenray.actors.replication.run import ReplicationRun
from greenray.actors.task_node.settings import DriverSettings
from greenray.chain.dialect import Dialect
from greenray.protocol.job import JobContext
from greenray.protocol.job_events import ApprovalsCollected, JobEvent
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.ports import Fence, JobStore, JobUpdate, PieceStore
from greenray.timeline.stage_trace import Stage, StageTrace


@dataclass(frozen=True, slots=True)
class DriverPorts:
    """Everything a driver needs of the world."""

    job_store: JobStore
    piece_stores: dict[str, PieceStore]
    approvals: ApprovalSource
    secondaries: SecondaryDirectory
    sealer: SealerPort
    encoder: Encoder
    object_space: ObjectSpace
    hot_columns: HotColumns
    running_uploads: RunningUploads
    cold_buffers: BufferPool
    replication_budget: ByteBudget
    providers: ProviderBook
    dialect: Dialect
    clock: Callable[[], float]
    trace: StageTrace = field(default_factory=StageTrace)


async def record(job: JobContext, job_store: JobStore, *events: JobEvent) -> JobContext:
    """Commit events of a job, together, as its row was seen last; returns the row after them."""
    first, *then = events
    update = JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, first, tuple(then))
    return await job_store.apply(update)


async def collect_approvals(
    job: JobContext, ports: DriverPorts, settings: DriverSettings
) -> JobEvent:
    """Ask all other SPs; returns the event to be recorded.

    Raises TooFewApprovals, with every SP's reason, rather than plan what cannot work.
    """
    with ports.trace.of(job.object_id, job.sp_address).during(Stage.APPROVED):
        answers = await ports.approvals.get_secondary_approvals(
            job.object_info, job.sp_address, job.params.n, settings.approval_timeout_s
        )
    ports.dialect.secondaries.plan_with(job, answers.accepted, answers.not_accepted)
    return ApprovalsCollected(answers.accepted)


def new_run(
    job: JobContext, ports: DriverPorts, settings: DriverSettings, *, uploading: bool
) -> ReplicationRun:
    """``uploading``: the payload of ``job``, whose row has the approvals, still arrives."""
    layout = PayloadLayout.of(job.object_info, job.params, job.batch_segments)
    source = BatchSource(
        SourceObject(
            job.sp_address, job.object_id, layout, Fence(job.epoch) if uploading else None
        ),
        piece_store=ports.piece_stores[job.sp_address],
        hot_columns=ports.hot_columns,
        object_space=ports.object_space,
        encoder=ports.encoder,
        buffers=ports.cold_buffers,
        stages=ports.trace.of(job.object_id, job.sp_address),
        hot_from_bytes=settings.hot_from_bytes,
    )

    async def segment_checksums() -> tuple[bytes, ...]:
        record = await ports.job_store.get_integrity(job.sp_address, job.object_id, SEGMENTS)
        return record.piece_checksums if record else ()

    return ReplicationRun(
        job,
        source=source,
        secondaries=ports.secondaries,
        rules=ports.dialect.secondaries,
        providers=ports.providers,
        segment_checksums=segment_checksums,
        budget=ports.replication_budget,
        settings=settings.replication,
        trace=ports.trace,
        arrivals=lambda batch_index: ports.running_uploads.wait_for_batch(job, batch_index),
    )
