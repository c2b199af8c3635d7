"""Reads bundles: the index with one or two requests, then what is asked for."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from greenray.client.bundle_entries import (
    RUN_BYTES,
    ByteSource,
    EntryFiles,
    below,
    check_entry,
    not_written,
    write_file,
)
from greenray.client.progress import OnProgress
from greenray.client.storage_client import StorageClient
from greenray.files.whole_file import WholeFile
from greenray.protocol.bundle import (
    TAIL_BYTES,
    BundleEntry,
    BundleIndex,
    locate_index,
    parse_index,
)
from greenray.protocol.bundle_plan import file_paths, plan_runs, volume_name, volume_of
from greenray.protocol.errors import BundleIncomplete, InvalidInput, NoSuchEntry, NoSuchObject

OpenVolume = Callable[[str], Awaitable[ByteSource]]
"""By its object's name. Raises NoSuchObject."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was written as files. ``without_sha256``: those of which the bundle does not tell it."""

    files: int
    size_bytes: int
    without_sha256: int


@dataclass(frozen=True, slots=True)
class _Volume:
    source: ByteSource
    index: BundleIndex
    name: str


class Bundle:
    """Entries of a sealed bundle, by name. Its volumes are opened when they are needed."""

    def __init__(self, name: str, open_volume: OpenVolume, *, verified: bool) -> None:
        """``name``: ``bucket/object``; ``verified``: what ``open_volume`` gives has been compared
        with the chain."""
        self.name = name
        self.verified = verified
        self._open_volume = open_volume
        self._volumes: list[_Volume] = []
        self._count = 0

    async def open(self) -> None:
        """Read the first volume's index. Raises NotABundle, BundleDamaged, BundleIndexTooLarge, and
        what reading raises."""
        volume = await self._opened(self.name)
        number, count = self._numbered(volume)
        # One of several by its own name is read as if it were alone.
        self._count = count if number == 1 else 1
        self._volumes.append(volume)

    async def entries(self) -> Mapping[str, BundleEntry]:
        """All of them, by name. Raises BundleIncomplete, and what ``open`` raises."""
        await self._open_all()
        if self._count == 1:
            return self._volumes[0].index
        return {name: entry for volume in self._volumes for name, entry in volume.index.items()}

    async def entry(self, name: str) -> BundleEntry:
        """Raises NoSuchEntry, and what ``entries`` raises."""
        return (await self._found(name)).index[name]

    async def read(self, name: str, start: int = 0, size_bytes: int | None = None) -> bytes:
        """An entry, or bytes of it from ``start`` on, fewer where it ends. A whole entry is
        compared with its SHA-256.

        Raises: InvalidInput (a negative number), NoSuchEntry, EntryMismatch, what reading raises.
        """
        volume = await self._found(name)
        entry = volume.index[name]
        if start < 0 or (size_bytes is not None and size_bytes < 0):
            raise InvalidInput("a range begins and ends in the entry", f"{self.name}//{name}")
        end = entry.size_bytes if size_bytes is None else start + size_bytes
        wanted = range(entry.size_bytes)[start:end]
        data = await volume.source.read(entry.offset + start, len(wanted))
        if len(wanted) == entry.size_bytes:
            check_entry(entry, hashlib.sha256(data).digest(), self.name)
        return data

    async def write(
        self,
        name: str,
        target: Path,
        start: int = 0,
        size_bytes: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> int:
        """An entry, or bytes of it, as the file ``target``, which appears whole. Returns how many
        bytes it has. Raises: what ``read`` raises, UnreadableFile, NoSpaceLeft."""
        if start or size_bytes is not None:
            data = await self.read(name, start, size_bytes)
            await asyncio.to_thread(write_file, lambda: WholeFile(target), target, data)
            return len(data)
        volume = await self._found(name)
        entry = volume.index[name]
        files = EntryFiles(
            self.name,
            lambda entry: (lambda: WholeFile(target), target),
            entry.size_bytes,
            on_progress,
        )
        await files.write_large(volume.source, entry)
        return entry.size_bytes

    async def extract(
        self, directory: Path, prefix: str = "", on_progress: OnProgress | None = None
    ) -> Extraction:
        """All entries whose names begin with ``prefix``, as files below ``directory``, by what
        their names have behind its last slash. Each file appears whole; those that were written
        before an error stay.

        Raises:
            NoSuchEntry: no name begins so. InvalidName: one would lead elsewhere; nothing was
                written.
            UnreadableFile: something that is no regular file, or a link, stands there.
            NoSpaceLeft, EntryMismatch, what reading raises.
        """
        await self._open_all()
        wanted = [list(volume.index.under(prefix)) for volume in self._volumes]
        every = [entry for entries in wanted for entry in entries]
        if not every:
            raise NoSuchEntry(
                f"has no entry below {prefix!r}", self.name, "See 'greenray bundle ls'"
            )
        folder = prefix[: prefix.rfind("/") + 1]
        place = await asyncio.to_thread(below, directory, file_paths(every, folder))
        total_bytes = sum(entry.size_bytes for entry in every)
        files = EntryFiles(self.name, place, total_bytes, on_progress)
        for volume, entries in zip(self._volumes, wanted, strict=True):
            for run in plan_runs(entries, RUN_BYTES):
                await files.write_run(volume.source, run)
        unknown = sum(entry.sha256 is None for entry in every)
        return Extraction(len(every), total_bytes, unknown)

    # --- volumes ---------------------------------------------------------------------------------

    async def _found(self, name: str) -> _Volume:
        for volume in self._volumes:
            if name in volume.index:
                return volume
        while len(self._volumes) < self._count:
            volume = await self._open_next()
            if name in volume.index:
                return volume
        self._volumes[0].index.entry(name, self.name)
        raise AssertionError("it was looked up there before")

    async def _open_all(self) -> None:
        while len(self._volumes) < self._count:
            await self._open_next()

    async def _open_next(self) -> _Volume:
        number = len(self._volumes) + 1
        name = volume_name(self.name, number)
        try:
            volume = await self._opened(name)
        except NoSuchObject as error:
            raise BundleIncomplete(
                f"volume {number} of {self._count} is not there", name, "Put the bundle again"
            ) from error
        if self._numbered(volume) != (number, self._count):
            raise BundleIncomplete(
                f"this is not volume {number} of {self._count}", name, "Put the bundle again"
            )
        self._volumes.append(volume)
        return volume

    async def _opened(self, name: str) -> _Volume:
        source = await self._open_volume(name)
        size_bytes = source.size_bytes
        tail_bytes = min(TAIL_BYTES, size_bytes)
        tail = await source.read(size_bytes - tail_bytes, tail_bytes)
        place = locate_index(tail, size_bytes, name)
        begin = place.offset - (size_bytes - tail_bytes)
        if begin >= 0:
            index = tail[begin : begin + place.size_bytes]
        else:
            index = await source.read(place.offset, place.size_bytes)
        parsed = await asyncio.to_thread(parse_index, index, place.offset, name)
        return _Volume(source, parsed, name)

    @staticmethod
    def _numbered(volume: _Volume) -> tuple[int, int]:
        return volume_of(next(iter(volume.index.values())), volume.name)


async def open_bundle(client: StorageClient, bucket_name: str, object_name: str) -> Bundle:
    """A sealed bundle of which only what is asked for is read; whole entries are compared with the
    SHA-256 of its index, which nothing on chain vouches for by itself.

    Raises: NoSuchBucket, NoSuchObject, WrongObjectStatus, AccessDenied, and what ``Bundle.open``
        raises.
    """

    async def open_volume(name: str) -> ByteSource:
        return await client.open(bucket_name, name.partition("/")[2])

    bundle = Bundle(f"{bucket_name}/{object_name}", open_volume, verified=False)
    await bundle.open()
    return bundle


@asynccontextmanager
async def verified_bundle(
    client: StorageClient,
    bucket_name: str,
    object_name: str,
    *,
    spool_dir: Path | None = None,
    on_progress: OnProgress | None = None,
) -> AsyncIterator[Bundle]:
    """A bundle that is read whole and compared with the chain's checksums before anything is taken
    from it. Its volumes lie in ``spool_dir`` meanwhile, None: where temporary files go.

    Raises: what ``StorageClient.get`` and ``Bundle.open`` raise, UnreadableFile (the spool).
    """
    try:
        directory = tempfile.TemporaryDirectory(prefix="greenray-bundle-", dir=spool_dir)
    except OSError as error:
        raise not_written(error, Path(spool_dir or tempfile.gettempdir())) from error
    with directory as spool:

        async def open_volume(name: str) -> ByteSource:
            path = Path(spool, str(len(os.listdir(spool))))
            volume = name.partition("/")[2]
            await client.get(bucket_name, volume, path, on_progress=on_progress)
            return _FileSource(path)

        bundle = Bundle(f"{bucket_name}/{object_name}", open_volume, verified=True)
        await bundle.open()
        yield bundle


class _FileSource:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.size_bytes = path.stat().st_size

    async def read(self, offset: int, size_bytes: int) -> bytes:
        def read() -> bytes:
            with self._path.open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(size_bytes)

        return await asyncio.to_thread(read)
