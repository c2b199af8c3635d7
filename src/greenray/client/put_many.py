"""Many objects as one act: each is hashed while others are created, uploaded and sealed.

So many are in the air at a time; only they are in memory, and have files open. An object that fails
does not stop the others. What was stopped is run again: what is sealed is found, on chain or in the
manifest, and only the rest is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from greenray.client.creation import PutOptions
from greenray.client.payload_io import opened, size_of
from greenray.client.progress import Activity, Progress, ProgressReporter
from greenray.client.put_entries import PutEntry
from greenray.client.put_manifest import FileStamp, PutManifest
from greenray.client.put_outcome import ManyProgress, PutOutcome, PutStatus
from greenray.client.storage_client import PreparedPut, StorageClient, WaitFor
from greenray.client.user import split_name
from greenray.protocol.errors import (
    AlreadyUploaded,
    ChainLags,
    ChainUnavailable,
    ComponentUnavailable,
    GreenrayError,
    PayloadChanged,
    StoreError,
)
from greenray.protocol.names import check_bucket_name, check_object_name

_TRIES = 5
_TRIED_AGAIN = (ChainUnavailable, ChainLags, ComponentUnavailable, AlreadyUploaded)
"""Somebody is away, or another process of the user is uploading this very object."""

OnManyProgress = Callable[[ManyProgress], None]


@dataclass(frozen=True, slots=True)
class ManySettings:
    in_the_air: int = 256
    """Objects at a time: most of them wait for a block."""
    uploads: int = 16
    """Payloads that are sent at a time."""
    ahead_bytes: int = 256 << 20
    """Of files that are hashed and not uploaded yet: they are to be in the page cache still. Two
    may be, whatever their size."""
    pause_s: float = 2.0
    """Before an object is tried again whose gateway, or chain, was away for too long."""


class PutMany:
    """One act with one client."""

    def __init__(
        self,
        client: StorageClient,
        *,
        options: PutOptions | None = None,
        wait: WaitFor = WaitFor.SEALED,
        manifest: PutManifest | None = None,
        settings: ManySettings | None = None,
        on_progress: OnManyProgress = lambda progress: None,
    ) -> None:
        """``on_progress`` is called in the event loop's thread."""
        self._client = client
        self._options = options or PutOptions()
        self._wait = wait
        self._manifest = manifest
        self._settings = settings or ManySettings()
        self._on_progress = on_progress
        self._ahead = _Ahead(self._settings.ahead_bytes)
        self._uploads = asyncio.Semaphore(self._settings.uploads)
        self._progress = ManyProgress()
        self._stopped: StoreError | None = None

    async def outcomes(self, entries: Iterable[PutEntry]) -> AsyncGenerator[PutOutcome]:
        """Of each entry one, as they end. ``entries`` are taken one by one, in a thread.

        Raises: StoreError (the manifest cannot be written; what was in the air has ended before),
        and what ``entries`` raises.
        """
        room = asyncio.Semaphore(self._settings.in_the_air)
        ended: asyncio.Queue[PutOutcome | None] = asyncio.Queue()
        feeding = asyncio.create_task(self._feed(iter(entries), room, ended))
        try:
            while (outcome := await ended.get()) is not None:
                room.release()
                yield outcome
            await feeding
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        if self._stopped is not None:
            raise self._stopped

    async def _feed(
        self,
        entries: Iterator[PutEntry],
        room: asyncio.Semaphore,
        ended: asyncio.Queue[PutOutcome | None],
    ) -> None:
        async def one(entry: PutEntry) -> None:
            ended.put_nowait(await self._outcome(entry))

        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as in_the_air:
                while self._stopped is None:
                    await room.acquire()
                    try:
                        entry = await asyncio.to_thread(next, entries, None)
                    except Exception as error:
                        failure = error  # what is in the air ends before it is told
                        break
                    if entry is None:
                        break
                    in_the_air.create_task(one(entry))
        finally:
            ended.put_nowait(None)
        if failure is not None:
            raise failure

    async def _outcome(self, entry: PutEntry) -> PutOutcome:
        counted = _Counted(self)
        stamp, size_bytes = await asyncio.to_thread(_looked_at, entry)
        try:
            outcome = await self._done(entry, stamp, size_bytes, counted)
        except GreenrayError as error:
            outcome = PutOutcome(
                entry.name, _text_of(entry), PutStatus.FAILED, size_bytes, None, error
            )
        if self._manifest is not None:
            try:
                await self._manifest.record(outcome, stamp)
            except StoreError as error:
                self._stopped = self._stopped or error
        counted.end(outcome)
        return outcome

    async def _done(
        self,
        entry: PutEntry,
        stamp: FileStamp | None,
        size_bytes: int | None,
        counted: _Counted,
    ) -> PutOutcome:
        if entry.error is not None:
            raise entry.error
        bucket_name, object_name = split_name(entry.name)
        check_bucket_name(bucket_name)
        check_object_name(object_name)
        source = _text_of(entry)
        if (
            self._manifest is not None
            and stamp is not None
            and await self._manifest.is_done(entry.name, source, stamp)
        ):
            return PutOutcome(entry.name, source, PutStatus.WAS_SEALED, size_bytes)
        for _ in range(1, _TRIES):
            try:
                return await self._put(entry, bucket_name, object_name, counted)
            except _TRIED_AGAIN as error:
                await asyncio.sleep(error.retry_after_s or self._settings.pause_s)
        return await self._put(entry, bucket_name, object_name, counted)

    async def _put(
        self, entry: PutEntry, bucket_name: str, object_name: str, counted: _Counted
    ) -> PutOutcome:
        reporter = ProgressReporter(counted.on_progress)
        prepared = await self._sent(entry, bucket_name, object_name, reporter)
        status = PutStatus.SEALED if prepared.is_new else PutStatus.WAS_SEALED
        if not prepared.is_sealed:
            status = PutStatus.UPLOADED
            if self._wait is WaitFor.SEALED:
                await self._client.wait_for_seal(prepared, reporter)
                status = PutStatus.SEALED
        info = prepared.info
        return PutOutcome(entry.name, _text_of(entry), status, info.payload_size, info.id)

    async def _sent(
        self, entry: PutEntry, bucket_name: str, object_name: str, reporter: ProgressReporter
    ) -> PreparedPut:
        """Hashed, created and uploaded; its file is closed again."""
        with opened(entry.source) as (file, name):
            stamp = FileStamp.of(file)
            async with self._ahead.place(size_of(file)):
                prepared = await self._client.prepare(
                    file,
                    name,
                    bucket_name,
                    object_name,
                    self._options,
                    reporter,
                    skip_sealed=True,
                    on_lap=partial(_check_still, entry, stamp),
                )
                if prepared.is_sealed:
                    return prepared
                async with self._uploads:
                    _check_still(entry, stamp, Activity.UPLOAD)
                    await self._client.send_payload(prepared, file, reporter)
        return prepared

    def _advance(self, *, objects: int = 0, failed: int = 0, size_bytes: int = 0) -> None:
        before = self._progress
        self._progress = ManyProgress(
            before.objects + objects, before.failed + failed, before.bytes_done + size_bytes
        )
        self._on_progress(self._progress)


class _Counted:
    """What one object has added to the progress of all."""

    def __init__(self, many: PutMany) -> None:
        self._many = many
        self._bytes = 0

    def on_progress(self, progress: Progress) -> None:
        if progress.activity is Activity.UPLOAD:
            self._count(progress.done)

    def end(self, outcome: PutOutcome) -> None:
        if outcome.ok:
            self._count(outcome.size_bytes or 0)
        self._many._advance(objects=1, failed=int(not outcome.ok))

    def _count(self, done_bytes: int) -> None:
        if done_bytes > self._bytes:
            self._many._advance(size_bytes=done_bytes - self._bytes)
            self._bytes = done_bytes


class _Ahead:
    """Bytes of files that are hashed and not uploaded yet."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._files = 0
        self._bytes = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def place(self, size_bytes: int) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._files < 2 or self._bytes + size_bytes <= self._limit_bytes
            )
            self._files += 1
            self._bytes += size_bytes
        try:
            yield
        finally:
            self._files -= 1
            self._bytes -= size_bytes
            async with self._changed:
                self._changed.notify_all()


def _looked_at(entry: PutEntry) -> tuple[FileStamp | None, int | None]:
    """Of a file on disk; what cannot be looked at says why when it is opened."""
    if not isinstance(entry.source, Path):
        return None, None
    try:
        status = entry.source.stat()
    except OSError:
        return None, None
    return FileStamp(status.st_size, status.st_mtime_ns, status.st_ino), status.st_size


def _check_still(entry: PutEntry, stamp: FileStamp | None, activity: Activity) -> None:
    """After an activity, or before the upload. Raises PayloadChanged."""
    if stamp is None or not isinstance(entry.source, Path) or _looked_at(entry)[0] == stamp:
        return
    if activity is Activity.HASHING:
        raise PayloadChanged(
            "the file was written to, or replaced, while it was read",
            str(entry.source),
            "Put it again when it is still",
        )
    raise PayloadChanged(
        "the file was written to, or replaced, after its checksums were put on chain",
        str(entry.source),
        f"Take them back with greenray delete {entry.name}, put it again when it is still",
    )


def _text_of(entry: PutEntry) -> str:
    if isinstance(entry.source, Path):
        return str(entry.source).encode(errors="backslashreplace").decode()
    return str(getattr(entry.source, "name", "stream"))
