"""A process dies before and after each of its requests to S3 in turn; another one goes on."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest

from greenray.protocol.errors import NoSuchPiece
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import ColumnKey, Fence
from greenray.storage.s3_bucket import S3Bucket
from greenray.storage.s3_store import S3PieceStore
from tests.contracts.piece_store_contract import put, read, view
from tests.support.kill_switch import Killed, KillSwitch
from tests.support.s3_server import S3Server, s3_server

KEY = ColumnKey(7, 2)
BATCH_BYTES = 1000
LAYOUT = ColumnLayout(3, BATCH_BYTES, 10, batch_pieces=1)
BEFORE = random.Random(1).randbytes(LAYOUT.size_bytes)
AFTER = random.Random(2).randbytes(LAYOUT.size_bytes)
FENCE = Fence(4)


class MortalBucket:
    """A bucket as a killable process sees it."""

    def __init__(self, bucket: S3Bucket, switch: KillSwitch) -> None:
        self._bucket = bucket
        self._switch = switch
        self.location = bucket.location

    def put(self, key: str, data: bytes) -> None:
        self._switch.step()
        self._bucket.put(key, data)
        self._switch.step()

    def delete(self, key: str) -> None:
        self._switch.step()
        self._bucket.delete(key)
        self._switch.step()

    def __getattr__(self, name: str) -> Any:
        self._switch.check()
        return getattr(self._bucket, name)


class Crashing:
    """A store of a process that dies at step ``kill_at``, and the same of the next process."""

    def __init__(self, bucket: S3Bucket, kill_at: int | None) -> None:
        self.switch = KillSwitch(kill_at)
        self.root = f"sp-{uuid.uuid4().hex}"
        self.bucket = bucket
        self.mortal = S3PieceStore(cast(S3Bucket, MortalBucket(bucket, self.switch)), self.root)
        self.next = S3PieceStore(bucket, self.root)
        self.acknowledged_bytes = 0
        self.finished = False

    def write(self) -> None:
        """What a Uploader or a Receiver does with one column."""
        writer = self.mortal.create(KEY, LAYOUT, FENCE)
        while writer.size_bytes < LAYOUT.size_bytes:
            start = writer.size_bytes
            writer.append([view(AFTER)[start : start + BATCH_BYTES]])
            writer.sync()
            self.acknowledged_bytes = writer.size_bytes
        writer.finish()
        self.finished = True

    def objects(self) -> list[str]:
        return [name.removeprefix(f"{self.root}/") for name, _ in self.bucket.list(f"{self.root}/")]


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Bucket]:
    with s3_server() as server:
        yield bucket_of(server)


def bucket_of(server: S3Server) -> S3Bucket:
    return server.bucket("pieces")


@pytest.fixture(params=[False, True], ids=["a new column", "a column that is replaced"])
def replacing(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def steps_of_write(bucket: S3Bucket, replacing: bool) -> int:
    alive = crashing(bucket, replacing, None)
    alive.write()
    return alive.switch.steps


def crashing(bucket: S3Bucket, replacing: bool, kill_at: int | None) -> Crashing:
    made = Crashing(bucket, kill_at)
    if replacing:
        put(made.next, KEY, LAYOUT, BEFORE)
    return made


def test_a_column_is_old_or_new_and_goes_on_where_it_was_acknowledged(
    bucket: S3Bucket, replacing: bool
) -> None:
    steps = steps_of_write(bucket, replacing)
    assert steps >= 2 * (1 + LAYOUT.piece_count + 2)
    for kill_at in range(steps):
        crashed = crashing(bucket, replacing, kill_at)
        with pytest.raises(Killed):
            crashed.write()

        found = read(crashed.next, KEY, LAYOUT) if crashed.next.exists(KEY) else None
        assert found in ((BEFORE, AFTER) if replacing else (None, AFTER))
        if found != AFTER:
            try:
                writer = crashed.next.resume(KEY, LAYOUT, crashed.acknowledged_bytes, fence=FENCE)
            except NoSuchPiece:
                assert crashed.acknowledged_bytes == 0
                continue
            writer.append([view(AFTER)[crashed.acknowledged_bytes :]])
            writer.finish()
        assert read(crashed.next, KEY, LAYOUT) == AFTER


def test_what_a_crash_leaves_is_swept_and_the_finished_column_stays(
    bucket: S3Bucket, replacing: bool
) -> None:
    for kill_at in range(steps_of_write(bucket, replacing)):
        crashed = crashing(bucket, replacing, kill_at)
        with pytest.raises(Killed):
            crashed.write()
        finished = crashed.next.exists(KEY)
        before = read(crashed.next, KEY, LAYOUT) if finished else b""
        for key, fence in list(crashed.next.list_unfinished()):
            assert (key, fence) == (KEY, FENCE)
            crashed.next.delete_unfinished(key, fence)
        assert crashed.next.exists(KEY) is finished
        if finished:
            assert read(crashed.next, KEY, LAYOUT) == before
        parts = {BEFORE: 1, AFTER: LAYOUT.piece_count}.get(before, 0)
        assert len(crashed.objects()) == finished + parts


def test_a_writer_that_gives_up_after_a_failed_finish_does_not_remove_what_is_finished(
    bucket: S3Bucket,
) -> None:
    crashed = Crashing(bucket, None)
    writer = crashed.mortal.create(KEY, LAYOUT, FENCE)
    writer.append([view(AFTER)])
    crashed.switch.kill_at = crashed.switch.steps + 1  # the record is there, we do not know
    with pytest.raises(Killed):
        writer.finish()
    crashed.switch.dead = False
    writer.abort()
    assert read(crashed.next, KEY, LAYOUT) == AFTER
    assert list(crashed.next.list_unfinished()) == []


def test_a_deletion_that_was_broken_off_is_done_again(bucket: S3Bucket) -> None:
    kill_at = 0
    while True:
        crashed = Crashing(bucket, None)
        crashed.write()
        unfinished = crashed.next.create(KEY, LAYOUT, fence=Fence(9))
        unfinished.append([view(AFTER)])
        crashed.switch.kill_at = crashed.switch.steps + kill_at
        try:
            crashed.mortal.delete(KEY)
        except Killed:
            assert not crashed.next.exists(KEY) or read(crashed.next, KEY, LAYOUT) == AFTER
        else:
            break
        assert not crashed.objects() or list(crashed.next.list_stored())
        for column in list(crashed.next.list_stored()):
            crashed.next.delete(column.key)
        assert crashed.objects() == []
        kill_at += 1
    assert kill_at >= 2 * (2 + LAYOUT.piece_count + 1)
