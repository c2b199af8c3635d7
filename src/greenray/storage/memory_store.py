"""A PieceStore in this process's memory; for tests and notebooks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from greenray.protocol.errors import NoSuchPiece, StoreError, StoreUnavailable
from greenray.protocol.layout import ColumnLayout
from greenray.storage import piece_ranges
from greenray.storage.column_paths import check_column
from greenray.storage.direct_io import flat
from greenray.storage.ports import (
    LONE_WRITER,
    Buffer,
    ColumnKey,
    ColumnWriter,
    Fence,
    StoredColumn,
    column_order,
)


class MemoryPieceStore:
    """Implements ``greenray.storage.ports.PieceStore``. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finished: dict[ColumnKey, bytes] = {}
        self._unfinished: dict[tuple[ColumnKey, Fence], bytearray] = {}

    def create(
        self, key: ColumnKey, layout: ColumnLayout, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        check_column(key, fence)
        with self._lock:
            data = self._unfinished[key, fence] = bytearray()
        return _MemoryWriter(self, key, layout, fence, data)

    def resume(
        self, key: ColumnKey, layout: ColumnLayout, size_bytes: int, fence: Fence = LONE_WRITER
    ) -> ColumnWriter:
        check_column(key, fence)
        piece_ranges.check_room(key, layout, size_bytes, 0)
        with self._lock:
            before = self._unfinished.get((key, fence))
            if before is None or len(before) < size_bytes:
                raise NoSuchPiece(
                    f"the unfinished column has {len(before or b'')} of {size_bytes} bytes",
                    piece_ranges.column_text(key),
                )
            data = self._unfinished[key, fence] = before[:size_bytes]
        return _MemoryWriter(self, key, layout, fence, data)

    def exists(self, key: ColumnKey) -> bool:
        return key in self._finished

    def read_into(
        self, key: ColumnKey, layout: ColumnLayout, offset: int, buffers: Sequence[Buffer]
    ) -> None:
        _read(self._finished.get(key), key, layout, offset, buffers)

    def read_unfinished_into(
        self,
        key: ColumnKey,
        layout: ColumnLayout,
        fence: Fence,
        offset: int,
        buffers: Sequence[Buffer],
    ) -> None:
        _read(self._unfinished.get((key, fence)), key, layout, offset, buffers)

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
        with self._lock:
            keys = sorted(self._finished)
        yield from keys

    def list_unfinished(self) -> Iterator[tuple[ColumnKey, Fence]]:
        with self._lock:
            keys = sorted(self._unfinished)
        yield from keys

    def list_stored(self, object_id: int | None = None) -> Iterator[StoredColumn]:
        with self._lock:
            finished = [StoredColumn(k, None, len(data)) for k, data in self._finished.items()]
            unfinished = [StoredColumn(*k, len(data)) for k, data in self._unfinished.items()]
        found = sorted(finished, key=column_order) + sorted(unfinished, key=column_order)
        yield from (one for one in found if object_id in (None, one.key.object_id))

    def delete(self, key: ColumnKey) -> None:
        with self._lock:
            self._finished.pop(key, None)
            for other, fence in list(self._unfinished):
                if other == key:
                    del self._unfinished[other, fence]

    def delete_unfinished(self, key: ColumnKey, fence: Fence) -> None:
        with self._lock:
            self._unfinished.pop((key, fence), None)

    def probe(self) -> None:
        """Memory needs no looking after."""

    def _owns(self, key: ColumnKey, fence: Fence, data: bytearray) -> bool:
        return self._unfinished.get((key, fence)) is data

    def _finish(self, key: ColumnKey, fence: Fence, data: bytearray) -> None:
        with self._lock:
            if not self._owns(key, fence, data):
                raise StoreUnavailable(
                    "the unfinished column was removed or begun anew",
                    piece_ranges.column_text(key),
                )
            self._finished[key] = bytes(data)
            del self._unfinished[key, fence]

    def _abort(self, key: ColumnKey, fence: Fence, data: bytearray) -> None:
        with self._lock:
            if self._owns(key, fence, data):
                del self._unfinished[key, fence]


class _MemoryWriter:
    """Implements ``greenray.storage.ports.ColumnWriter``."""

    def __init__(
        self,
        store: MemoryPieceStore,
        key: ColumnKey,
        layout: ColumnLayout,
        fence: Fence,
        data: bytearray,
    ) -> None:
        self._store = store
        self._key = key
        self._layout = layout
        self._fence = fence
        self._data = data
        self._open = True

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    def append(self, buffers: Sequence[Buffer]) -> None:
        self._check_open()
        views = flat(buffers)
        piece_ranges.check_room(self._key, self._layout, len(self._data), sum(map(len, views)))
        for view in views:
            self._data += view

    def sync(self) -> None:
        self._check_open()

    def finish(self) -> None:
        self._check_open()
        piece_ranges.check_complete(self._key, self._layout, len(self._data))
        self._store._finish(self._key, self._fence, self._data)
        self._open = False

    def close(self) -> None:
        self._open = False

    def abort(self) -> None:
        self._open = False
        self._store._abort(self._key, self._fence, self._data)

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("the column's writer is closed", piece_ranges.column_text(self._key))


def _read(
    data: bytes | bytearray | None,
    key: ColumnKey,
    layout: ColumnLayout,
    offset: int,
    buffers: Sequence[Buffer],
) -> None:
    if data is None:
        raise NoSuchPiece("the column is not there", piece_ranges.column_text(key))
    views = flat(buffers)
    piece_ranges.check_range(key, layout, offset, views, len(data))
    for view in views:
        view[:] = data[offset : offset + len(view)]
        offset += len(view)
