"""How many bundles, what is read together, and which names may become files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from greenray.protocol.bundle import BundleEntry
from greenray.protocol.errors import BundleDamaged, InvalidName

VOLUME_TAG = "greenray.volume"
VOLUMES_TAG = "greenray.volumes"

_ENTRY_SEPARATOR = "//"
_MAX_PATH_BYTES, _MAX_PATH_PARTS = 4095, 255
"""Of a name that is to become a file. No file system has longer ones, nobody deeper ones, and a
bundle that means harm would take time and memory with them."""


class Sized(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


S = TypeVar("S", bound=Sized)


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """Of one volume. An index of 10 000 entries has about 1 MB, which who reads one entry has to
    read as well; 256 MiB are sixteen segments, and what is sent again when an upload breaks off."""

    entries: int = 10_000
    payload_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class EntryRun:
    """Entries that are read with one request, in the order of their places."""

    offset: int
    size_bytes: int
    entries: tuple[BundleEntry, ...]


def split_entry(name: str) -> tuple[str, str] | None:
    """``BUNDLE//ENTRY`` as (bundle, entry); None for a name without ``//``. An entry that is empty
    or ends with a slash stands for all whose names begin so."""
    bundle, separator, entry = name.partition(_ENTRY_SEPARATOR)
    return (bundle, entry) if separator else None


def is_prefix(entry_name: str) -> bool:
    """Whether it names all entries that begin so, and not one."""
    return not entry_name or entry_name.endswith("/")


# --- volumes -------------------------------------------------------------------------------------


def plan_volumes(files: Iterable[S], limits: BundleLimits) -> Iterator[tuple[S, ...]]:
    """Runs of the files, in their order, none above the limits but a file that alone is."""
    volume: list[S] = []
    size_bytes = 0
    for file in files:
        is_full = len(volume) == limits.entries
        if volume and (is_full or size_bytes + file.size_bytes > limits.payload_bytes):
            yield tuple(volume)
            volume, size_bytes = [], 0
        volume.append(file)
        size_bytes += file.size_bytes
    if volume:
        yield tuple(volume)


def volume_name(object_name: str, volume: int) -> str:
    """Of the volumes of a bundle, from 1. Its first one has the bundle's own name."""
    return object_name if volume == 1 else f"{object_name}.{volume}"


def volume_order(volumes: int) -> Iterator[int]:
    """In which they are stored: the first one last, so that a bundle that is there is whole."""
    yield from range(2, volumes + 1)
    yield 1


def volume_tags(volume: int, volumes: int) -> Mapping[str, str]:
    """What the first entry of a volume tells; nothing where there is only one."""
    if volumes == 1:
        return {}
    return {VOLUME_TAG: str(volume), VOLUMES_TAG: str(volumes)}


def volume_of(first: BundleEntry, where: str) -> tuple[int, int]:
    """Which volume of how many it is whose first entry this is. Raises BundleDamaged."""
    told = dict(first.tags)
    if VOLUMES_TAG not in told:
        return 1, 1
    numbers = [told.get(VOLUME_TAG, ""), told[VOLUMES_TAG]]
    if all(text.isascii() and text.isdecimal() and len(text) < 7 for text in numbers):
        volume, volumes = map(int, numbers)
        if 1 <= volume <= volumes:
            return volume, volumes
    raise BundleDamaged(f"is said to be volume {numbers[0]!r} of {numbers[1]!r}", where)


# --- reading -------------------------------------------------------------------------------------


def plan_runs(entries: Iterable[BundleEntry], run_bytes: int) -> Iterator[EntryRun]:
    """Every entry once: neighbours together up to ``run_bytes``, a larger one alone."""
    run: list[BundleEntry] = []
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.end)):
        if run and (entry.offset != run[-1].end or entry.end - run[0].offset > run_bytes):
            yield _run(run)
            run = []
        run.append(entry)
    if run:
        yield _run(run)


def _run(entries: Sequence[BundleEntry]) -> EntryRun:
    return EntryRun(entries[0].offset, entries[-1].end - entries[0].offset, tuple(entries))


# --- names as files ------------------------------------------------------------------------------


def file_path(name: str, folder: str = "") -> tuple[str, ...]:
    """The folders and the file that an entry becomes, below the directory that it is got into; the
    ``folder`` of the bundle that was asked for, with its slash, is left out.

    Raises InvalidName: it would be outside, or nothing.
    """
    path = name.removeprefix(folder)
    is_long = len(path.encode()) > _MAX_PATH_BYTES or path.count("/") >= _MAX_PATH_PARTS
    parts = tuple(path.split("/")) if not is_long else ()
    if not parts or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise _no_file("cannot be the path of a file below a directory", name)
    return parts


def file_paths(entries: Iterable[BundleEntry], folder: str = "") -> Mapping[str, tuple[str, ...]]:
    """``file_path`` of each, by its name. Raises InvalidName, also when one is the folder of
    another."""
    paths = {entry.name: file_path(entry.name, folder) for entry in entries}
    for name in paths:
        above = name
        while len(above := above.rpartition("/")[0]) > len(folder):
            if above in paths:
                raise _no_file("is an entry, and the folder of others", above)
    return paths


def _no_file(what: str, name: str) -> InvalidName:
    return InvalidName(what, f"entry {name[:80]!r}", "Get this entry alone, and name the file")
