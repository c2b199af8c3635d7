"""Writes bundles into a spool: each file is read once, and its hash is that of what was read."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from greenray.client.bundle_files import BundleFile, EntryFailure
from greenray.files.whole_file import is_full, write_all
from greenray.protocol.bundle import BundleWriter
from greenray.protocol.errors import (
    FileChanged,
    GreenrayError,
    NoSpaceLeft,
    StoreError,
    UnreadableFile,
)

_READ_BYTES = 1 << 20
_TYPES = mimetypes.MimeTypes()
"""What Python knows, and not what this machine adds: the same files are the same bundle."""


class PackingStopped(Exception):
    """Nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class PackedVolume:
    """A bundle in a file without a name, which is gone when it is closed."""

    file: io.FileIO
    entries: int
    payload_bytes: int
    failures: Sequence[EntryFailure]

    def __enter__(self) -> PackedVolume:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.file.close()


class Packer:
    """Blocking; for a thread beside the event loop."""

    def __init__(self, spool_dir: Path | None, on_packed: Callable[[int], None]) -> None:
        """``spool_dir`` None: where temporary files go. ``on_packed`` is told the bytes of each
        block that was packed."""
        self._spool_dir = Path(spool_dir or tempfile.gettempdir())
        self._on_packed = on_packed
        self._stopped = threading.Event()

    def stop(self) -> None:
        """``pack`` raises PackingStopped soon."""
        self._stopped.set()

    def pack(self, files: Sequence[BundleFile], tags: Mapping[str, str], name: str) -> PackedVolume:
        """A bundle of the files that could be read; its first entry carries ``tags``. ``name`` is
        for messages.

        Raises: NoSpaceLeft, StoreError (the spool cannot be written), PackingStopped.
        """
        try:
            spool = _nameless(self._spool_dir)
        except OSError as error:
            raise self._not_written(error) from error
        try:
            spool.name = name  # of its descriptor nobody would know what it is
            return self._packed(files, tags, spool)
        except BaseException:
            spool.close()
            raise

    def _packed(
        self, files: Sequence[BundleFile], tags: Mapping[str, str], spool: io.FileIO
    ) -> PackedVolume:
        writer = BundleWriter()
        failures = []
        for file in files:
            try:
                size_bytes, sha256 = self._copy(file, spool)
            except GreenrayError as error:
                if isinstance(error, StoreError):
                    raise
                failures.append(EntryFailure(file.name, error))
                spool.seek(writer.size_bytes)
                spool.truncate()
                continue
            content_type = _TYPES.guess_type(file.name)[0] or ""
            writer.add(file.name, size_bytes, sha256, content_type, {} if len(writer) else tags)
        if len(writer):
            self._write(spool, writer.end())
        spool.seek(0)
        return PackedVolume(spool, len(writer), writer.size_bytes, tuple(failures))

    def _copy(self, file: BundleFile, spool: io.FileIO) -> tuple[int, bytes]:
        """Size and SHA-256. Raises UnreadableFile, FileChanged."""
        if isinstance(file.content, bytes):
            self._take(spool, file.content)
            return len(file.content), hashlib.sha256(file.content).digest()
        path = file.content
        try:
            # A pipe that has taken the place of a file would keep us waiting.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(error, path) from error
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise UnreadableFile("is no regular file", str(path))
            size_bytes, sha256 = self._copy_open(descriptor, path, spool)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if (size_bytes, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise FileChanged(
                "the file was written to while it was read",
                str(path),
                "Bundle it again when it no longer changes.",
            )
        return size_bytes, sha256

    def _copy_open(self, descriptor: int, path: Path, spool: io.FileIO) -> tuple[int, bytes]:
        digest = hashlib.sha256()
        size_bytes = 0
        while True:
            try:
                block = os.read(descriptor, _READ_BYTES)
            except OSError as error:
                raise _unreadable(error, path) from error
            if not block:
                return size_bytes, digest.digest()
            digest.update(block)
            size_bytes += len(block)
            self._take(spool, block)

    def _take(self, spool: io.FileIO, block: bytes) -> None:
        if self._stopped.is_set():
            raise PackingStopped
        self._write(spool, block)
        self._on_packed(len(block))

    def _write(self, spool: io.FileIO, block: bytes) -> None:
        try:
            write_all(spool, block)
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> StoreError:
        where = f"spool {self._spool_dir}"
        if is_full(error):
            return NoSpaceLeft(
                "the disk is full", where, "Make room, or name another directory with --spool"
            )
        return StoreError(
            f"it cannot be written ({error.strerror})", where, "Name another one with --spool"
        )


def _nameless(directory: Path) -> io.FileIO:
    """A file that is gone when its process is, however that ends."""
    descriptor, path = tempfile.mkstemp(prefix="greenray-bundle-", dir=directory)
    os.unlink(path)
    return io.FileIO(descriptor, "r+")


def _unreadable(error: OSError, path: Path) -> UnreadableFile:
    return UnreadableFile(error.strerror or str(error), str(path))
