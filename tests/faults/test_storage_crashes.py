"""kill -9 in the middle of storing; then look at what is there."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from greenray.protocol.job import JobState
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey, Fence, TransactionState
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.protocol_values import PRIMARY
from tests.support.storage_child import content_of, layout_of

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Commit:
    what: str
    state: int
    receipts: int = 0
    owner: str = "child"
    transactions: list[TransactionState] = field(default_factory=list)


RESERVED, COMMITTED = [TransactionState.RESERVED], [TransactionState.COMMITTED]
COMMITS_OF_A_JOB = [
    Commit("begin_upload", 1),
    Commit("finish_upload", 2, owner=""),
    Commit("claim_jobs", 2),
    Commit("apply", 7),
    *(Commit("apply", 7, receipts) for receipts in range(1, 7)),
    Commit("apply", 8, 6),
    Commit("apply", 10, 6),
    Commit("reserve_transaction", 10, 6, transactions=RESERVED),
    Commit("apply", 11, 6, transactions=RESERVED),
    Commit("apply", 13, 6, transactions=RESERVED),
    Commit("mark_transaction", 13, 6, transactions=COMMITTED),
    Commit("apply", 14, 6, transactions=COMMITTED),
    Commit("release_job", 14, 6, "", COMMITTED),
]


def run_until(arguments: list[str], stop: Callable[[list[str]], bool]) -> list[list[str]]:
    """What the child says, word by word, until ``stop`` or its end; then it is killed."""
    command = [sys.executable, "-m", "tests.support.storage_child", *arguments]
    said: list[list[str]] = []
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                said.append(line.split())
                if stop(said[-1]):
                    break
        finally:
            child.send_signal(signal.SIGKILL)
        # What it said between the last line read and its end was said, too.
        said += [line.split() for line in child.stdout if line.endswith("\n")]
    return said


def lines(count: int) -> Callable[[list[str]], bool]:
    left = count

    def stop(_: list[str]) -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return stop


@pytest.mark.parametrize("seed", range(6))
def test_columns_have_all_acknowledged_bytes_after_kill_9(tmp_path: Path, seed: int) -> None:
    count = random.Random(seed).randint(1, 120)
    said = run_until(["columns", str(tmp_path), str(seed)], lines(count))
    done = {int(words[1]) for words in said if words[0] == "DONE"}
    acknowledged = {int(words[1]): int(words[2]) for words in said if words[0] == "ACK"}

    store = FilePieceStore(tmp_path)
    listed = {key.object_id for key in store.list_columns()}
    unfinished = {key.object_id for key, _ in store.list_unfinished()}
    # The child may have finished one more than it could say.
    assert done <= listed
    assert len(listed - done) <= 1
    assert not listed & unfinished
    assert len(unfinished) <= 1
    assert acknowledged.keys() <= listed | unfinished
    for object_id in unfinished & acknowledged.keys():
        size_bytes = acknowledged[object_id]
        rest = content_of(object_id)[size_bytes:]
        key, layout = ColumnKey(object_id), layout_of(object_id)
        writer = store.resume(key, layout, size_bytes, fence=Fence(1))
        writer.append([memoryview(rest)])
        writer.finish()
        listed.add(object_id)
    for object_id in listed:
        layout = layout_of(object_id)
        found = bytearray(layout.size_bytes)
        store.read_into(ColumnKey(object_id), layout, 0, [memoryview(found)])
        assert bytes(found) == content_of(object_id)


@pytest.mark.parametrize("seed", range(6))
async def test_the_journal_has_every_answer_after_kill_9(tmp_path: Path, seed: int) -> None:
    count = random.Random(seed).randint(1, 200)
    said = run_until(["journal", str(tmp_path / "journal.db"), str(seed)], lines(count))
    answers = {int(words[1]): JobState(int(words[3])) for words in said if words[0] == "ANSWER"}

    store = SqliteJobStore.open(tmp_path / "journal.db")
    jobs = {job.object_id: job for job in await store.list_jobs()}
    assert answers.keys() <= jobs.keys()
    for object_id, job in jobs.items():
        record = await store.get_integrity(PRIMARY, object_id, -1)
        events = await store.list_events(PRIMARY, job.job_id)
        assert job.state >= answers.get(object_id, JobState.INIT_UNSPECIFIED)
        assert (record is not None) == (job.state is JobState.UPLOAD_OBJECT_DONE)
        assert events[-1].to_state is job.state
    await store.close()


@pytest.mark.parametrize(("number", "expected"), list(enumerate(COMMITS_OF_A_JOB, start=1)))
async def test_whatever_was_committed_is_there_when_its_answer_never_came(
    tmp_path: Path, number: int, expected: Commit
) -> None:
    """Every single commit of a job: killed after it and before the caller knew."""
    path = tmp_path / "journal.db"
    said = run_until(["freeze", str(path), str(number)], lambda words: words[0] == "COMMITTED")
    assert said[-1][:2] == ["COMMITTED", expected.what]

    store = SqliteJobStore.open(path)
    (job,) = await store.list_jobs()
    transactions = await store.get_transactions(PRIMARY, job.job_id)
    record = await store.get_integrity(PRIMARY, 1, -1)
    events = await store.list_events(PRIMARY, job.job_id)
    await store.close()

    assert (int(job.state), len(job.secondaries), job.owner) == (
        expected.state,
        expected.receipts,
        expected.owner,
    )
    assert events[-1].to_state is job.state
    assert (record is not None) == (job.state >= JobState.UPLOAD_OBJECT_DONE)
    assert [t.state for t in transactions] == expected.transactions


def test_a_job_has_no_more_commits_than_those(tmp_path: Path) -> None:
    path, beyond = tmp_path / "journal.db", len(COMMITS_OF_A_JOB) + 1
    said = run_until(["freeze", str(path), str(beyond)], lambda words: words[0] == "COMMITTED")
    assert said[-1] == ["END"]
