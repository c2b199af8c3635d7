"""Puts thousands of small files as few objects: found, packed into a spool, stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenray.client.bundle_files import (
    BundleFile,
    BundleSource,
    EntryFailure,
    find_files,
    unreadable_entries,
)
from greenray.client.bundle_packing import PackedVolume, Packer
from greenray.client.creation import PutOptions
from greenray.client.progress import Activity, OnProgress, Progress, ProgressReporter
from greenray.client.setbacks import OnSetback, Setback
from greenray.client.storage_client import StorageClient, WaitFor
from greenray.protocol.bundle_plan import (
    BundleLimits,
    plan_volumes,
    volume_name,
    volume_order,
    volume_tags,
)
from greenray.protocol.errors import WrongObjectStatus
from greenray.protocol.names import check_bucket_name, check_object_name
from greenray.protocol.objects import ObjectInfo

OnFailure = Callable[[EntryFailure], None]
OnVolume = Callable[["StoredVolume"], None]


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """``limits``: of one volume. ``spool_dir``: where volumes are written before they are sent, two
    at a time; None: where temporary files go. ``skip_unreadable``: store the others when some files
    cannot be read, instead of nothing."""

    limits: BundleLimits = field(default_factory=BundleLimits)
    spool_dir: Path | None = None
    skip_unreadable: bool = False
    put: PutOptions = field(default_factory=PutOptions)


@dataclass(frozen=True, slots=True)
class StoredVolume:
    """One object of a bundle. ``status``: its job-status document. ``was_there``: it was sealed
    before, with these bytes."""

    object_info: ObjectInfo
    status: Mapping[str, Any]
    entries: int
    payload_bytes: int
    was_there: bool = False
    setbacks: tuple[Setback, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """``volumes`` in the order in which they were stored, the first one last. ``left_out``: the
    files that are not in it."""

    name: str
    volumes: tuple[StoredVolume, ...]
    left_out: tuple[EntryFailure, ...]

    @property
    def entries(self) -> int:
        return sum(volume.entries for volume in self.volumes)

    @property
    def payload_bytes(self) -> int:
        """Of the entries, without indices."""
        return sum(volume.payload_bytes for volume in self.volumes)


async def put_bundle(
    client: StorageClient,
    source: BundleSource,
    bucket_name: str,
    object_name: str,
    *,
    wait: WaitFor = WaitFor.SEALED,
    on_progress: OnProgress | None = None,
    on_setback: OnSetback | None = None,
    on_failure: OnFailure | None = None,
    on_volume: OnVolume | None = None,
    options: BundleOptions | None = None,
) -> StoredBundle:
    """Store all files of ``source`` as one bundle, of several volumes when it is large. The same
    files put again go on where they were: what is sealed with the same bytes is not stored again.

    ``on_failure`` is told each file that cannot be an entry, ``on_volume`` each volume that is
    stored; all callbacks are called in the event loop's thread.

    Raises:
        DuplicateEntry, EmptyPayload, UnreadableFile: see ``find_files``; nothing was done.
        UnreadableEntries: some files cannot be read, or changed meanwhile; this volume, and so the
            bundle, was not stored.
        NoSpaceLeft, StoreError: the spool. What ``StorageClient.put`` raises.
    """
    check_bucket_name(bucket_name)
    check_object_name(object_name)
    upload = _Upload(
        client, f"{bucket_name}/{object_name}", wait, options or BundleOptions(), on_setback
    )
    found = await asyncio.to_thread(find_files, source)
    told = _Failures(upload, on_failure)
    told.add(found.failures, nothing_is_left=not found.files)
    progress = _Progress(on_progress, sum(file.size_bytes for file in found.files))
    volumes = []
    async with aclosing(_packed(found.files, upload, progress)) as packed_volumes:
        async for number, packed in packed_volumes:
            with packed:
                told.add(packed.failures, nothing_is_left=not packed.entries)
                volume = await upload.store(number, packed, progress.of_volume())
            volumes.append(volume)
            if on_volume is not None:
                on_volume(volume)
    return StoredBundle(upload.name, tuple(volumes), tuple(told.all))


class _Upload:
    """Stores the volumes of one bundle."""

    def __init__(
        self,
        client: StorageClient,
        name: str,
        wait: WaitFor,
        options: BundleOptions,
        on_setback: OnSetback | None,
    ) -> None:
        self._client = client
        self.name = name
        self._wait = wait
        self.options = options
        self._on_setback = on_setback

    async def store(
        self, number: int, packed: PackedVolume, on_progress: OnProgress
    ) -> StoredVolume:
        bucket_name, _, object_name = volume_name(self.name, number).partition("/")
        try:
            result = await self._client.put(
                packed.file,
                bucket_name,
                object_name,
                wait=self._wait,
                on_progress=on_progress,
                on_setback=self._on_setback,
                options=self.options.put,
            )
        except WrongObjectStatus:
            info = await self._client.sealed_already(packed.file, bucket_name, object_name)
            if info is None:
                raise
            status = await self._client.status(bucket_name, object_name)
            return StoredVolume(info, status, packed.entries, packed.payload_bytes, was_there=True)
        return StoredVolume(
            result.object_info,
            result.status,
            packed.entries,
            packed.payload_bytes,
            setbacks=result.setbacks,
        )


class _Failures:
    def __init__(self, upload: _Upload, on_failure: OnFailure | None) -> None:
        self._upload = upload
        self._on_failure = on_failure
        self.all: list[EntryFailure] = []

    def add(self, failures: Sequence[EntryFailure], *, nothing_is_left: bool = False) -> None:
        """Raises UnreadableEntries, if they are not to be left out."""
        for failure in failures:
            self.all.append(failure)
            if self._on_failure is not None:
                self._on_failure(failure)
        if nothing_is_left or (failures and not self._upload.options.skip_unreadable):
            raise unreadable_entries(failures, self._upload.name)


async def _packed(
    files: Sequence[BundleFile], upload: _Upload, progress: _Progress
) -> AsyncGenerator[tuple[int, PackedVolume]]:
    """(number, volume) of each; while one is stored the next one is packed."""
    volumes = list(plan_volumes(files, upload.options.limits))
    order = list(volume_order(len(volumes)))
    packer = Packer(upload.options.spool_dir, progress.on_packed)

    def packing(number: int) -> asyncio.Task[PackedVolume]:
        tags = volume_tags(number, len(volumes))
        name = volume_name(upload.name, number)
        return asyncio.create_task(asyncio.to_thread(packer.pack, volumes[number - 1], tags, name))

    task = packing(order[0])
    try:
        for number, following in zip(order, [*order[1:], None], strict=True):
            # Not cancelled with us: the thread goes on until it is stopped, and its file is ours.
            packed = await asyncio.shield(task)
            if following is not None:
                task = packing(following)
            yield number, packed
    finally:
        packer.stop()
        await _dropped(task)


async def _dropped(task: asyncio.Task[PackedVolume]) -> None:
    """Wait for a volume that nobody wants any more."""
    await asyncio.wait([task])
    if task.exception() is None:
        task.result().file.close()


class _Progress:
    """Of all volumes together: what one adds begins where those before it ended."""

    def __init__(self, on_progress: OnProgress | None, total_bytes: int) -> None:
        self._reporter = ProgressReporter(on_progress)
        self._total_bytes = total_bytes
        self._loop = asyncio.get_running_loop()
        self._packed_bytes = 0
        self._latest: dict[tuple[Activity, int | None], Progress] = {}

    def on_packed(self, size_bytes: int) -> None:
        """Called in another thread."""
        self._loop.call_soon_threadsafe(self._add_packed, size_bytes)

    def _add_packed(self, size_bytes: int) -> None:
        self._packed_bytes += size_bytes
        # A file may have grown since it was found.
        total_bytes = max(self._total_bytes, self._packed_bytes)
        self._reporter.report(Activity.BUNDLING, self._packed_bytes, total_bytes)

    def of_volume(self) -> OnProgress:
        before = dict(self._latest)

        def show(progress: Progress) -> None:
            key = (progress.activity, progress.redundancy_index)
            if key in before:
                ended = before[key]
                progress = replace(
                    progress, done=ended.total + progress.done, total=ended.total + progress.total
                )
            self._latest[key] = progress
            self._reporter.report(
                progress.activity,
                progress.done,
                progress.total,
                progress.redundancy_index,
                progress.detail,
            )

        return show
