"""SHA-256 over slices of columns, without joining them (protocol 01 §6.1)."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from coding.buffers import Buffer, as_view

_COPY_BELOW_BYTES = 1 << 10
"""A slice of bytes is a copy, a slice of a view an object; below this the copy is cheaper."""


def hash_slices(slices: Iterable[Buffer]) -> bytes:
    """The 32-byte checksum of a segment or piece that is given in parts.

    The GIL is free while a part of 2 KiB or more is hashed.
    """
    digest = sha256()
    for part in slices:
        digest.update(as_view(part))
    return digest.digest()


def hash_pieces(column: Buffer, piece_size_bytes: int) -> list[bytes]:
    """The checksum of each piece of a column; the last piece may be shorter."""
    view: bytes | memoryview = as_view(column)
    if piece_size_bytes < _COPY_BELOW_BYTES:
        view = bytes(view)
    return [
        sha256(view[start : start + piece_size_bytes]).digest()
        for start in range(0, len(view), piece_size_bytes)
    ]
