"""Shows the stages of a transfer apart, each of which only ever goes forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenray.cli.output import note, terminal_progress
from greenray.client.progress import Activity, OnProgress, Progress
from greenray.protocol.foreign_text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LABELS = {
    Activity.BUNDLING: "bundling",
    Activity.HASHING: "hashing",
    Activity.CREATING: "creating on chain",
    Activity.UPLOAD: "upload",
    Activity.REPLICATION: "secondary",
    Activity.SEAL: "sealing",
    Activity.DOWNLOAD: "download",
}


@dataclass(frozen=True, slots=True)
class TransferDisplay:
    """``show`` is a callback for ``StorageClient``; ``note`` says a line, above what is drawn."""

    show: OnProgress
    note: Callable[[str], None]


@contextmanager
def transfer_display(*, quiet: bool = False) -> Iterator[TransferDisplay]:
    """On stderr; progress is silent when that is no terminal."""
    if quiet:
        yield TransferDisplay(lambda progress: None, lambda text: None)
        return
    display = terminal_progress()
    if display is None:
        yield TransferDisplay(lambda progress: None, note)
        return

    def note_above(text: str) -> None:
        display.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    with display:
        yield TransferDisplay(_Rows(display).show, note_above)


class _Rows:
    """One row per activity, and one per secondary."""

    def __init__(self, display: RichProgress) -> None:
        self._display = display
        self._rows: dict[tuple[Activity, int | None], TaskID] = {}

    def show(self, progress: Progress) -> None:
        key = (progress.activity, progress.redundancy_index)
        label = _LABELS[progress.activity]
        if progress.redundancy_index is not None:
            label = f"{label} {progress.redundancy_index}"
        if progress.detail:
            label = f"{label}: {progress.detail}"
        label = printable(label)
        if key not in self._rows:
            self._rows[key] = self._display.add_task(label, total=progress.total)
        self._display.update(
            self._rows[key], description=label, completed=progress.done, total=progress.total
        )
