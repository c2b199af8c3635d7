"""What is below a directory, found one by one, links followed.

No more is held than one way down from the top, so a million files are never in memory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_Identity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class FoundPath:
    """What is no directory; or, with ``error``, a directory that cannot be looked into, ELOOP: a
    link that leads back to one that it is in. ``relative``: to the top, empty for the top."""

    path: Path
    relative: str
    error: OSError | None = None


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    relative: str
    identity: _Identity
    items: Iterator[os.DirEntry[str]]
    close: Callable[[], None]

    @classmethod
    def opened(cls, path: Path, relative: str) -> _Folder:
        """Raises OSError."""
        found = path.stat()
        items = os.scandir(path)
        return cls(path, relative, (found.st_dev, found.st_ino), items, items.close)


def walk(top: Path) -> Iterator[FoundPath]:
    """Everything below ``top``, depth first. Directories without files leave no trace."""
    way: list[_Folder] = []
    try:
        yield from _enter(way, top, "")
        while way:
            folder = way[-1]
            try:
                item = next(folder.items, None)
            except OSError as error:
                yield FoundPath(folder.path, folder.relative, error)
                item = None
            if item is None:
                way.pop().close()
                continue
            path = folder.path / item.name
            relative = f"{folder.relative}/{item.name}" if folder.relative else item.name
            if _is_directory(item):
                yield from _enter(way, path, relative)
            else:
                yield FoundPath(path, relative)
    finally:
        for folder in way:
            folder.close()


def _enter(way: list[_Folder], path: Path, relative: str) -> Iterator[FoundPath]:
    """Go on with a directory, or tell why not."""
    try:
        folder = _Folder.opened(path, relative)
    except OSError as error:
        yield FoundPath(path, relative, error)
        return
    if any(above.identity == folder.identity for above in way):
        folder.close()
        yield FoundPath(path, relative, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
        return
    way.append(folder)


def _is_directory(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False  # what it is instead is said where it is looked at
