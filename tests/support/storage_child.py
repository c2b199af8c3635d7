"""A process that stores columns or journal entries until it is killed, and says what it was told.

``python -m tests.support.storage_child columns ROOT SEED`` prints ``ACK name size`` after each sync
and ``DONE name`` after each finish. ``... journal FILE SEED`` prints ``ANSWER object epoch state``
after each answer. ``... freeze FILE N`` goes through one job, and at its N-th commit prints
``COMMITTED description`` and waits for ever, before the caller is answered.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from dataclasses import replace
from pathlib import Path

from greenray.protocol.job import JobContext, SecondaryReceipt
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
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import StorageParams
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import (
    ColumnKey,
    Fence,
    IntegrityRecord,
    JobUpdate,
    TransactionRow,
    TransactionState,
)
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.aligned import aligned_copy
from tests.support.protocol_values import HELLO, PRIMARY, SECONDARIES

SIGNER = SECONDARIES[5]


def say(*words: object) -> None:
    print(*words, flush=True)


# --- columns -------------------------------------------------------------------------------------


def layout_of(object_id: int) -> ColumnLayout:
    size_bytes = 200_000 + object_id * 37_123
    return ColumnLayout(1, size_bytes, size_bytes)


def content_of(object_id: int) -> bytes:
    return random.Random(object_id).randbytes(layout_of(object_id).size_bytes)


def store_columns(root: Path, seed: int) -> None:
    generator = random.Random(seed)
    store = FilePieceStore(root)
    for object_id in range(1, 1000):
        content = content_of(object_id)
        writer = store.create(ColumnKey(object_id), layout_of(object_id), fence=Fence(1))
        while writer.size_bytes < len(content):
            start = writer.size_bytes
            end = min(len(content), start + generator.choice([1, 4096, 10_001, 65_536]))
            writer.append([aligned_copy(content[start:end], generator.choice([0, 512, 7]))])
            if generator.random() < 0.5:
                writer.sync()
                say("ACK", object_id, writer.size_bytes)
        writer.finish()
        say("DONE", object_id)


# --- journal -------------------------------------------------------------------------------------


def update(job: JobContext, event: JobEvent) -> JobUpdate:
    return JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event)


async def go_through(store: SqliteJobStore, object_id: int, owner: str = "child") -> None:
    """One job from its upload to its seal, alone."""

    async def answered(job: JobContext) -> JobContext:
        say("ANSWER", object_id, job.epoch, int(job.state), len(job.secondaries))
        return job

    info = replace(HELLO, id=object_id)
    job = await answered(
        await store.begin_upload(PRIMARY, info, StorageParams(), 4, owner, 60, 86_400)
    )
    record = IntegrityRecord(PRIMARY, object_id, -1, (b"\1" * 32,), b"hash", b"signature")
    await answered(await store.finish_upload(update(job, UploadFinished()), record))
    job = next(j for j in await store.claim_jobs(owner, 60, 1000) if j.object_id == object_id)
    await answered(job)
    job = await answered(await store.apply(update(job, ReplicateStarted())))
    for index, address in enumerate(SECONDARIES):
        receipt = SecondaryReceipt(index, address, b"hash", b"signature")
        job = await answered(await store.apply(update(job, SecondaryFinished(receipt))))
    for kind in (ReplicateFinished(), SignStarted()):
        job = await answered(await store.apply(update(job, kind)))
    reserved = TransactionState.RESERVED
    tx_hash = f"HASH{object_id}"
    row = TransactionRow(
        tx_hash, PRIMARY, job.job_id, SIGNER, object_id, b"bytes", 100, reserved, 0.0
    )
    await store.reserve_transaction(row, job.epoch, job.state)
    job = await answered(await store.apply(update(job, SignFinished(tx_hash))))
    job = await answered(await store.apply(update(job, SealWatchStarted())))
    await store.mark_transaction(tx_hash, TransactionState.COMMITTED)
    job = await answered(await store.apply(update(job, SealFinished(7, tx_hash))))
    await store.release_job(PRIMARY, job.job_id, job.epoch)


async def keep_journal(path: Path, seed: int) -> None:
    generator = random.Random(seed)
    store = SqliteJobStore.open(path)
    first = 1
    while True:
        count = generator.randint(1, 6)
        ids = range(first, first + count)
        # Each its own owner: a claim takes what is due, whosever it was.
        await asyncio.gather(*(upload_only(store, object_id) for object_id in ids))
        first += count


async def upload_only(store: SqliteJobStore, object_id: int) -> None:
    info = replace(HELLO, id=object_id)
    job = await store.begin_upload(PRIMARY, info, StorageParams(), 4, "child", 60, 86_400)
    say("ANSWER", object_id, job.epoch, int(job.state))
    record = IntegrityRecord(PRIMARY, object_id, -1, (b"\1" * 32,), b"hash", b"signature")
    job = await store.finish_upload(update(job, UploadFinished()), record)
    say("ANSWER", object_id, job.epoch, int(job.state))


async def freeze_at(path: Path, wanted: int) -> None:
    def after_commit(count: int, description: str) -> None:
        if count == wanted:
            say("COMMITTED", description)
            threading.Event().wait()

    await go_through(SqliteJobStore.open(path, after_commit=after_commit), 1)
    say("END")


def main() -> None:
    what, where, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "columns":
        store_columns(where, number)
    elif what == "journal":
        asyncio.run(keep_journal(where, number))
    else:
        asyncio.run(freeze_at(where, number))


if __name__ == "__main__":
    main()
