"""Shows the stages of a transfer apart, each of which only ever goes forward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from greenray.cli.output import note, terminal_progress
from greenray.client.progress import Activity, OnProgress, Progress
from greenray.display.units import format_size
from greenray.protocol.foreign_text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LABELS = {
    Activity.BUNDLING: "bundling",
    Activity.HASHING: "hashing",
    Activity.CREATING: "creating on chain",
    Activity.UPLOAD: "upload",
    Activity.REPLICATION: "copies",
    Activity.SEAL: "sealing",
    Activity.DOWNLOAD: "download",
}
_IN_STEPS = {Activity.CREATING, Activity.SEAL}
_SHORT_S = 2.0
"""Without a terminal what is over by then is said by its result alone."""
_SAY_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class TransferDisplay:
    """``show`` is a callback for ``StorageClient``; ``note`` says a line, above what is drawn."""

    show: OnProgress
    note: Callable[[str], None]


@contextmanager
def transfer_display(
    *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
) -> Iterator[TransferDisplay]:
    """On stderr: rows where that is a terminal, else a line when a stage of a transfer that takes
    longer is over, and in between every while."""
    if quiet:
        yield TransferDisplay(lambda progress: None, lambda text: None)
        return
    display = terminal_progress()
    if display is None:
        yield TransferDisplay(_Lines(clock).show, note)
        return

    def note_above(text: str) -> None:
        display.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    with display:
        yield TransferDisplay(_Rows(display).show, note_above)


@dataclass(slots=True)
class _Stages:
    """The newest of each activity; the copies of all secondaries are one."""

    newest: dict[Activity, Progress] = field(default_factory=dict)
    copies: dict[int, Progress] = field(default_factory=dict)

    def add(self, progress: Progress) -> Progress:
        """What is to be shown of its activity."""
        if progress.redundancy_index is not None:
            self.copies[progress.redundancy_index] = progress
            complete = sum(one.done == one.total for one in self.copies.values())
            progress = Progress(
                progress.activity,
                sum(one.done for one in self.copies.values()),
                sum(one.total for one in self.copies.values()),
                detail=f"{complete} of {len(self.copies)} secondaries",
            )
        self.newest[progress.activity] = progress
        return progress


class _Rows:
    """One row per activity."""

    def __init__(self, display: RichProgress) -> None:
        self._display = display
        self._stages = _Stages()
        self._rows: dict[Activity, TaskID] = {}

    def show(self, progress: Progress) -> None:
        shown = self._stages.add(progress)
        if shown.activity not in self._rows:
            in_bytes = shown.activity not in _IN_STEPS
            self._rows[shown.activity] = self._display.add_task(
                "", total=shown.total, in_bytes=in_bytes
            )
        self._display.update(
            self._rows[shown.activity],
            description=_label(shown),
            completed=shown.done,
            total=shown.total,
        )


class _Lines:
    """For logs: nothing is drawn over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at = self._said_at = clock()
        self._stages = _Stages()
        self._ended: set[Activity] = set()

    def show(self, progress: Progress) -> None:
        shown = self._stages.add(progress)
        now = self._clock()
        is_end = shown.done == shown.total and shown.activity not in self._ended
        if is_end:
            self._ended.add(shown.activity)
        is_due = is_end or now - self._said_at >= _SAY_EVERY_S
        if is_due and shown.total and now - self._began_at >= _SHORT_S:
            self._said_at = now
            note(f"{_label(shown)}: {_amount(shown)} after {now - self._began_at:.1f} s")


def _label(shown: Progress) -> str:
    label = _LABELS[shown.activity]
    return printable(f"{label}, {shown.detail}" if shown.detail else label)


def _amount(shown: Progress) -> str:
    if shown.activity in _IN_STEPS:
        return "done" if shown.done == shown.total else "waiting"
    if shown.done == shown.total:
        return format_size(shown.total)
    return f"{format_size(shown.done)} of {format_size(shown.total)}"
