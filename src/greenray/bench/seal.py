"""``bench seal``: seals per second, of the embedded chain alone and through the Signer.

Both sides have a primary SP of their own, so that neither uses up the other's nonces.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from greenray.actors.ports import SealOrder
from greenray.actors.signer.actor import Signer
from greenray.bench.accounting import PeakMemory, ProcessTrees
from greenray.bench.machine_watch import watched
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import Meter, OnStep, result_of
from greenray.bench.seal_world import SealWorld
from greenray.bench.site import SPARE_BYTES
from greenray.bench.work_dir import file_system_of, work_dir
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.protocol.job import JobContext
from greenray.protocol.job_events import (
    JobEvent,
    ReplicateFinished,
    ReplicateStarted,
    SealFinished,
    SealWatchStarted,
    SecondaryFinished,
    SignFinished,
    SignStarted,
    UploadFinished,
)
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import IntegrityRecord, JobStore, JobUpdate
from greenray.storage.sqlite_store import SqliteJobStore

_ALONE, _SIGNER = 0, 1
_KINDS = ("chain alone", "through the signer")
_LEASE_S = 3600.0
_SAMPLING_S = 0.2
_WATCH_S = 60.0
_AT_ONCE = 512
"""Jobs under way through the Signer: more than two blocks take."""


@dataclass(frozen=True, slots=True)
class SealOptions:
    """``seals`` in each repeat of each side."""

    settings: Settings
    seals: int
    repeats: int
    work_dir: Path
    quick: bool = False


@dataclass(frozen=True, slots=True)
class _Cost:
    """``chain_cpu_s``: the part of ``cpu_s`` that the chain's process takes."""

    seconds: float
    cpu_s: float
    chain_cpu_s: float


@watched
def run_seal(options: SealOptions, on_step: OnStep) -> BenchResult:
    """Raises ChainError, TransactionRefused, ...; ChainAnswerInvalid: not sealed as it must be."""
    with work_dir(options.work_dir, SPARE_BYTES) as root:
        return asyncio.run(_run(options, root, on_step))


async def _run(options: SealOptions, root: Path, on_step: OnStep) -> BenchResult:
    environment = describe_environment(_settings(options, root))
    meter = Meter(ProcessTrees([os.getpid()]))
    costs: list[list[_Cost]] = [[], []]
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(SealWorld.opened(root, options.settings.chain))
        store = SqliteJobStore.open(root / "jobs.sqlite")
        signer = Signer(chain=world.chain, store=store, keys=world.keys, dialect=world.dialect)
        stack.push_async_callback(store.close)
        stack.push_async_callback(signer.close)
        for number in range(options.repeats + 1):
            for side in (_ALONE, _SIGNER):
                infos = await world.created_objects(side, options.seals)
                if side == _ALONE:
                    seal = await _prepared_alone(world, infos)
                else:
                    seal = await _prepared_signer(world, store, signer, infos)
                cost = await _measured(seal, meter, ProcessTrees([world.chain_pid]))
                await world.check_sealed(side, infos)
                costs[side].append(cost)
                what = f"{_KINDS[side]}, {'repeat' if number else 'warm-up'}"
                on_step(f"{what}: {options.seals / cost.seconds:.0f} seals/s")
    rows = seal_rows(options.seals, [of_side[1:] for of_side in costs])
    return result_of(
        "seal", options.quick, environment, rows, _summary(rows), meter.peak_memory_bytes, 0
    )


async def _measured(
    seal: Callable[[], Awaitable[object]], meter: Meter, chain: ProcessTrees
) -> _Cost:
    with PeakMemory(meter.trees, _SAMPLING_S) as memory:
        before_s, chain_before_s = meter.trees.cpu_s(), chain.cpu_s()
        began_at = perf_counter()
        await seal()
        cost = _Cost(
            perf_counter() - began_at,
            meter.trees.cpu_s() - before_s,
            chain.cpu_s() - chain_before_s,
        )
    meter.saw(memory.bytes)
    return cost


# --- the chain alone -----------------------------------------------------------------------------


async def _prepared_alone(
    world: SealWorld, infos: Sequence[ObjectInfo]
) -> Callable[[], Awaitable[object]]:
    """Sending transactions that are signed already, with consecutive nonces of one key."""
    sender = world.seal_sender(_ALONE)
    transactions = await sender.signed(
        [
            world.dialect.seal_message(sender.address, info, world.receipts(_ALONE, info))
            for info in infos
        ]
    )
    return lambda: sender.send(transactions)


# --- through the Signer --------------------------------------------------------------------------


async def _prepared_signer(
    world: SealWorld, store: JobStore, signer: Signer, infos: Sequence[ObjectInfo]
) -> Callable[[], Awaitable[object]]:
    """Sealing jobs whose replication is done, as the TaskNode does."""
    jobs = iter(await _replicated_jobs(world, store, infos))

    async def seal_all() -> None:
        for job in jobs:
            await seal(job)

    async def seal(job: JobContext) -> None:
        order = SealOrder(
            job.sp_address, job.job_id, job.epoch, job.object_info, job.params, job.secondaries
        )
        ticket = await signer.submit_seal(order)
        job = await _applied(store, job, SignFinished(ticket.tx_hash))
        job = await _applied(store, job, SealWatchStarted())
        outcome = await signer.watch_seal(order, _WATCH_S)
        await _applied(store, job, SealFinished(outcome.height, outcome.tx_hash))

    return lambda: asyncio.gather(*(seal_all() for _ in range(_AT_ONCE)))


async def _replicated_jobs(
    world: SealWorld, store: JobStore, infos: Sequence[ObjectInfo]
) -> list[JobContext]:
    """In SIGN_OBJECT_DOING, owned by us."""
    sp_address = world.primary(_SIGNER)

    async def upload(info: ObjectInfo) -> None:
        job = await store.begin_upload(
            sp_address, info, world.params, 4, "bench", _LEASE_S, _LEASE_S
        )
        record = IntegrityRecord(sp_address, info.id, -1, (), info.checksums[0], bytes(65))
        update = JobUpdate(sp_address, job.job_id, job.epoch, job.state, UploadFinished())
        await store.finish_upload(update, record)

    async def replicate(job: JobContext) -> JobContext:
        receipts = world.receipts(_SIGNER, job.object_info)
        events: tuple[JobEvent, ...] = (
            ReplicateStarted(),
            *map(SecondaryFinished, receipts),
            ReplicateFinished(),
            SignStarted(),
        )
        for event in events:
            job = await _applied(store, job, event)
        return job

    await asyncio.gather(*map(upload, infos))
    jobs = await store.claim_jobs("bench", _LEASE_S, len(infos))
    return list(await asyncio.gather(*map(replicate, jobs)))


async def _applied(store: JobStore, job: JobContext, event: JobEvent) -> JobContext:
    return await store.apply(JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event))


# --- results -------------------------------------------------------------------------------------


def seal_rows(seals: int, costs: Sequence[Sequence[_Cost]]) -> list[Row]:
    """``costs``: of the repeats of the chain alone, and of those through the Signer."""
    rows = []
    for kind, of_side in zip(_KINDS, costs, strict=True):
        rates = tuple(seals / cost.seconds for cost in of_side)
        cpu_ms = tuple(1e3 * cost.cpu_s / seals for cost in of_side)
        chain_ms = tuple(1e3 * cost.chain_cpu_s / seals for cost in of_side)
        rows.append(Row(Case(kind), "seals", "seals/s", rates))
        rows.append(Row(Case(kind), "CPU per seal", "ms", cpu_ms, higher_is_better=False))
        rows.append(
            Row(Case(kind), "CPU of the chain per seal", "ms", chain_ms, higher_is_better=False)
        )
    return rows


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    alone, signer = (statistics.median(row.values) for row in rows if row.metric == "seals")
    return {"chain_alone_seals_s": alone, "through_the_signer_seals_s": signer}


def _settings(options: SealOptions, root: Path) -> dict[str, Any]:
    return {
        "repeats": options.repeats,
        "seals": options.seals,
        "block_interval_s": options.settings.chain.block_interval_s,
        "writes": {
            "file_system": file_system_of(root),
            "durable": True,
            "files": "one journal, one chain home, both grow from repeat to repeat",
            "warm_up": "one uncounted run of each side, in the same processes",
        },
    }
