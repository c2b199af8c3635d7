"""A PieceStore on S3: one object per append, and a record that makes a column finished.

What is where is in ``greenray.storage.s3_names``, why in decision 0010.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from greenray.protocol.errors import NoSuchPiece, StoreError, StoreUnavailable
from greenray.protocol.layout import ColumnLayout
from greenray.storage import piece_ranges, s3_names
from greenray.storage.direct_io import flat
from greenray.storage.ports import (
    LONE_WRITER,
    Buffer,
    ColumnKey,
    ColumnWriter,
    Fence,
    StoredColumn,
)
from greenray.storage.s3_bucket import S3Bucket
from greenray.storage.s3_names import FinishedColumn

READ_BYTES = 16 * 1024 * 1024
"""At most so much is asked for in one request, because it is in memory twice for a moment."""


class S3PieceStore:
    """Implements ``greenray.storage.ports.PieceStore`` below ``root``, the SP's own prefix in the
    bucket.

    Several processes may use the same root for different columns. Thread-safe. Everything that was
    appended is durable when the call returns, so ``sync`` has nothing left to do.
    """

    def __init__(self, bucket: S3Bucket, root: str) -> None:
        self._bucket = bucket
        self._root = f"{root}/"

    def create(
        self, key: ColumnKey, layout: ColumnLayout, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        if self._begun_by(key, fence) is not None:
            self.delete_unfinished(key, fence)
        writer = uuid.uuid4().hex
        self._put(s3_names.unfinished_key(key, fence), writer.encode())
        return _S3Writer(self, key, layout, fence, writer, [])

    def resume(
        self, key: ColumnKey, layout: ColumnLayout, size_bytes: int, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        piece_ranges.check_room(key, layout, size_bytes, 0)
        writer = self._begun_by(key, fence)
        if writer is None or self._is_finished(key, writer):
            raise NoSuchPiece("the unfinished column is not there", self._where(key))
        ends = self._cut(key, fence, writer, size_bytes)
        return _S3Writer(self, key, layout, fence, writer, ends)

    def exists(self, key: ColumnKey) -> bool:
        return self._finished(key) is not None

    def read_into(
        self, key: ColumnKey, layout: ColumnLayout, offset: int, buffers: Sequence[Buffer]
    ) -> None:
        views = flat(buffers)
        column = self._finished(key)
        while True:
            if column is None:
                raise NoSuchPiece("no finished column", self._where(key))
            piece_ranges.check_range(key, layout, offset, views, column.size_bytes)
            if self._read(key, column, offset, views):
                return
            before, column = column, self._finished(key)
            if column == before:
                raise NoSuchPiece("a part of the column is gone", self._where(key))

    def read_unfinished_into(
        self,
        key: ColumnKey,
        layout: ColumnLayout,
        fence: Fence,
        offset: int,
        buffers: Sequence[Buffer],
    ) -> None:
        views = flat(buffers)
        writer = self._begun_by(key, fence)
        if writer is None:
            raise NoSuchPiece("no unfinished column", self._where(key))
        ends = _contiguous_ends(self._parts(key, fence, writer))
        column = FinishedColumn(fence, writer, tuple(ends))
        piece_ranges.check_range(key, layout, offset, views, ends[-1] if ends else 0)
        if not self._read(key, column, offset, views):
            raise NoSuchPiece("a part of the column is gone", self._where(key))

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
        found = map(s3_names.parse_finished, self._names(s3_names.FINISHED))
        columns = (key for key in found if key is not None)
        for _, of_object in groupby(columns, key=lambda key: key.object_id):
            yield from sorted(of_object)

    def list_unfinished(self) -> Iterator[tuple[ColumnKey, Fence]]:
        found = map(s3_names.parse_unfinished, self._names(s3_names.UNFINISHED))
        yield from sorted(key for key in found if key is not None)

    def list_stored(self, object_id: int | None = None) -> Iterator[StoredColumn]:
        """A fence's parts count for its unfinished column, while there is one. Parts that neither
        record names are what a crash has left of a deletion, and are an unfinished column too."""
        of_object = "" if object_id is None else s3_names.object_prefix(object_id)
        names = self._names(f"{s3_names.FINISHED}{of_object}")
        finished = {key: 0 for key in map(s3_names.parse_finished, names) if key is not None}
        names = self._names(f"{s3_names.UNFINISHED}{of_object}")
        unfinished = {key: 0 for key in map(s3_names.parse_unfinished, names) if key is not None}
        for name, size_bytes in self._bucket.list(f"{self._root}parts/{of_object}"):
            part = s3_names.part_of(name.removeprefix(self._root))
            if part is None:
                continue
            if part not in unfinished and part[0] in finished:
                finished[part[0]] += size_bytes
            else:
                unfinished[part] = unfinished.get(part, 0) + size_bytes
        for key in sorted(finished):
            yield StoredColumn(key, None, finished[key])
        for key, fence in sorted(unfinished):
            yield StoredColumn(key, fence, unfinished[key, fence])

    def delete(self, key: ColumnKey) -> None:
        self._delete(s3_names.finished_key(key))
        for prefix in (s3_names.unfinished_prefix(key), s3_names.parts_prefix(key)):
            for name in self._names(prefix):
                self._delete(name)

    def delete_unfinished(self, key: ColumnKey, fence: Fence) -> None:
        self._forget(key, fence)

    def probe(self) -> None:
        name, content = f"probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
        self._put(name, content)
        if self._bucket.get(self._root + name) != content or name not in self._names(name):
            raise StoreError("what was written is not what is read", str(self._bucket.location))
        self._delete(name)

    # --- for the writer --------------------------------------------------------------------------

    def _append(
        self, key: ColumnKey, fence: Fence, writer: str, offset: int, views: list[memoryview]
    ) -> None:
        self._put(s3_names.part_key(key, fence, writer, offset), b"".join(views))

    def _publish(self, key: ColumnKey, column: FinishedColumn) -> None:
        if self._begun_by(key, column.fence) != column.writer:
            raise StoreUnavailable(
                "the unfinished column was removed or begun anew", self._where(key)
            )
        # Whatever is there is replaced, a damaged record too.
        replaced = self._bucket.get(self._root + s3_names.finished_key(key))
        self._put(s3_names.finished_key(key), column.to_bytes())
        if replaced is None:
            self._delete(s3_names.unfinished_key(key, column.fence))
        else:
            self._forget(key, column.fence)

    def _abort(self, key: ColumnKey, fence: Fence, writer: str) -> None:
        # A ``finish`` that failed may have finished the column nevertheless.
        if not self._is_finished(key, writer):
            for name in self._names(s3_names.writer_prefix(key, fence, writer)):
                self._delete(name)
        if self._begun_by(key, fence) == writer:
            self._delete(s3_names.unfinished_key(key, fence))

    # --- columns ---------------------------------------------------------------------------------

    def _finished(self, key: ColumnKey) -> FinishedColumn | None:
        data = self._bucket.get(self._root + s3_names.finished_key(key))
        try:
            return None if data is None else FinishedColumn.from_bytes(data)
        except ValueError as error:
            raise StoreError(f"the column's record is damaged: {error}", self._where(key)) from None

    def _is_finished(self, key: ColumnKey, writer: str) -> bool:
        data = self._bucket.get(self._root + s3_names.finished_key(key))
        try:
            return data is not None and FinishedColumn.from_bytes(data).writer == writer
        except ValueError:
            return False

    def _begun_by(self, key: ColumnKey, fence: Fence) -> str | None:
        """The writer of the unfinished column."""
        data = self._bucket.get(self._root + s3_names.unfinished_key(key, fence))
        return None if data is None else data.decode()

    def _forget(self, key: ColumnKey, fence: Fence) -> None:
        """Remove the unfinished column, and all parts that belong neither to the finished one nor
        to another unfinished one. The unfinished key goes last: whatever a crash leaves is still
        listed.

        Others write and finish meanwhile. Their parts come after their unfinished key, and that
        goes after their finished record: in this order what is theirs is seen to be.
        """
        parts = list(self._names(s3_names.parts_prefix(key)))
        unfinished = map(s3_names.parse_unfinished, self._names(s3_names.unfinished_prefix(key)))
        others = {found[1] for found in unfinished if found is not None} - {fence}
        column = self._finished(key)
        for name in parts:
            part_fence, writer = s3_names.writer_of(name)
            if part_fence not in others and (column is None or column.writer != writer):
                self._delete(name)
        self._delete(s3_names.unfinished_key(key, fence))

    def _cut(self, key: ColumnKey, fence: Fence, writer: str, size_bytes: int) -> list[int]:
        """Leave the first ``size_bytes`` of an unfinished column; returns where its parts end.

        Raises: NoSuchPiece (less is there), with everything left as it is.
        """
        parts = self._parts(key, fence, writer)
        ends = _contiguous_ends(parts)
        if (ends[-1] if ends else 0) < size_bytes:
            raise NoSuchPiece(
                f"the unfinished column has {ends[-1] if ends else 0} of {size_bytes} bytes",
                self._where(key),
            )
        # From the end, so that a crash leaves no gap.
        for offset, part_bytes in reversed(parts):
            name = s3_names.part_key(key, fence, writer, offset)
            if offset >= size_bytes:
                self._delete(name)
            elif offset + part_bytes > size_bytes:
                kept = self._bucket.get_range(self._root + name, 0, size_bytes - offset)
                if kept is None:
                    raise NoSuchPiece("a part of the column is gone", self._where(key))
                self._put(name, kept)
        return [end for end in ends if end < size_bytes] + [size_bytes] * (size_bytes > 0)

    def _parts(self, key: ColumnKey, fence: Fence, writer: str) -> list[tuple[int, int]]:
        """(offset, bytes) of everything that a writer has appended, in order."""
        listed = self._bucket.list(self._root + s3_names.writer_prefix(key, fence, writer))
        return [(int(name.rpartition("/")[2]), size_bytes) for name, size_bytes in listed]

    def _read(
        self, key: ColumnKey, column: FinishedColumn, offset: int, views: list[memoryview]
    ) -> bool:
        """Fill ``views``; False when a part is gone, because the column was replaced or removed."""
        filler = _Filler(views)
        end = offset + sum(map(len, views))
        for part_offset, first, until in column.ranges(offset, end, READ_BYTES):
            name = s3_names.part_key(key, column.fence, column.writer, part_offset)
            data = self._bucket.get_range(self._root + name, first, until)
            if data is None:
                return False
            filler.fill(data)
        return True

    # --- plumbing --------------------------------------------------------------------------------

    def _put(self, name: str, data: bytes) -> None:
        self._bucket.put(self._root + name, data)

    def _delete(self, name: str) -> None:
        self._bucket.delete(self._root + name)

    def _names(self, prefix: str) -> Iterator[str]:
        for name, _ in self._bucket.list(self._root + prefix):
            yield name.removeprefix(self._root)

    def _where(self, key: ColumnKey) -> str:
        return f"{piece_ranges.column_text(key)} in {self._bucket.location}"


class _S3Writer:
    """Implements ``greenray.storage.ports.ColumnWriter``. ``ends``: where the parts end that are
    there."""

    def __init__(
        self,
        store: S3PieceStore,
        key: ColumnKey,
        layout: ColumnLayout,
        fence: Fence,
        writer: str,
        ends: list[int],
    ) -> None:
        self._store = store
        self._key = key
        self._layout = layout
        self._fence = fence
        self._writer = writer
        self._ends = ends
        self._usable = True
        self._finished = False

    @property
    def size_bytes(self) -> int:
        return self._ends[-1] if self._ends else 0

    def append(self, buffers: Sequence[Buffer]) -> None:
        self._check_usable()
        views = flat(buffers)
        added_bytes = sum(map(len, views))
        piece_ranges.check_room(self._key, self._layout, self.size_bytes, added_bytes)
        if added_bytes:
            with self._failing():
                self._store._append(self._key, self._fence, self._writer, self.size_bytes, views)
            self._ends.append(self.size_bytes + added_bytes)

    def sync(self) -> None:
        self._check_usable()

    def finish(self) -> None:
        self._check_usable()
        piece_ranges.check_complete(self._key, self._layout, self.size_bytes)
        with self._failing():
            self._store._publish(
                self._key, FinishedColumn(self._fence, self._writer, tuple(self._ends))
            )
        self._usable = False
        self._finished = True

    def close(self) -> None:
        self._usable = False

    def abort(self) -> None:
        self._usable = False
        if not self._finished:
            self._store._abort(self._key, self._fence, self._writer)

    def _check_usable(self) -> None:
        if not self._usable:
            raise StoreError(
                "the column's writer is closed or has failed", piece_ranges.column_text(self._key)
            )

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """After an error it is unknown what S3 has, so the writer is of no more use."""
        try:
            yield
        except BaseException:
            self._usable = False
            raise


class _Filler:
    """Puts bytes into several buffers, one after the other."""

    def __init__(self, views: list[memoryview]) -> None:
        self._rest = views

    def fill(self, data: bytes) -> None:
        source = memoryview(data)
        while source:
            target, *others = self._rest
            count = min(len(source), len(target))
            target[:count] = source[:count]
            source = source[count:]
            self._rest = [target[count:], *others] if count < len(target) else others


def _contiguous_ends(parts: list[tuple[int, int]]) -> list[int]:
    """Where the parts end, given as (offset, size) in order, up to the first gap."""
    ends: list[int] = []
    for offset, size_bytes in parts:
        if offset != (ends[-1] if ends else 0):
            break
        ends.append(offset + size_bytes)
    return ends
