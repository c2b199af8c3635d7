"""The floor's worker processes: one per core, which keep their memory from run to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from greenray.bench.accounting import PeakMemory, ProcessTrees
from greenray.bench.child import Child
from greenray.bench.floor import (
    FloorSetup,
    RemoveShare,
    Share,
    ShareChecksums,
    floor_service,
    joined,
    shares_of,
)
from greenray.bench.pipeline_rows import FloorCost
from greenray.capacity.environment import cores
from greenray.cluster.config.settings import Settings
from greenray.coding.checksums import PayloadChecksums
from greenray.protocol.errors import IntegrityHashMismatch
from greenray.protocol.objects import StorageParams

_SAMPLING_S = 1.0


class FloorProcesses:
    """All work on one payload; ``expected`` are its checksums."""

    def __init__(
        self, workers: Sequence[Child], segment_size_bytes: int, expected: PayloadChecksums
    ) -> None:
        self._workers = workers
        self._segment_size_bytes = segment_size_bytes
        self._expected = expected
        self._trees = ProcessTrees(worker.pid for worker in workers)
        self._next_object_id = 1

    @classmethod
    @contextmanager
    def started(
        cls,
        settings: Settings,
        root: Path,
        source: Path,
        params: StorageParams,
        expected: PayloadChecksums,
    ) -> Iterator[FloorProcesses]:
        """What they store goes below ``root``, by the settings' codec and durability."""
        setup = FloorSetup(
            source,
            root,
            params.max_segment_size_bytes,
            params.k,
            params.m,
            settings.codec,
            settings.durable,
        )
        with ExitStack() as stack:
            children = [
                Child(f"floor-{i}", floor_service, setup, log_file=root.with_suffix(f".{i}.log"))
                for i in range(cores())
            ]
            workers = [stack.enter_context(child) for child in children]
            yield cls(workers, setup.segment_size_bytes, expected)

    def run(self, objects: int) -> FloorCost:
        """Store the payload so many times, all shares dealt to the workers in turn; it is removed
        afterwards, untimed. Raises IntegrityHashMismatch, NoSpaceLeft, StoreError."""
        shares = [self._next_shares() for _ in range(objects)]
        dealt = list(enumerate(share for of_object in shares for share in of_object))
        with PeakMemory(self._trees, _SAMPLING_S) as memory:
            cpu_before_s = self._trees.cpu_s()
            began_at = perf_counter()
            for number, share in dealt:
                self._worker(number).send(share)
            stored: list[ShareChecksums] = [self._worker(number).receive() for number, _ in dealt]
            seconds = perf_counter() - began_at
            cpu_s = self._trees.cpu_s() - cpu_before_s
        for number, share in dealt:
            self._worker(number).ask(RemoveShare(share.object_id))
        for of_object in shares:
            self._check([stored.pop(0) for _ in of_object])
        return FloorCost(seconds, cpu_s, memory.bytes)

    def _worker(self, number: int) -> Child:
        return self._workers[number % len(self._workers)]

    def _next_shares(self) -> list[Share]:
        shares = shares_of(
            self._expected.payload_size_bytes,
            self._segment_size_bytes,
            len(self._workers),
            self._next_object_id,
        )
        self._next_object_id += len(shares)
        return shares

    def _check(self, stored: Sequence[ShareChecksums]) -> None:
        found, expected = joined(stored), self._expected
        if (found.segments, found.pieces) != (expected.segment_checksums, expected.piece_checksums):
            raise IntegrityHashMismatch("the floor stored other bytes than the payload's", "floor")
