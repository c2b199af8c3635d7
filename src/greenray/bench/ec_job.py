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
        """Every worker does its job ``count`` times, all side by side."""

    def made(self) -> Sequence[Sequence[Shard]]:
        """Per worker, what its last run has made, in the order of ``EcJob.made``."""


class EcWorkerKind(Protocol):
    """``name`` is shown, and chosen by on the command line."""

    name: str

    def hired(
        self, job: EcJob, segment: Shard, workers: int
    ) -> AbstractContextManager[EcWorkers]: ...


def shards_of(job: EcJob, segment: Shard) -> NDArray[np.uint8]:
    """All n shards as the rows of a new array."""
    data = split_segment(segment, job.k)
    shards = np.empty((job.n, data[0].size), np.uint8)
    shards[: job.k] = data
    get_codec().encode_into(list(shards[: job.k]), list(shards[job.k :]))
    return shards


def perform(job: EcJob, codec: Codec, shards: NDArray[np.uint8]) -> None:
    """Make the rows ``job.made`` of ``shards`` from the others."""
    if not job.lost:
        codec.encode_into(list(shards[: job.k]), list(shards[job.k :]))
        return
    for index, shard in zip(job.lost, rebuilt(job, codec, list(shards)), strict=True):
        shards[index] = shard


def rebuilt(job: EcJob, codec: Codec, shards: Sequence[Shard]) -> list[Shard]:
    present = [None if i in job.lost else shard for i, shard in enumerate(shards)]
    return codec.reconstruct(present, job.k, job.m, job.lost)
