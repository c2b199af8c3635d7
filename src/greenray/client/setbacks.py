"""What goes wrong on the way of an object and is not its end, read off job-status documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from greenray.protocol.job import JobState


@dataclass(frozen=True, slots=True)
class ReplacedSecondary:
    """A secondary failed at its index, which went to a spare or waits for new approvals."""

    redundancy_index: int
    operator_address: str
    reason: str
    message: str

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> ReplacedSecondary:
        """Of a job-status document."""
        return cls(
            entry["redundancy_index"], entry["operator_address"], entry["reason"], entry["message"]
        )

    def __str__(self) -> str:
        return _one_line(
            f"replaced at {self.redundancy_index}: {self.operator_address}, "
            f"{self.reason}: {self.message}"
        )


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step of the job failed and will be tried again; ``retries``: how many there had been."""

    state: JobState
    retries: int
    reason: str
    message: str

    def __str__(self) -> str:
        at_retry = f" at retry {self.retries}" if self.retries else ""
        return _one_line(
            f"{self.state.name}{at_retry}, {self.reason}: {self.message} (tried again)"
        )


Setback = ReplacedSecondary | FailedStep
OnSetback = Callable[[Setback], None]


class Setbacks:
    """Of one job, each once, however often its status is looked at."""

    def __init__(self) -> None:
        self._all: list[Setback] = []
        self._replaced_count = 0

    @property
    def all(self) -> tuple[Setback, ...]:
        return tuple(self._all)

    def new_in(self, status: Mapping[str, Any]) -> list[Setback]:
        """Those that no earlier job-status document showed."""
        # The same secondary may be replaced again for the same reason, later on.
        replaced = status["replaced"][self._replaced_count :]
        self._replaced_count += len(replaced)
        new: list[Setback] = [ReplacedSecondary.from_json(entry) for entry in replaced]
        failed = _failed_step(status)
        if failed is not None and failed not in self._all:
            new.append(failed)
        self._all += new
        return new


def _failed_step(status: Mapping[str, Any]) -> FailedStep | None:
    error, state = status["error"], JobState(status["state_number"])
    # Only a client tries an upload again, and a job that is final ends in an error of its own.
    is_uploading = state is JobState.UPLOAD_OBJECT_ERROR
    if error is None or not error["retryable"] or status["final"] or is_uploading:
        return None
    return FailedStep(state, status["attempt"], error["reason"], error["message"])


def _one_line(text: str) -> str:
    return " ".join(text.split())
