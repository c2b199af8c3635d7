"""Bundles of the Python API: results, and entries as in a dictionary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from greenray.api.closing import Closing
from greenray.api.results import JobStatus
from greenray.client.bundle_files import EntryFailure
from greenray.client.bundle_put import StoredBundle
from greenray.client.bundle_reading import Bundle, Extraction
from greenray.display.html_table import html_table
from greenray.protocol.bundle import BundleEntry
from greenray.protocol.bundle_plan import BundleLimits
from greenray.protocol.errors import NoSuchEntry

__all__ = ["BundleEntry", "BundleLimits", "BundleResult", "OpenBundle"]

T = TypeVar("T")

_SHOWN = 100
"""Entries, in a notebook."""


class RunInLoop(Protocol):
    """Runs a call in the event loop's thread."""

    def __call__(self, call: Callable[[], Awaitable[T]]) -> T: ...


@dataclass(frozen=True, slots=True)
class BundleResult:
    """What ``put_bundle`` did. ``objects``: the jobs of its volumes, the first one last;
    ``left_out``: the files that are not in it, with the reasons."""

    name: str
    entries: int
    payload_bytes: int
    objects: tuple[JobStatus, ...]
    left_out: tuple[EntryFailure, ...]

    @classmethod
    def of(cls, stored: StoredBundle) -> BundleResult:
        statuses = tuple(JobStatus.from_json(volume.status) for volume in stored.volumes)
        return cls(stored.name, stored.entries, stored.payload_bytes, statuses, stored.left_out)

    def _repr_html_(self) -> str:
        return html_table(
            f"{self.name}: {self.entries:,} entries, {self.payload_bytes:,} bytes, "
            f"{len(self.left_out):,} left out",
            ("object", "bytes", "state"),
            ((o.name, f"{o.payload_size_bytes:,}", o.state.name) for o in self.objects),
        )


class OpenBundle(Closing, Mapping[str, bytes]):
    """The payloads of a bundle by entry name, read when they are asked for.

    ``verified``: what is read was compared with the chain's checksums, and not only with the
    bundle's own index.
    """

    def __init__(self, bundle: Bundle, run: RunInLoop, undo: AsyncExitStack) -> None:
        """``undo`` is closed with it."""
        self._bundle = bundle
        self._run = run
        self._undo = undo
        self.name = bundle.name
        self.verified = bundle.verified

    def close(self) -> None:
        """Remove what was read in advance. Idempotent; without ``verify`` there is nothing."""
        self._run(self._undo.aclose)

    # Two of them are compared by who they are: by their payloads both would be read whole.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def entries(self) -> Mapping[str, BundleEntry]:
        """Places, sizes and hashes, by name."""
        return self._run(self._bundle.entries)

    def names(self) -> tuple[str, ...]:
        return tuple(self.entries())

    def entry(self, name: str) -> BundleEntry:
        """Raises NoSuchEntry."""
        return self._run(lambda: self._bundle.entry(name))

    def __getitem__(self, name: str) -> bytes:
        """Raises KeyError, and what ``read`` raises."""
        try:
            return self.read(name)
        except NoSuchEntry as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self.entries())

    def __contains__(self, name: object) -> bool:
        return name in self.entries()

    def read(self, name: str, start: int = 0, size_bytes: int | None = None) -> bytes:
        """An entry, or bytes of it from ``start`` on, fewer where it ends.

        Raises: NoSuchEntry, InvalidInput (a negative number), EntryMismatch (a whole entry does not
            have its SHA-256), ComponentUnavailable, ...
        """
        return self._run(lambda: self._bundle.read(name, start, size_bytes))

    def extract(self, directory: str | Path, prefix: str = "") -> Extraction:
        """All entries whose names begin with ``prefix``, as files below ``directory``, by what
        their names have behind its last slash.

        Raises: NoSuchEntry, InvalidName (a name would lead elsewhere; nothing was written),
            UnreadableFile, NoSpaceLeft, EntryMismatch, ...
        """
        return self._run(lambda: self._bundle.extract(Path(directory), prefix))

    def _repr_html_(self) -> str:
        entries = self.entries()
        shown = list(entries.values())[:_SHOWN]
        more = f", the first {_SHOWN} of them" if len(entries) > _SHOWN else ""
        return html_table(
            f"{self.name}: {len(entries):,} entries{more}",
            ("entry", "bytes", "SHA-256"),
            (
                (entry.name, f"{entry.size_bytes:,}", entry.sha256.hex() if entry.sha256 else "")
                for entry in shown
            ),
        )
