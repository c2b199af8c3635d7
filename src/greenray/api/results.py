"""What ``put`` and ``status`` return: typed, and readable in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from greenray.client.setbacks import ReplacedSecondary, Setback
from greenray.display.html_table import html_table
from greenray.protocol.job import JobState, StateChange
from greenray.protocol.job_outlook import JobOutlook
from greenray.protocol.space_usage import SpaceUsage


@dataclass(frozen=True, slots=True)
class Secondary:
    redundancy_index: int
    operator_address: str
    integrity_hash: bytes


@dataclass(frozen=True, slots=True)
class JobFailure:
    reason: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The job behind an object, as of one moment; the values of ``greenray status --json``."""

    bucket_name: str
    object_name: str
    object_id: int
    payload_size_bytes: int
    state: JobState
    final: bool
    sealed: bool
    attempt: int
    history: tuple[StateChange, ...]
    secondaries: tuple[Secondary, ...]
    replaced: tuple[ReplacedSecondary, ...]
    seal_tx_hash: str | None
    seal_height: int | None
    error: JobFailure | None

    @classmethod
    def from_json(cls, status: Mapping[str, Any]) -> JobStatus:
        return cls(
            bucket_name=status["bucket"],
            object_name=status["object"],
            object_id=status["object_id"],
            payload_size_bytes=status["payload_size_bytes"],
            state=JobState(status["state_number"]),
            final=status["final"],
            sealed=status["sealed"],
            attempt=status["attempt"],
            history=tuple(StateChange(JobState[h["state"]], h["at"]) for h in status["history"]),
            secondaries=tuple(
                Secondary(
                    s["redundancy_index"],
                    s["operator_address"],
                    bytes.fromhex(s["integrity_hash"]),
                )
                for s in status["secondaries"]
            ),
            replaced=tuple(map(ReplacedSecondary.from_json, status["replaced"])),
            seal_tx_hash=status["seal_tx_hash"],
            seal_height=status["seal_height"],
            error=_failure(status["error"]),
        )

    @property
    def name(self) -> str:
        """``bucket/object``"""
        return f"{self.bucket_name}/{self.object_name}"

    @property
    def seconds_in_state(self) -> tuple[tuple[JobState, float], ...]:
        """How long each state lasted that has ended, in order."""
        following = self.history[1:]
        return tuple(
            (change.state, later.at - change.at)
            for change, later in zip(self.history, following, strict=False)
        )

    def __str__(self) -> str:
        return f"{self.name}: {self.state.name} ({int(self.state)}), object {self.object_id}"

    def _repr_html_(self) -> str:
        seconds = [f"{seconds:.3f}" for _, seconds in self.seconds_in_state]
        states = html_table(
            f"{self.name}, object {self.object_id}: {self.state.name}",
            ("number", "state", "seconds in it"),
            (
                (int(change.state), change.state.name, took)
                for change, took in zip(self.history, [*seconds, ""], strict=False)
            ),
        )
        secondaries = html_table(
            "secondaries",
            ("redundancy index", "operator address", "integrity hash"),
            (
                (s.redundancy_index, s.operator_address, s.integrity_hash.hex())
                for s in self.secondaries
            ),
        )
        return states + (secondaries if self.secondaries else "")


def _failure(error: Mapping[str, Any] | None) -> JobFailure | None:
    if error is None:
        return None
    return JobFailure(error["reason"], error["message"], error["retryable"])


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What ``put`` did. ``stages``: seconds of hashing, creating, upload and seal (the wait after
    the upload). ``setbacks``: secondaries that were replaced and steps that failed meanwhile."""

    status: JobStatus
    stages: Mapping[str, float]
    setbacks: tuple[Setback, ...] = ()

    @property
    def name(self) -> str:
        """``bucket/object``"""
        return self.status.name

    def _repr_html_(self) -> str:
        return html_table(
            f"{self.name}, object {self.status.object_id}: {self.status.payload_size_bytes:,} "
            f"bytes, {self.status.state.name}",
            ("stage", "seconds"),
            ((stage, f"{seconds:.3f}") for stage, seconds in self.stages.items()),
        )


@dataclass(frozen=True, slots=True)
class JobTable:
    """Jobs as of one moment, oldest first."""

    jobs: tuple[JobOutlook, ...]

    def __iter__(self) -> Iterator[JobOutlook]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def _repr_html_(self) -> str:
        return html_table(
            f"{len(self.jobs)} jobs",
            ("job", "object", "state", "age (s)", "retries", "next retry in (s)", "waits for"),
            (
                (
                    job.job_id,
                    job.name,
                    job.state.name,
                    f"{job.age_s:.0f}",
                    job.retries,
                    "" if job.next_retry_in_s is None else f"{job.next_retry_in_s:.0f}",
                    job.waits_for,
                )
                for job in self.jobs
            ),
        )


@dataclass(frozen=True, slots=True)
class SpaceTable:
    """Where the space went; ``usage`` has the numbers."""

    usage: SpaceUsage

    @property
    def size_bytes(self) -> int:
        return self.usage.total.size_bytes

    @property
    def collectable_bytes(self) -> int:
        return self.usage.total.collectable_bytes

    def _repr_html_(self) -> str:
        named = [*self.usage.by_bucket.items(), *self.usage.by_provider.items()]
        return html_table(
            f"{self.size_bytes:,} bytes, {self.collectable_bytes:,} of them collectable",
            ("bucket or storage provider", "bytes", "collectable", "objects", "columns"),
            (
                (name, one.size_bytes, one.collectable_bytes, one.objects, one.columns)
                for name, one in named
            ),
        )
