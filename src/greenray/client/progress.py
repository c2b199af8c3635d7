"""What a transfer tells while it runs. It never goes backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Stage(Enum):
    HASHING = "hashing"
    CREATING = "creating"
    UPLOAD = "upload"
    REPLICATION = "replication"
    SEAL = "seal"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total``: bytes while hashing and transferring, steps otherwise.

    REPLICATION has one series per secondary (``redundancy_index``); ``detail`` says what is waited
    for, or why something is tried again.
    """

    stage: Stage
    done: int
    total: int
    redundancy_index: int | None = None
    detail: str = ""


OnProgress = Callable[[Progress], None]


class ProgressReporter:
    """Passes on what is new: a series that would stand still or go back is kept silent."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._latest: dict[tuple[Stage, int | None], Progress] = {}

    def report(
        self,
        stage: Stage,
        done: int,
        total: int,
        redundancy_index: int | None = None,
        detail: str = "",
    ) -> None:
        progress = Progress(stage, done, total, redundancy_index, detail)
        latest = self._latest.get((stage, redundancy_index))
        if latest is not None and (done < latest.done or progress == latest):
            return
        self._latest[stage, redundancy_index] = progress
        if self._on_progress is not None:
            self._on_progress(progress)

    def report_job(self, status: Mapping[str, Any], secondary_count: int) -> None:
        """Replication and seal, from a job-status document."""
        detail = status["error"]["message"] if status["error"] else status["state"]
        finished = {entry["redundancy_index"] for entry in status["secondaries"]}
        for index in range(secondary_count):
            # A secondary may be replaced after it finished; what was reported stays reported.
            self.report(Stage.REPLICATION, int(index in finished), 1, index, detail)
        self.report(Stage.SEAL, int(status["sealed"]), 1, detail=detail)
