"""Shows the stages of a transfer apart, each of which only ever goes forward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from greenray.cli.output import terminal_progress
from greenray.client.progress import OnProgress, Progress, Stage

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LABELS = {
    Stage.HASHING: "hashing",
    Stage.CREATING: "creating on chain",
    Stage.UPLOAD: "upload",
    Stage.REPLICATION: "secondary",
    Stage.SEAL: "sealing",
    Stage.DOWNLOAD: "download",
}


@contextmanager
def transfer_progress() -> Iterator[OnProgress]:
    """A callback for ``StorageClient``; silent when stderr is no terminal."""
    display = terminal_progress()
    if display is None:
        yield lambda progress: None
        return
    with display:
        yield _Rows(display).show


class _Rows:
    """One row per stage, and one per secondary."""

    def __init__(self, display: RichProgress) -> None:
        self._display = display
        self._rows: dict[tuple[Stage, int | None], TaskID] = {}

    def show(self, progress: Progress) -> None:
        key = (progress.stage, progress.redundancy_index)
        label = _LABELS[progress.stage]
        if progress.redundancy_index is not None:
            label = f"{label} {progress.redundancy_index}"
        if progress.detail:
            label = f"{label}: {progress.detail}"
        if key not in self._rows:
            self._rows[key] = self._display.add_task(label, total=progress.total)
        self._display.update(
            self._rows[key], description=label, completed=progress.done, total=progress.total
        )
