"""What a transfer tells while it runs. It never goes backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from greenray.client.job_words import words_of
from greenray.client.setbacks import OnSetback, Setback, Setbacks


class Activity(Enum):
    """What a transfer is at, for whoever waits for it."""

    BUNDLING = "bundling"
    HASHING = "hashing"
    CREATING = "creating"
    UPLOAD = "upload"
    REPLICATION = "replication"
    SEAL = "seal"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total``: bytes, but steps while creating and sealing.

    REPLICATION has one series per secondary (``redundancy_index``); ``detail`` says what is waited
    for, or why something is tried again.
    """

    activity: Activity
    done: int
    total: int
    redundancy_index: int | None = None
    detail: str = ""


OnProgress = Callable[[Progress], None]


class ProgressReporter:
    """Passes on what is new: a series that would stand still or go back is kept silent."""

    def __init__(self, on_progress: OnProgress | None, on_setback: OnSetback | None = None) -> None:
        self._on_progress = on_progress
        self._on_setback = on_setback
        self._latest: dict[tuple[Activity, int | None], Progress] = {}
        self._setbacks = Setbacks()

    @property
    def setbacks(self) -> tuple[Setback, ...]:
        """All that were reported."""
        return self._setbacks.all

    def report(
        self,
        activity: Activity,
        done: int,
        total: int,
        redundancy_index: int | None = None,
        detail: str = "",
    ) -> None:
        progress = Progress(activity, done, total, redundancy_index, detail)
        latest = self._latest.get((activity, redundancy_index))
        if latest is not None and (done < latest.done or progress == latest):
            return
        self._latest[activity, redundancy_index] = progress
        if self._on_progress is not None:
            self._on_progress(progress)

    def report_job(
        self, status: Mapping[str, Any], secondary_count: int, column_bytes: int
    ) -> None:
        """Replication, seal and setbacks, from a job-status document. ``column_bytes``: what each
        secondary gets."""
        for setback in self._setbacks.new_in(status):
            if self._on_setback is not None:
                self._on_setback(setback)
        detail = status["error"]["message"] if status["error"] else words_of(status["state"])
        finished = {entry["redundancy_index"] for entry in status["secondaries"]}
        for index in range(secondary_count):
            # A secondary may be replaced after it finished; what was reported stays reported.
            done_bytes = column_bytes if index in finished else 0
            self.report(Activity.REPLICATION, done_bytes, column_bytes, index, detail)
        self.report(Activity.SEAL, int(status["sealed"]), 1, detail=detail)
