"""``greenray put`` of many files: one display for all, a line for each that fails, a sum."""

from __future__ import annotations

import asyncio
import json
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from greenray.cli.output import EXIT_ERROR, note, reporting_errors, terminal_progress
from greenray.client.access import Access
from greenray.client.creation import PutOptions
from greenray.client.put_entries import Destination, PutEntry, entries_of, entries_of_list
from greenray.client.put_manifest import opened_manifest
from greenray.client.put_many import OnManyProgress, PutMany
from greenray.client.put_outcome import ManyProgress, PutOutcome, PutStatus
from greenray.client.storage_client import WaitFor
from greenray.client.user import open_access
from greenray.display.units import format_size
from greenray.protocol.errors import UnreadableFile
from greenray.protocol.foreign_text import printable

_STDIN = "-"
_STDIN_DESCRIPTOR = 0
_MAX_LINE_BYTES = 1 << 16
_READ_BYTES = 1 << 16
_LOOK_S = 0.2
_MOST_NAMED = 10_000
"""Failures that are kept to be named at the end."""


@dataclass(frozen=True, slots=True)
class ManyPutOrder:
    sources: tuple[str, ...]
    target: str
    recursive: bool
    from_list: str | None
    manifest: Path | None
    wait: WaitFor
    options: PutOptions
    dry_run: bool = False
    quiet: bool = False

    def entries(self, stopped: threading.Event) -> Iterator[PutEntry]:
        """Raises InvalidName (the target), UnreadableFile (the list)."""
        to = Destination.parse(self.target)
        yield from entries_of(self.sources, to, recursive=self.recursive)
        if self.from_list is not None:
            yield from entries_of_list(_lines(self.from_list, stopped), to)


@dataclass(slots=True)
class _Sum:
    """What has become of all so far."""

    began_at_s: float = field(default_factory=time.monotonic)
    counts: dict[PutStatus, int] = field(default_factory=lambda: dict.fromkeys(PutStatus, 0))
    size_bytes: int = 0
    failures: list[PutOutcome] = field(default_factory=list)

    def add(self, outcome: PutOutcome) -> None:
        self.counts[outcome.status] += 1
        if outcome.ok:
            self.size_bytes += outcome.size_bytes or 0
        elif len(self.failures) < _MOST_NAMED:
            self.failures.append(outcome)

    @property
    def failed(self) -> int:
        return self.counts[PutStatus.FAILED]

    def text(self) -> str:
        parts = [f"{count} {status.value}" for status, count in self.counts.items() if count]
        seconds = time.monotonic() - self.began_at_s
        counted = ", ".join(parts) or "nothing found"
        return f"{counted}; {format_size(self.size_bytes)} in {seconds:.1f} s"

    def to_json(self) -> dict[str, object]:
        counts = {status.value.replace("-", "_"): count for status, count in self.counts.items()}
        seconds = time.monotonic() - self.began_at_s
        return {"summary": {**counts, "size_bytes": self.size_bytes, "seconds": seconds}}


def put_many(order: ManyPutOrder, access: Access, *, as_json: bool) -> None:
    """Exits with 1 when one has failed."""
    so_far, stopped = _Sum(), threading.Event()
    if order.dry_run:
        with reporting_errors(as_json):
            _say_dry_run(order, stopped, as_json)
        return

    async def run() -> None:
        Destination.parse(order.target)
        async with (
            open_access(access) as client,
            opened_manifest(order.manifest, client) as manifest,
        ):
            with _display(order) as on_progress, _stopping(stopped):
                many = PutMany(
                    client,
                    options=order.options,
                    wait=order.wait,
                    manifest=manifest,
                    on_progress=on_progress,
                )
                async with aclosing(many.outcomes(order.entries(stopped))) as outcomes:
                    async for outcome in outcomes:
                        so_far.add(outcome)
                        if as_json:
                            typer.echo(json.dumps(outcome.to_json()))

    with reporting_errors(as_json):
        try:
            asyncio.run(run())
        except KeyboardInterrupt:
            note(f"until now: {so_far.text()}; what was on its way is found when it is run again")
            raise
        _tell(so_far, as_json, quiet=order.quiet)
    if so_far.failed:
        raise typer.Exit(EXIT_ERROR)


@contextmanager
def _stopping(stopped: threading.Event) -> Iterator[None]:
    """The thread that waits for a line of stdin is to end before the event loop does."""
    try:
        yield
    finally:
        stopped.set()


def _say_dry_run(order: ManyPutOrder, stopped: threading.Event, as_json: bool) -> None:
    """Exits with 1 when something could not be put."""
    failed = 0
    for entry in order.entries(stopped):
        failed += entry.error is not None
        document: dict[str, object] = {"source": str(entry.source), "name": entry.name}
        if entry.error is None:
            text = f"would put {entry.source} as {entry.name}"
        else:
            text = f"cannot put {entry.source}: {entry.error}"
            document["reason"] = entry.error.reason
        line = json.dumps(document | {"dry_run": True}) if as_json else printable(text)
        typer.echo(line)
    if failed:
        raise typer.Exit(EXIT_ERROR)


def _tell(so_far: _Sum, as_json: bool, *, quiet: bool) -> None:
    for outcome in so_far.failures:
        note(f"failed: {printable(outcome.name)}: {outcome.reason}: {outcome.error}")
    if so_far.failed > len(so_far.failures):
        note(
            f"and {so_far.failed - len(so_far.failures)} more; --json and --manifest name them all"
        )
    if as_json:
        typer.echo(json.dumps(so_far.to_json()))
    elif not quiet:
        typer.echo(so_far.text())


# --- display -------------------------------------------------------------------------------------


@contextmanager
def _display(order: ManyPutOrder) -> Iterator[OnManyProgress]:
    """One line on stderr, where that is a terminal: objects, failures, bytes, rate, time left."""
    display = None if order.quiet else terminal_progress()
    if display is None:
        yield lambda progress: None
        return
    totals, stopped = Totals(), threading.Event()
    if order.from_list != _STDIN:
        counting = threading.Thread(target=totals.count, args=(order, stopped), daemon=True)
        counting.start()
    with display:
        row = display.add_task("", total=None)

        def show(progress: ManyProgress) -> None:
            text, total_bytes = totals.beside(progress)
            display.update(row, description=text, completed=progress.bytes_done, total=total_bytes)

        show(ManyProgress())
        try:
            yield show
        finally:
            stopped.set()


class Totals:
    """How much there is to do, counted beside the work: known once all was looked at."""

    def __init__(self) -> None:
        self._objects = 0
        self._bytes = 0
        self._known = False

    def count(self, order: ManyPutOrder, stopped: threading.Event) -> None:
        for entry in order.entries(stopped):
            if stopped.is_set():
                return
            self._objects += 1
            if isinstance(entry.source, Path) and entry.error is None:
                try:
                    self._bytes += entry.source.stat().st_size
                except OSError:
                    continue  # it is told where it is put
        self._known = True

    def beside(self, progress: ManyProgress) -> tuple[str, int | None]:
        """The text, and the bytes of all when they are known; never less than what is done."""
        objects = f"{progress.objects}"
        if self._known:
            objects += f"/{max(self._objects, progress.objects)}"
        failed = f", {progress.failed} failed" if progress.failed else ""
        total_bytes = max(self._bytes, progress.bytes_done) if self._known else None
        return f"{objects} objects{failed}", total_bytes


# --- lists ---------------------------------------------------------------------------------------


def _lines(name: str, stopped: threading.Event) -> Iterator[bytes]:
    """Raises UnreadableFile."""
    if name == _STDIN:
        yield from _lines_of_stdin(stopped)
        return
    try:
        with Path(name).open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                yield line
    except OSError as error:
        raise UnreadableFile(
            f"the list cannot be read ({error.strerror})", name, "Check the path."
        ) from error


def _lines_of_stdin(stopped: threading.Event) -> Iterator[bytes]:
    """Whoever waits for a line can be stopped: nobody may type one."""
    rest = b""
    while not stopped.is_set():
        if not select.select([_STDIN_DESCRIPTOR], [], [], _LOOK_S)[0]:
            continue
        read = os.read(_STDIN_DESCRIPTOR, _READ_BYTES)
        if not read:
            if rest:
                yield rest
            return
        *lines, rest = (rest + read).split(b"\n")
        yield from lines
