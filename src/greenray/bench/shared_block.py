"""Memory that processes of one user and machine share, and that is gone when all have let go.

Ray's object store gives a result new memory each time and copies it there; memory that is used
again and again costs neither (docs/decisions/0036).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BlockName:
    """How another process finds it, as long as its maker lives."""

    process_id: int
    descriptor: int
    inode: int
    """A later block may have the same descriptor."""
    size_bytes: int


@contextmanager
def shared_block(size_bytes: int) -> Iterator[tuple[BlockName, NDArray[np.uint8]]]:
    """New memory of ``size_bytes``, all zero, as a flat array."""
    descriptor = os.memfd_create("greenray", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, size_bytes)
        memory = np.frombuffer(mmap.mmap(descriptor, size_bytes), np.uint8)
        inode = os.fstat(descriptor).st_ino
        yield BlockName(os.getpid(), descriptor, inode, size_bytes), memory
    finally:
        os.close(descriptor)


@lru_cache(maxsize=8)
def opened_block(name: BlockName) -> NDArray[np.uint8]:
    """The same memory in another process. Raises FileNotFoundError when its maker has let go."""
    path = f"/proc/{name.process_id}/fd/{name.descriptor}"
    descriptor = os.open(path, os.O_RDWR)
    try:
        if os.fstat(descriptor).st_ino != name.inode:
            raise FileNotFoundError(path)
        return np.frombuffer(mmap.mmap(descriptor, name.size_bytes), np.uint8)
    finally:
        os.close(descriptor)
