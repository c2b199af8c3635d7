"""A PieceStore in a directory: one file per column (design §3)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from greenray.protocol.errors import NoSuchPiece, StoreError, StoreUnavailable
from greenray.protocol.layout import ColumnLayout
from greenray.storage import piece_ranges
from greenray.storage.append_file import AppendFile
from greenray.storage.column_paths import ColumnPaths, parse_finished, parse_unfinished
from greenray.storage.direct_io import (
    BLOCK_SIZE_BYTES,
    DirectIo,
    StagingPool,
    flat,
    probe_direct_io,
    shared_staging_pool,
    store_errors,
    sync_directory,
)
from greenray.storage.ports import (
    LONE_WRITER,
    Buffer,
    ColumnKey,
    ColumnWriter,
    Fence,
    StoredColumn,
)
from greenray.storage.range_reader import read_range

DIRECT_WRITE_MIN_BYTES = 64 * 1024
"""Columns smaller than this go through the page cache: fewer system calls, and few pages."""


class FilePieceStore:
    """Implements ``greenray.storage.ports.PieceStore`` under ``root``, which is made when it is not
    there.

    Several processes may use the same root for different columns. Thread-safe. ``durable`` False
    leaves it to the operating system when bytes reach the disk: everything survives the end of the
    process, but not a power loss.

    Raises: NoSpaceLeft, StoreError (from the constructor as well).
    """

    def __init__(
        self, root: Path, durable: bool = True, staging: StagingPool | None = None
    ) -> None:
        self._paths = ColumnPaths(Path(root))
        self._durable = durable
        self._staging = staging or shared_staging_pool()
        for directory in (self._paths.finished_root, self._paths.unfinished_root):
            self._make_directory(directory)
        self._direct = probe_direct_io(self._paths.unfinished_root)

    def create(
        self, key: ColumnKey, layout: ColumnLayout, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        path = self._paths.unfinished(key, fence)
        if not path.parent.is_dir():
            self._make_directory(path.parent)  # somebody has removed all that was there
        with store_errors(path, "create a column"):
            # A new file, not the old one emptied: whoever still writes to that is harmless then.
            with suppress(FileNotFoundError):
                path.unlink()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            file = AppendFile(fd, 0, self._direct_for(layout), self._staging)
        return _FileWriter(self, key, layout, path, file)

    def resume(
        self, key: ColumnKey, layout: ColumnLayout, size_bytes: int, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        piece_ranges.check_room(key, layout, size_bytes, 0)
        path = self._paths.unfinished(key, fence)
        with store_errors(path, "continue a column"):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NoSuchPiece("the unfinished column is not there", str(path)) from None
            try:
                stored_bytes = os.fstat(fd).st_size
                if stored_bytes < size_bytes:
                    raise NoSuchPiece(
                        f"the unfinished column has {stored_bytes} of {size_bytes} bytes", str(path)
                    )
                os.ftruncate(fd, size_bytes)
                file = AppendFile(fd, size_bytes, self._direct_for(layout), self._staging)
            except BaseException:
                os.close(fd)
                raise
        return _FileWriter(self, key, layout, path, file)

    def exists(self, key: ColumnKey) -> bool:
        path = self._paths.finished(key)
        with store_errors(path, "look for a column"):
            try:
                path.stat()
            except FileNotFoundError:
                return False
            return True

    def read_into(
        self, key: ColumnKey, layout: ColumnLayout, offset: int, buffers: Sequence[Buffer]
    ) -> None:
        self._read(self._paths.finished(key), key, layout, offset, buffers)

    def read_unfinished_into(
        self,
        key: ColumnKey,
        layout: ColumnLayout,
        fence: Fence,
        offset: int,
        buffers: Sequence[Buffer],
    ) -> None:
        self._read(self._paths.unfinished(key, fence), key, layout, offset, buffers)

    def _read(
        self,
        path: Path,
        key: ColumnKey,
        layout: ColumnLayout,
        offset: int,
        buffers: Sequence[Buffer],
    ) -> None:
        views = flat(buffers)
        with store_errors(path, "read a column"):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NoSuchPiece("the column is not there", str(path)) from None
            try:
                piece_ranges.check_range(key, layout, offset, views, os.fstat(fd).st_size)
                read_range(fd, views, offset, self._direct, self._staging)
            finally:
                os.close(fd)

    def read_piece(
        self,
        key: ColumnKey,
        layout: ColumnLayout,
        piece_index: int,
        offset: int = 0,
        length: int | None = None,
    ) -> bytes:
        return piece_ranges.read_piece(self, key, layout, piece_index, offset, length)

    def list_columns(self) -> Iterator[ColumnKey]:
        root = self._paths.finished_root
        for directory in sorted((n for n in self._names(root) if n.isdecimal()), key=int):
            keys = map(parse_finished, self._names(root / directory))
            yield from sorted(key for key in keys if key is not None)

    def list_unfinished(self) -> Iterator[tuple[ColumnKey, Fence]]:
        keys = map(parse_unfinished, self._names(self._paths.unfinished_root))
        yield from sorted(key for key in keys if key is not None)

    def list_stored(self, object_id: int | None = None) -> Iterator[StoredColumn]:
        if object_id is None:
            keys = self.list_columns()
        else:
            directory = self._paths.finished(ColumnKey(object_id)).parent
            names = self._names(directory) if directory.is_dir() else []
            found = (key for key in map(parse_finished, names) if key is not None)
            keys = iter(sorted(key for key in found if key.object_id == object_id))
        for key in keys:
            yield from self._sized(self._paths.finished(key), key, None)
        for key, fence in self.list_unfinished():
            if object_id in (None, key.object_id):
                yield from self._sized(self._paths.unfinished(key, fence), key, fence)

    def _sized(self, path: Path, key: ColumnKey, fence: Fence | None) -> Iterator[StoredColumn]:
        """Nothing for a column that has gone, or was finished, since it was listed."""
        with store_errors(path, "look for a column"), suppress(FileNotFoundError):
            yield StoredColumn(key, fence, path.stat().st_size)

    def delete(self, key: ColumnKey) -> None:
        for other, fence in self.list_unfinished():
            if other == key:
                self.delete_unfinished(key, fence)
        path = self._paths.finished(key)
        with store_errors(path, "remove a column"), suppress(FileNotFoundError):
            path.unlink()
            self._sync_name(path)

    def delete_unfinished(self, key: ColumnKey, fence: Fence) -> None:
        path = self._paths.unfinished(key, fence)
        with store_errors(path, "remove an unfinished column"):
            path.unlink(missing_ok=True)

    def probe(self) -> None:
        directory = self._paths.unfinished_root
        content = os.urandom(BLOCK_SIZE_BYTES + 1)
        with (
            store_errors(directory, "write a probe file"),
            tempfile.NamedTemporaryFile(dir=directory, prefix="probe-") as temporary,
        ):
            file = AppendFile(os.dup(temporary.fileno()), 0, self._direct, self._staging)
            try:
                file.append([memoryview(content)])
                file.sync()
            finally:
                file.close()
            if Path(temporary.name).read_bytes() != content:
                raise StoreError("what was written is not what is read", str(directory))

    # --- for the writer --------------------------------------------------------------------------

    def _sync_data(self, file: AppendFile) -> None:
        if self._durable:
            file.sync()
        else:
            file.flush()

    def _sync_name(self, path: Path) -> None:
        if self._durable:
            sync_directory(path.parent)

    def _publish(self, key: ColumnKey, unfinished: Path) -> None:
        path = self._paths.finished(key)
        if not path.parent.is_dir():
            self._make_directory(path.parent)
        unfinished.replace(path)
        self._sync_name(path)

    # --- plumbing --------------------------------------------------------------------------------

    def _direct_for(self, layout: ColumnLayout) -> DirectIo | None:
        return self._direct if layout.size_bytes >= DIRECT_WRITE_MIN_BYTES else None

    def _make_directory(self, directory: Path) -> None:
        """Make it and its parents; their names are durable before anything is put there."""
        missing = [p for p in (directory, *directory.parents) if not p.exists()]
        with store_errors(directory, "make a directory"):
            directory.mkdir(parents=True, exist_ok=True)
            for made in reversed(missing):
                self._sync_name(made)

    def _names(self, directory: Path) -> list[str]:
        """None of a directory that is gone, with all that was in it."""
        with store_errors(directory, "list columns"), suppress(FileNotFoundError):
            return os.listdir(directory)
        return []


class _FileWriter:
    """Implements ``greenray.storage.ports.ColumnWriter``."""

    def __init__(
        self,
        store: FilePieceStore,
        key: ColumnKey,
        layout: ColumnLayout,
        path: Path,
        file: AppendFile,
    ) -> None:
        self._store = store
        self._key = key
        self._layout = layout
        self._path = path
        self._file = file
        status = os.fstat(file.fd)
        self._identity = (status.st_dev, status.st_ino)
        self._name_synced = False
        self._usable = True
        self._size_bytes = file.size_bytes

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def append(self, buffers: Sequence[Buffer]) -> None:
        added_bytes = sum(memoryview(b).nbytes for b in buffers)
        self._check_usable()
        piece_ranges.check_room(self._key, self._layout, self._size_bytes, added_bytes)
        with self._failing(f"append {added_bytes} bytes at {self._size_bytes}"):
            self._file.append(buffers)
        self._size_bytes += added_bytes

    def sync(self) -> None:
        self._check_usable()
        with self._failing("sync a column"):
            self._store._sync_data(self._file)
            if not self._name_synced:
                self._store._sync_name(self._path)
                self._name_synced = True

    def finish(self) -> None:
        self._check_usable()
        piece_ranges.check_complete(self._key, self._layout, self._size_bytes)
        with self._failing("finish a column"):
            self._store._sync_data(self._file)
            if not self._is_own_name():
                raise StoreUnavailable(
                    "the unfinished column was removed or begun anew", str(self._path)
                )
            self._store._publish(self._key, self._path)
        self._usable = False
        self._file.close()

    def close(self) -> None:
        if self._file.fd < 0:
            return
        try:
            if self._usable:
                with self._failing("close a column"):
                    self._file.flush()
        finally:
            self._usable = False
            self._file.close()

    def abort(self) -> None:
        self._usable = False
        self._file.close()
        with store_errors(self._path, "remove an unfinished column"):
            if self._is_own_name():
                self._path.unlink(missing_ok=True)

    def _is_own_name(self) -> bool:
        """Whether the name still belongs to this writer's file, and not to a later writer's."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _check_usable(self) -> None:
        if not self._usable:
            raise StoreError("the column's writer is closed or has failed", str(self._path))

    @contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        """After an error it is unknown what is on the disk (a sync that failed must not be tried
        again: the second one lies), so the writer is of no more use."""
        try:
            with store_errors(self._path, action):
                yield
        except BaseException:
            self._usable = False
            raise
