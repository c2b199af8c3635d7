"""SHA-256 of many messages at once on one core, by the SHA instructions of x86 (FIPS 180-4).

Compiled from ``sha256_lanes.c`` where greenray is installed; without a C compiler, or on another
processor, ``hashlib`` does the same at half the speed. ctypes frees the GIL while it hashes.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np

from greenray.coding.buffers import Buffer, address_of, as_shard

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
_TEST_BYTES = 2 * 64 + 1
"""Enough for every way in which a slice can end inside a block, and padding of one and two."""


class _Context(ctypes.Structure):
    _fields_ = (
        ("state", ctypes.c_uint32 * 8),
        ("size", ctypes.c_uint64),
        ("held", ctypes.c_uint64),
        ("tail", ctypes.c_uint8 * 64),
    )


class LaneDigests:
    """The checksums of ``count`` messages, which go on side by side; see ``hashing.Digests``."""

    def __init__(self, library: ctypes.CDLL, count: int) -> None:
        self._library = library
        self._count = count
        self._contexts = (_Context * count)()
        library.sha256_lanes_start(self._contexts, count)

    def update(self, parts: Sequence[Iterable[Buffer]]) -> None:
        views = [[as_shard(part) for part in slices if len(part)] for slices in parts]
        if len(views) != self._count:
            raise ValueError(f"parts of {len(views)} messages, not of {self._count}")
        ends = np.cumsum([len(slices) for slices in views], dtype=np.uint64)
        slices = np.array(
            [(address_of(view), view.size) for slices in views for view in slices], np.uint64
        )
        self._library.sha256_lanes_update(
            self._contexts, address_of(slices), address_of(ends), self._count
        )

    def digests(self) -> list[bytes]:
        joined = ctypes.create_string_buffer(_DIGEST_BYTES * self._count)
        self._library.sha256_lanes_finish(self._contexts, self._count, joined)
        return [
            joined.raw[start : start + _DIGEST_BYTES]
            for start in range(0, _DIGEST_BYTES * self._count, _DIGEST_BYTES)
        ]


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernel if it is there, fits the processor and passes its test."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_sha256_lanes{suffix}")
        if path.exists():
            return load(path)
    return None


def load(path: Path) -> ctypes.CDLL | None:
    """A compiled kernel; None, and mostly a warning, when it cannot be used."""
    try:
        found = ctypes.CDLL(str(path))
        _declare(found)
    except (OSError, AttributeError) as error:
        log.warning("%s is of no use, hashlib is used: %s", path.name, error)
        return None
    if not found.sha256_lanes_supported():
        return None
    if not _is_right(found):
        log.warning("%s makes wrong checksums, hashlib is used", path.name)
        return None
    return found


def _declare(found: ctypes.CDLL) -> None:
    """Name the C signatures. Raises AttributeError when the library lacks the functions."""
    pointer, count = ctypes.c_void_p, ctypes.c_uint64
    found.sha256_lanes_supported.argtypes = []
    found.sha256_lanes_supported.restype = ctypes.c_int
    found.sha256_lanes_start.argtypes = [pointer, count]
    found.sha256_lanes_start.restype = None
    found.sha256_lanes_update.argtypes = [pointer, pointer, pointer, count]
    found.sha256_lanes_update.restype = None
    found.sha256_lanes_finish.argtypes = [pointer, count, pointer]
    found.sha256_lanes_finish.restype = None


def _is_right(found: ctypes.CDLL) -> bool:
    """Messages of every length up to the test's, each in two slices that end anywhere."""
    data = bytes(range(_TEST_BYTES))
    messages = [data[:size] for size in range(_TEST_BYTES + 1)]
    digests = LaneDigests(found, len(messages))
    digests.update([[message[: i // 2], message[i // 2 :]] for i, message in enumerate(messages)])
    return digests.digests() == [sha256(message).digest() for message in messages]
