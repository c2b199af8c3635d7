"""What is to be put, found one by one: files, trees of directories, patterns, lists.

All of it is made of generators that read a file system and hold no more than one path from the
root: a million files are never in memory. What cannot be put is an entry as well, with its error.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from greenray.client.payload_io import PayloadFile
from greenray.files.walk import walk
from greenray.protocol.errors import GreenrayError, InvalidName, UnreadableFile
from greenray.protocol.names import check_bucket_name, check_object_name


@dataclass(frozen=True, slots=True)
class PutEntry:
    """One payload and the ``bucket/object`` that it is for. ``error``: it cannot be put."""

    source: Path | PayloadFile
    name: str
    error: GreenrayError | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """``bucket`` or ``bucket/prefix``; what goes there has its own name behind a slash."""

    bucket_name: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Raises InvalidName."""
        bucket_name, _, prefix = text.partition("/")
        check_bucket_name(bucket_name)
        prefix = prefix.rstrip("/")
        if prefix:
            check_object_name(prefix)
        return cls(bucket_name, prefix)

    def entry(self, source: Path, relative: str) -> PutEntry:
        """``relative``: the object's name behind the prefix."""
        object_name = "/".join(filter(None, (self.prefix, relative)))
        name = f"{self.bucket_name}/{object_name}"
        try:
            check_object_name(object_name)
        except InvalidName as error:
            return PutEntry(source, name, error)
        return PutEntry(source, name)

    def refused(self, source: Path, relative: str, why: str, next_step: str = "") -> PutEntry:
        error = UnreadableFile(
            why, os.fsencode(source).decode(errors="backslashreplace"), next_step
        )
        return PutEntry(source, self.entry(source, relative).name, error)


def entries_of(sources: Iterable[str], to: Destination, *, recursive: bool) -> Iterator[PutEntry]:
    """Of paths, and of patterns where there is no such path. A file goes by its last part, what is
    in a directory by its path below it, what a pattern finds by its path below the last directory
    that the pattern names."""
    for source in sources:
        if glob.has_magic(source) and not os.path.lexists(source):
            yield from _of_pattern(source, to, recursive=recursive)
        else:
            path = Path(source)
            yield from _of_path(path, path.name, to, recursive=recursive, within=False)


def entries_of_list(lines: Iterable[bytes], to: Destination) -> Iterator[PutEntry]:
    """Of a list of files, one path in a line; each goes by its path as it is written there."""
    for line in lines:
        text = os.fsdecode(line.rstrip(b"\r\n"))
        if text:
            relative = str(PurePosixPath(text)).lstrip("/")
            yield from _of_path(Path(text), relative, to, recursive=False, within=False)


def _of_pattern(pattern: str, to: Destination, *, recursive: bool) -> Iterator[PutEntry]:
    base = _without_magic(pattern)
    found = False
    for match in glob.iglob(pattern, recursive=True, include_hidden=False):
        path = Path(match)
        if path.is_dir() and not recursive:
            continue
        found = True
        yield from _of_path(path, os.path.relpath(path, base), to, recursive=recursive, within=True)
    if not found:
        yield to.refused(Path(pattern), "", "the pattern finds no file", "Check the pattern.")


def _without_magic(pattern: str) -> Path:
    """The directory before the first part that has a wildcard."""
    base = Path(pattern).anchor
    parts = Path(pattern).parts
    for part in parts[1 if base else 0 :]:
        if glob.has_magic(part):
            break
        base = os.path.join(base, part)
    return Path(base)


def _of_path(
    path: Path, relative: str, to: Destination, *, recursive: bool, within: bool
) -> Iterator[PutEntry]:
    """``within``: a directory keeps its own name, because others stand beside it."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield to.refused(path, relative, _why(error), "Check the path and its permissions.")
        return
    if stat.S_ISREG(mode):
        yield to.entry(path, relative)
    elif not stat.S_ISDIR(mode):
        yield to.refused(path, relative, "it is neither a file nor a directory")
    elif recursive:
        yield from _walk(path, relative if within else "", to)
    else:
        yield to.refused(path, relative, "it is a directory", "Put its files with --recursive.")


def _walk(directory: Path, relative: str, to: Destination) -> Iterator[PutEntry]:
    for found in walk(directory):
        below = "/".join(filter(None, (relative, found.relative)))
        if found.error is None:
            yield from _of_path(found.path, below, to, recursive=False, within=True)
        elif found.error.errno == errno.ELOOP:
            why = "the link leads to a directory that it is in"
            yield to.refused(found.path, below, why, "Nothing below it was put a second time.")
        else:
            yield to.refused(found.path, below, _why(found.error), "Check its permissions.")


def _why(error: OSError) -> str:
    return f"it cannot be read ({error.strerror})"
