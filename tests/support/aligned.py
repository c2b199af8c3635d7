"""Memory at addresses that O_DIRECT takes, and at such that it does not."""

from __future__ import annotations

import mmap


def aligned_copy(data: bytes, shift_bytes: int = 0) -> memoryview:
    """A writable copy of ``data`` that begins ``shift_bytes`` after a page's start."""
    if not data:
        return memoryview(bytearray())
    memory = memoryview(mmap.mmap(-1, len(data) + shift_bytes))[shift_bytes:]
    memory[:] = data
    return memory
