"""SHA-256 of segments and pieces, several at a time, without joining what they lie in
(protocol 01 §6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Protocol

from greenray.coding import sha256_lanes
from greenray.coding.buffers import Buffer, as_view

_COPY_BELOW_BYTES = 1 << 10
"""A slice of bytes is a copy, a slice of a view an object; below this the copy is cheaper."""

_LANES_FROM_BYTES = 16 << 10
"""Messages that are shorter, on an average, cost more to hand over than a second lane saves."""


TOGETHER = 2
"""Messages that one thread hashes in hardly more time than one of them."""


class Digests(Protocol):
    """The checksums of some messages that come in parts."""

    def update(self, parts: Sequence[Iterable[Buffer]]) -> None:
        """Continue all messages: for each, in their order, the slices that come next.

        The GIL is free while slices of 2 KiB or more are hashed.
        """

    def digests(self) -> list[bytes]:
        """32 bytes per message. Call it once, at the end."""


class HashlibDigests:
    """One message after the other."""

    def __init__(self, count: int) -> None:
        self._digests = [sha256() for _ in range(count)]

    def update(self, parts: Sequence[Iterable[Buffer]]) -> None:
        for digest, slices in zip(self._digests, parts, strict=True):
            for part in slices:
                digest.update(as_view(part))

    def digests(self) -> list[bytes]:
        return [digest.digest() for digest in self._digests]


def start_digests(count: int) -> Digests:
    """Of ``count`` large messages, in the fastest way that this machine has."""
    lanes = sha256_lanes.library()
    if lanes is None or count < 2:
        return HashlibDigests(count)
    return sha256_lanes.LaneDigests(lanes, count)


def kernel_name() -> str:
    """What hashes large messages here."""
    return "hashlib" if sha256_lanes.library() is None else "sha256_lanes"


def hash_messages(messages: Sequence[Sequence[Buffer]]) -> list[bytes]:
    """The 32-byte checksums of messages that are given in slices."""
    count = len(messages)
    size_bytes = sum(len(part) for slices in messages for part in slices)
    large = size_bytes >= count * _LANES_FROM_BYTES
    digests = start_digests(count) if large else HashlibDigests(count)
    digests.update(messages)
    return digests.digests()


def hash_slices(slices: Iterable[Buffer]) -> bytes:
    """The 32-byte checksum of one segment or piece that is given in parts."""
    return hash_messages([list(slices)])[0]


def hash_pieces(runs: Sequence[Buffer], piece_size_bytes: int) -> list[bytes]:
    """The checksum of each piece of a column, which lies in ``runs`` of memory, one after the
    other; the last piece may be shorter."""
    views: list[bytes | memoryview] = [as_view(run) for run in runs]
    if piece_size_bytes < _COPY_BELOW_BYTES:
        views = [b"".join(views)]
    return hash_messages(list(_cut(views, piece_size_bytes)))


def _cut(
    views: Iterable[bytes | memoryview], piece_size_bytes: int
) -> Iterator[list[bytes | memoryview]]:
    piece: list[bytes | memoryview] = []
    missing_bytes = piece_size_bytes
    for view in views:
        start = 0
        while start < len(view):
            part = view[start : start + missing_bytes]
            piece.append(part)
            start += len(part)
            missing_bytes -= len(part)
            if missing_bytes == 0:
                yield piece
                piece, missing_bytes = [], piece_size_bytes
    if piece:
        yield piece
