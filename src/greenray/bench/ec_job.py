"""What one worker of ``bench ec`` does, whatever kind of worker it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec, get_codec
from greenray.coding.segments import split_segment

ENCODE = "encode"


@dataclass(frozen=True, slots=True)
class EcJob:
    """``lost``: the shards to rebuild; none: encode."""

    codec: str
    k: int
    m: int
    lost: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        return self.k + self.m

    @property
    def name(self) -> str:
        return f"reconstruct {len(self.lost)}" if self.lost else ENCODE

    @property
    def made(self) -> tuple[int, ...]:
        """The shards that the work makes."""
        return self.lost or tuple(range(self.k, self.n))

    @property
    def given(self) -> tuple[int, ...]:
        """The shards that the work is given."""
        return tuple(i for i in range(self.n) if i not in self.made)


class EcWorkers(Protocol):
    """Workers of one kind that all have a segment of their own."""

    def run(self, count: int) -> None:
        """Every worker does its job ``count`` times, all side by side: each time with as many
        copies of the segment as the kind has in a batch."""

    def made(self) -> Sequence[Sequence[Shard]]:
        """Per segment of every worker, what its last run has made, in the order of
        ``EcJob.made``."""


class EcWorkerKind(Protocol):
    """``name`` is shown, and chosen by on the command line."""

    name: str

    @property
    def batch_segments(self) -> int | None:
        """How many segments a call has; None: there are no calls, or each has one."""

    def hired(
        self, job: EcJob, segment: Shard, workers: int
    ) -> AbstractContextManager[EcWorkers]: ...


def shards_of(job: EcJob, segment: Shard, batch_segments: int = 1) -> NDArray[np.uint8]:
    """All n shards as the rows of a new array: of a batch, whose segments are all the same, the
    columns, which have the shards of one segment behind those of the other."""
    data = [np.tile(shard, batch_segments) for shard in split_segment(segment, job.k)]
    shards = np.empty((job.n, data[0].size), np.uint8)
    shards[: job.k] = data
    get_codec().encode_into(list(shards[: job.k]), list(shards[job.k :]))
    return shards


def perform(job: EcJob, codec: Codec, shards: NDArray[np.uint8]) -> None:
    """Make the rows ``job.made`` of ``shards`` from the others."""
    make_into(job, codec, [shards[i] for i in job.given], [shards[i] for i in job.made])


def make_into(job: EcJob, codec: Codec, given: Sequence[Shard], made: Sequence[Shard]) -> None:
    """``given``, ``made``: in the order of ``EcJob.given`` and ``EcJob.made``."""
    if not job.lost:
        codec.encode_into(given, made)
        return
    present: list[Shard | None] = [None] * job.n
    for index, shard in zip(job.given, given, strict=True):
        present[index] = shard
    codec.reconstruct_into(present, job.k, job.m, dict(zip(job.lost, made, strict=True)))


def segments_of(columns: Sequence[Shard], batch_segments: int) -> list[list[Shard]]:
    """Of each segment of a batch, its shards of these columns."""
    size_bytes = columns[0].size // batch_segments
    return [
        [column[i * size_bytes : (i + 1) * size_bytes] for column in columns]
        for i in range(batch_segments)
    ]
