"""Entries of bundles become files, each in its place once it has the SHA-256 of the index."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from greenray.client.progress import Activity, OnProgress, ProgressReporter
from greenray.files.tree import FileTree
from greenray.files.whole_file import WholeFile, is_full
from greenray.protocol.bundle import BundleEntry
from greenray.protocol.bundle_plan import EntryRun
from greenray.protocol.errors import EntryMismatch, GreenrayError, NoSpaceLeft, UnreadableFile

RUN_BYTES = 16 << 20
"""Of one request: what is read of several entries together, or of a large one at a time."""

Opener = Callable[[], WholeFile]
"""Raises OSError."""
Place = Callable[[BundleEntry], tuple[Opener, Path]]
"""Where an entry goes; the path is for messages."""


class ByteSource(Protocol):
    """A whole bundle, read by ranges."""

    @property
    def size_bytes(self) -> int: ...

    async def read(self, offset: int, size_bytes: int) -> bytes:
        """All of these bytes."""
        ...


class EntryFiles:
    """Writes entries of one bundle, and tells how far it is."""

    def __init__(
        self, bundle: str, place: Place, total_bytes: int, on_progress: OnProgress | None
    ) -> None:
        """``bundle``: its name, for messages."""
        self._bundle = bundle
        self._place = place
        self._total_bytes = total_bytes
        self._reporter = ProgressReporter(on_progress)
        self._done_bytes = 0

    async def write_run(self, source: ByteSource, run: EntryRun) -> None:
        """Raises: EntryMismatch, UnreadableFile, NoSpaceLeft, and what reading raises."""
        if run.size_bytes > RUN_BYTES:
            [entry] = run.entries
            await self.write_large(source, entry)
            return
        data = await source.read(run.offset, run.size_bytes)
        await asyncio.to_thread(self._write_all, run, memoryview(data))
        self._add(run.size_bytes)

    def _write_all(self, run: EntryRun, data: memoryview) -> None:
        for entry in run.entries:
            payload = data[entry.offset - run.offset : entry.end - run.offset]
            check_entry(entry, hashlib.sha256(payload).digest(), self._bundle)
            write_file(*self._place(entry), payload)

    async def write_large(self, source: ByteSource, entry: BundleEntry) -> None:
        """An entry of any size, in little memory. Raises: as ``write_run``."""
        digest = hashlib.sha256()
        with _Target(*self._place(entry)) as target:
            for start in range(0, entry.size_bytes, RUN_BYTES):
                size_bytes = min(RUN_BYTES, entry.size_bytes - start)
                data = await source.read(entry.offset + start, size_bytes)
                await asyncio.to_thread(digest.update, data)
                await asyncio.to_thread(target.write, data)
                self._add(size_bytes)
            check_entry(entry, digest.digest(), self._bundle)
            await asyncio.to_thread(target.commit)

    def _add(self, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        self._reporter.report(Activity.DOWNLOAD, self._done_bytes, self._total_bytes)


def below(directory: Path, paths: Mapping[str, Sequence[str]]) -> Place:
    """Places in ``directory``, which is made, by entry name. Raises UnreadableFile, NoSpaceLeft."""
    try:
        tree = FileTree(directory)
    except OSError as error:
        raise not_written(error, directory) from error

    def place(entry: BundleEntry) -> tuple[Opener, Path]:
        path = paths[entry.name]
        return lambda: tree.file(path), directory.joinpath(*path)

    return place


def check_entry(entry: BundleEntry, sha256: bytes, bundle: str) -> None:
    """Raises EntryMismatch, if the index tells another one."""
    if entry.sha256 is not None and sha256 != entry.sha256:
        raise EntryMismatch(
            f"what arrived has the SHA-256 {sha256.hex()}, the index has {entry.sha256.hex()}",
            f"{bundle}//{entry.name}",
            "Get it again; if that is of no use, the bundle was made wrong",
        )


def write_file(opener: Opener, path: Path, data: bytes | memoryview) -> None:
    """Raises UnreadableFile, NoSpaceLeft."""
    with _Target(opener, path) as target:
        target.write(data)
        target.commit()


def not_written(error: OSError, path: Path) -> GreenrayError:
    """What a file, or a directory for files, cannot be written for."""
    if is_full(error):
        return NoSpaceLeft("the disk is full", str(path), "Make room.")
    return UnreadableFile(
        f"it cannot be written ({error.strerror})",
        str(path),
        "Name a directory that can be written, or move away what is there.",
    )


class _Target:
    """A whole file whose errors are ours."""

    def __init__(self, opener: Opener, path: Path) -> None:
        self._path = path
        try:
            self._whole = opener()
        except OSError as error:
            raise not_written(error, path) from error

    def __enter__(self) -> _Target:
        return self

    def write(self, data: bytes | memoryview) -> None:
        try:
            self._whole.write(data)
        except OSError as error:
            raise not_written(error, self._path) from error

    def commit(self) -> None:
        try:
            self._whole.commit()
        except OSError as error:
            raise not_written(error, self._path) from error

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._whole.abort()
