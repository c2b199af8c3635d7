"""Memory that processes of one user and machine share, and that is gone when all have let go.

Ray's object store gives a result new memory each time and copies it there; memory that is used
again and again costs neither (docs/decisions/0036). It has no name in a file system, so whatever
dies in whatever way leaves nothing behind.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greenray.protocol.errors import SharedBlockGone

_TITLE = "greenray"
_KEPT_OPEN = 16


@dataclass(frozen=True, slots=True)
class BlockName:
    """How another process finds it, as long as its maker lives."""

    process_id: int
    descriptor: int
    inode: int
    """A later block may have the same descriptor."""
    size_bytes: int


class SharedBlock:
    """New memory of ``size_bytes``, all zero: ``memory`` is a flat array. Raises OSError."""

    def __init__(self, size_bytes: int) -> None:
        self._descriptor = os.memfd_create(_TITLE, os.MFD_CLOEXEC)
        os.ftruncate(self._descriptor, size_bytes)
        inode = os.fstat(self._descriptor).st_ino
        self.name = BlockName(os.getpid(), self._descriptor, inode, size_bytes)
        self._pages = mmap.mmap(self._descriptor, size_bytes)
        self.memory: NDArray[np.uint8] = np.frombuffer(self._pages, np.uint8)

    def close(self) -> None:
        """Nobody finds it any more. Its memory is free at once: who still reads it, reads zeros."""
        self._pages.madvise(mmap.MADV_REMOVE)
        os.close(self._descriptor)


class _OpenedBlocks:
    """The blocks of one other process, so that each is mapped once, and not those of an earlier
    one, whose memory nobody would free before this process ends."""

    def __init__(self) -> None:
        self._maker = 0
        self._memory: dict[tuple[BlockName, bool], NDArray[np.uint8]] = {}

    def memory(self, name: BlockName, writable: bool) -> NDArray[np.uint8]:
        key = (name, writable)
        if name.process_id != self._maker:
            self._memory.clear()
            self._maker = name.process_id
        found = self._memory.pop(key, None)
        if found is None:
            found = _mapped(name, writable)
        self._memory[key] = found  # now the most recently used one
        if len(self._memory) > _KEPT_OPEN:
            del self._memory[next(iter(self._memory))]
        return found


_opened = _OpenedBlocks()


def opened_block(name: BlockName, *, writable: bool = False) -> NDArray[np.uint8]:
    """The same memory in another process. Raises SharedBlockGone when its maker has let go."""
    return _opened.memory(name, writable)


def _mapped(name: BlockName, writable: bool) -> NDArray[np.uint8]:
    path = f"/proc/{name.process_id}/fd/{name.descriptor}"
    try:
        # Whatever else has this number by now, to open it might do something.
        if not os.readlink(path).startswith(f"/memfd:{_TITLE}"):
            raise SharedBlockGone("its maker has closed it", path)
        descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    except OSError as error:
        raise SharedBlockGone(f"it cannot be opened: {error.strerror}", path) from error
    try:
        if os.fstat(descriptor).st_ino != name.inode:
            raise SharedBlockGone("its maker has closed it", path)
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return np.frombuffer(mmap.mmap(descriptor, name.size_bytes, prot=protection), np.uint8)
    finally:
        os.close(descriptor)
