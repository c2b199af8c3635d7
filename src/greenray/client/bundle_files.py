"""Which files a bundle is to carry: walks directories, and tells what cannot be read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from greenray.files.walk import walk
from greenray.protocol.bundle import check_entry_name
from greenray.protocol.errors import (
    DuplicateEntry,
    EmptyPayload,
    GreenrayError,
    UnreadableEntries,
    UnreadableFile,
)

Content = Path | bytes
"""A file, or the payload itself."""
BundleSource = Path | str | Iterable[Path | str] | Mapping[str, Content]
"""A directory, with all that is in it; files, by their own names; or contents by entry name."""

_NAMED = 5
"""Of the failures, in an error's text."""


@dataclass(frozen=True, slots=True)
class BundleFile:
    """An entry to be. ``size_bytes``: what it had when it was found."""

    name: str
    content: Content
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EntryFailure:
    """Why ``name`` cannot be an entry."""

    name: str
    error: GreenrayError

    def __str__(self) -> str:
        return str(self.error)


@dataclass(frozen=True, slots=True)
class FoundFiles:
    files: Sequence[BundleFile]
    """By name."""
    failures: Sequence[EntryFailure]


def find_files(source: BundleSource) -> FoundFiles:
    """All files of the source, links followed; folders without files leave no trace.

    Raises:
        DuplicateEntry: two of them would have one name.
        EmptyPayload: there is none, nor one that cannot be read.
        UnreadableFile: what was named is not there.
    """
    found: dict[str, BundleFile] = {}
    failures: list[EntryFailure] = []
    for file in _found(source):
        if isinstance(file, EntryFailure):
            failures.append(file)
        elif file.name in found:
            other = found[file.name].content
            raise DuplicateEntry(
                f"{_shown(other)} and {_shown(file.content)} would both be the entry {file.name!r}",
                "bundle",
                "Bundle the directory above both, or rename one",
            )
        else:
            found[file.name] = file
    if not found and not failures:
        raise EmptyPayload(
            "there is no file to bundle", _described(source), "A bundle needs an entry"
        )
    files = sorted(found.values(), key=lambda file: file.name)
    return FoundFiles(files, sorted(failures, key=lambda failure: failure.name))


def unreadable_entries(failures: Sequence[EntryFailure], where: str) -> UnreadableEntries:
    """That these are why nothing was stored."""
    told = [f"{failure.name}: {failure.error.what}" for failure in failures[:_NAMED]]
    if len(failures) > _NAMED:
        told.append(f"{len(failures) - _NAMED} more")
    count = "1 file" if len(failures) == 1 else f"{len(failures)} files"
    return UnreadableEntries(
        f"{count} cannot be bundled ({'; '.join(told)})",
        where,
        "Nothing of this was stored; mend them, or leave them out with --skip-unreadable",
    )


def _found(source: BundleSource) -> Iterator[BundleFile | EntryFailure]:
    if isinstance(source, Mapping):
        for name, content in source.items():
            yield _file(name, content)
        return
    for path in [source] if isinstance(source, Path | str) else source:
        top = Path(path)
        if top.is_dir():
            yield from _below(top)
        elif not os.path.lexists(top):
            raise UnreadableFile("there is no such file or directory", str(top), "Check the path.")
        else:
            yield _file(top.name, top)


def _below(top: Path) -> Iterator[BundleFile | EntryFailure]:
    for found in walk(top):
        if found.error is None:
            yield _file(found.relative, found.path)
        else:
            yield _failure(found.relative or str(found.path), str(found.path), _why(found.error))


def _file(name: str, content: Content) -> BundleFile | EntryFailure:
    try:
        check_entry_name(name)
    except GreenrayError as error:
        return EntryFailure(name, error)
    if isinstance(content, bytes):
        return BundleFile(name, content, len(content))
    try:
        found = content.stat()
    except OSError as error:
        return _failure(name, str(content), _why(error))
    if not stat.S_ISREG(found.st_mode):
        return _failure(name, str(content), "is no regular file")
    if not os.access(content, os.R_OK):
        return _failure(name, str(content), "Permission denied")
    return BundleFile(name, content, found.st_size)


def _failure(name: str, path: str, why: str) -> EntryFailure:
    return EntryFailure(name, UnreadableFile(why, path))


def _why(error: OSError) -> str:
    is_loop = error.errno == errno.ELOOP
    return "is a loop of symbolic links" if is_loop else error.strerror or str(error)


def _shown(content: Content) -> str:
    return "bytes" if isinstance(content, bytes) else str(content)


def _described(source: BundleSource) -> str:
    return str(source) if isinstance(source, Path | str) else "bundle"
