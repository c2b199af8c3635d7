"""Reading one piece of a column, the same for every piece store."""

from __future__ import annotations

from greenray.protocol.errors import InvalidInput, NoSuchPiece, StoreError
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import Buffer, ColumnKey, PieceStore


def read_piece(
    store: PieceStore,
    key: ColumnKey,
    layout: ColumnLayout,
    piece_index: int,
    offset: int,
    length: int | None,
) -> bytes:
    """``length`` bytes (all, if None) from ``offset`` of one piece.

    Raises: InvalidInput (no such piece or range in the layout), NoSuchPiece, StoreError.
    """
    piece_bytes = layout.piece_length(piece_index)
    if length is None:
        length = piece_bytes - offset
    if offset < 0 or length < 0 or offset + length > piece_bytes:
        raise InvalidInput(
            f"bytes {offset} to {offset + length} are outside piece {piece_index} "
            f"of {piece_bytes} bytes",
            column_text(key),
        )
    data = bytearray(length)
    store.read_into(key, layout, layout.piece_offset(piece_index) + offset, [memoryview(data)])
    return bytes(data)


def check_range(
    key: ColumnKey, layout: ColumnLayout, offset: int, buffers: list[Buffer], stored_bytes: int
) -> None:
    """Raises: InvalidInput (a negative offset), NoSuchPiece (more than is stored)."""
    end = offset + sum(map(len, buffers))
    if offset < 0:
        raise InvalidInput(f"offset {offset} is negative", column_text(key))
    if end > min(stored_bytes, layout.size_bytes):
        raise NoSuchPiece(
            f"bytes {offset} to {end} were asked for, and {stored_bytes} of {layout.size_bytes} "
            "are there",
            column_text(key),
        )


def check_room(key: ColumnKey, layout: ColumnLayout, size_bytes: int, added_bytes: int) -> None:
    """Raises: StoreError, when an append would make the column longer than its layout."""
    if size_bytes + added_bytes > layout.size_bytes:
        raise StoreError(
            f"{size_bytes + added_bytes} bytes do not fit a column of {layout.size_bytes}",
            column_text(key),
        )


def check_complete(key: ColumnKey, layout: ColumnLayout, size_bytes: int) -> None:
    """Raises: StoreError, when a column to be finished has not the size of its layout."""
    if size_bytes != layout.size_bytes:
        raise StoreError(
            f"the column has {size_bytes} of its {layout.size_bytes} bytes and cannot be finished",
            column_text(key),
        )


def column_text(key: ColumnKey) -> str:
    """The column in an error message."""
    return f"object {key.object_id}, redundancy index {key.redundancy_index}"
