"""Shards and other bytes, seen as arrays or as views, never copied."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shard: TypeAlias = NDArray[np.uint8]
"""One shard, or a column of shards: a contiguous one-dimensional array."""

Buffer: TypeAlias = bytes | bytearray | memoryview | Shard


def as_shard(buffer: Buffer) -> Shard:
    return buffer if isinstance(buffer, np.ndarray) else np.frombuffer(buffer, np.uint8)


def as_view(buffer: Buffer) -> memoryview:
    """Contiguous bytes as a view of unsigned bytes."""
    view = buffer.data if isinstance(buffer, np.ndarray) else memoryview(buffer)
    return view.cast("B")


def address_of(array: NDArray[Any]) -> int:
    """Where a contiguous array begins."""
    address: int = array.__array_interface__["data"][0]
    return address
