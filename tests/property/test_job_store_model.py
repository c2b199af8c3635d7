"""Random calls in random groups against a model that is one dictionary per kind of row."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.protocol.errors import GreenrayError, NoSpaceLeft
from greenray.protocol.job import JobContext, JobError
from greenray.protocol.job_claims import admit_upload, is_claimable
from greenray.protocol.job_events import (
    GivenUp,
    JobEvent,
    OwnerLost,
    ReplicateFailed,
    ReplicateStarted,
    RetryDue,
    UploadFailed,
    UploadFinished,
    UploadResumed,
    UploadStarted,
)
from greenray.protocol.job_table import check_and_apply
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import IntegrityRecord, JobStore, JobUpdate
from greenray.storage.sqlite_store import SqliteJobStore
from tests.contracts.job_store_contract import Clock
from tests.support.protocol_values import HELLO, PRIMARY

OBJECTS = 4
OWNERS = ("red", "green", "blue")
LEASE_S = 10.0
ERROR = JobError.of(NoSpaceLeft("full"))
Call = tuple[Coroutine[Any, Any, object], Callable[[], object]]
"""What the store is asked, and what the model answers to the same."""


@dataclass
class Model:
    """The job store in plain words."""

    clock: Clock
    jobs: dict[int, JobContext] = field(default_factory=dict)
    integrity: dict[int, IntegrityRecord] = field(default_factory=dict)

    def begin(self, object_id: int, owner: str) -> JobContext:
        now = self.clock()
        job = self.jobs.get(object_id)
        admission = admit_upload(job, now).value
        if job is None:
            info = replace(HELLO, id=object_id)
            job = JobContext(len(self.jobs) + 1, PRIMARY, info, StorageParams(), 4, now, now + 100)
        started: JobEvent = UploadStarted() if admission == "create" else UploadResumed()
        if admission == "take-over":
            job = self.changed(job, OwnerLost())
        job = self.owned(replace(job, deadline_at=now + 100), owner)
        return self.kept(self.changed(job, started))

    def apply(self, update: JobUpdate) -> JobContext:
        job = next(j for j in self.jobs.values() if j.job_id == update.job_id)
        return self.kept(
            check_and_apply(job, update.epoch, update.expected_state, update.event, self.clock())
        )

    def finish(self, update: JobUpdate, record: IntegrityRecord) -> JobContext:
        job = self.apply(update)
        self.integrity[record.object_id] = record
        return self.kept(replace(job, owner="", lease_expires_at=0.0))

    def claim(self, owner: str, limit: int) -> tuple[JobContext, ...]:
        due = [j for j in self.jobs.values() if is_claimable(j, self.clock())]
        due.sort(key=lambda j: (j.created_at, j.job_id))
        return tuple(self.kept(self.owned(job, owner)) for job in due[:limit])

    def renew(self, owner: str) -> int:
        mine = [j for j in self.jobs.values() if j.owner == owner]
        for job in mine:
            self.kept(replace(job, lease_expires_at=self.clock() + LEASE_S))
        return len(mine)

    def release(self, job: JobContext) -> None:
        current = self.jobs[job.object_id]
        if current.epoch == job.epoch:
            self.kept(replace(current, owner="", lease_expires_at=0.0))

    def all(self) -> tuple[JobContext, ...]:
        return tuple(sorted(self.jobs.values(), key=lambda j: j.job_id))

    def owned(self, job: JobContext, owner: str) -> JobContext:
        lease = self.clock() + LEASE_S
        return replace(job, owner=owner, lease_expires_at=lease, epoch=job.epoch + 1)

    def changed(self, job: JobContext, event: JobEvent) -> JobContext:
        return check_and_apply(job, job.epoch, job.state, event, self.clock())

    def kept(self, job: JobContext) -> JobContext:
        self.jobs[job.object_id] = job
        return job


def random_event(generator: random.Random, now: float) -> JobEvent:
    due_at = now + generator.choice([0, 5, 20])
    events: list[JobEvent] = [
        UploadFinished(),
        UploadFailed(ERROR),
        ReplicateStarted(),
        ReplicateFailed(ERROR, due_at),
        RetryDue(),
        GivenUp(),
    ]
    return generator.choice(events)


def random_call(
    generator: random.Random, store: JobStore, model: Model, seen: list[JobContext]
) -> Call:
    object_id = generator.randint(1, OBJECTS)
    owner = generator.choice(OWNERS)
    kind = generator.choice(["begin", "apply", "apply", "finish", "claim", "renew", "release"])
    if kind in ("apply", "finish", "release") and seen:
        job = generator.choice(seen[-8:])  # perhaps long out of date
        if kind == "release":
            released = store.release_job(PRIMARY, job.job_id, job.epoch)
            return released, lambda: model.release(job)
        event = random_event(generator, model.clock())
        update = JobUpdate(PRIMARY, job.job_id, job.epoch, job.state, event)
        if kind == "apply":
            return store.apply(update), lambda: model.apply(update)
        signature = generator.randbytes(4)
        record = IntegrityRecord(PRIMARY, job.object_id, -1, (b"1",), b"2", signature)
        return store.finish_upload(update, record), lambda: model.finish(update, record)
    if kind == "claim":
        limit = generator.randint(0, 3)
        return store.claim_jobs(owner, LEASE_S, limit), lambda: model.claim(owner, limit)
    if kind == "renew":
        return store.renew_leases(owner, LEASE_S), lambda: model.renew(owner)
    info = replace(HELLO, id=object_id)
    begun = store.begin_upload(PRIMARY, info, StorageParams(), 4, owner, LEASE_S, 100)
    return begun, lambda: model.begin(object_id, owner)


def answer_of(call: Callable[[], object]) -> object:
    try:
        return call()
    except GreenrayError as error:
        return error


def comparable(answer: object) -> object:
    if isinstance(answer, BaseException):
        assert isinstance(answer, GreenrayError), answer
        return type(answer), str(answer)
    return answer


async def compare(path: Path, seed: int, groups: list[int]) -> set[str]:
    generator = random.Random(seed)
    clock = Clock(1000.0)
    model = Model(clock)
    store = SqliteJobStore.open(path, clock)
    seen: list[JobContext] = []
    kinds: set[str] = set()
    for size in groups:
        calls = [random_call(generator, store, model, seen) for _ in range(size)]
        found = await asyncio.gather(*(ask for ask, _ in calls), return_exceptions=True)
        for answer, (_, expect) in zip(found, calls, strict=True):
            assert comparable(answer) == comparable(answer_of(expect))
            kinds.add(type(answer).__name__)
            for job in answer if isinstance(answer, tuple) else (answer,):
                if isinstance(job, JobContext):
                    seen.append(job)
        clock.now += generator.choice([0, 1, LEASE_S / 2, LEASE_S])
        if generator.random() < 0.1:
            await store.close()
            store = SqliteJobStore.open(path, clock)
    assert await store.list_jobs() == model.all()
    for object_id in range(1, OBJECTS + 1):
        record = await store.get_integrity(PRIMARY, object_id, -1)
        assert record == model.integrity.get(object_id)
    await store.close()
    return kinds


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 8), min_size=1, max_size=20))
def test_the_store_answers_what_the_model_answers_in_any_interleaving(
    seed: int, groups: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        asyncio.run(compare(Path(root) / "journal.db", seed, groups))


def test_random_calls_reach_the_refusals_too(tmp_path: Path) -> None:
    kinds = asyncio.run(compare(tmp_path / "journal.db", 1, [8] * 60))
    assert {"JobContext", "AlreadyUploaded", "StaleJob", "IllegalTransition"} <= kinds
