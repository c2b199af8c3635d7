"""``bench store``: writing and reading columns, by kind of PieceStore, durable or not."""

from __future__ import annotations

import mmap
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import count, product
from pathlib import Path
from typing import Any

import numpy as np

from greenray.bench.accounting import ProcessTrees
from greenray.bench.machine_watch import watched
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import Meter, OnStep, Repeats, Work, result_of
from greenray.bench.side_by_side import side_by_side
from greenray.bench.site import SPARE_BYTES, describe_writes
from greenray.bench.work_dir import work_dir
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.coding.buffers import Shard
from greenray.display.units import size
from greenray.protocol.errors import IntegrityHashMismatch, InvalidInput, InvalidSetting
from greenray.protocol.layout import SEGMENTS, ColumnLayout
from greenray.storage.file_location import FileLocation
from greenray.storage.memory_location import MemoryLocation
from greenray.storage.piece_kinds import PIECE_KINDS
from greenray.storage.piece_location import PieceLocation
from greenray.storage.ports import ColumnKey, PieceStore

_PIECE_BYTES = 16 << 20
_SP = "bench"
_COLUMNS = 1 << 20
"""More than there are at any time."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """``column_sizes_bytes``: each is written by one append per 16 MiB piece, and finished."""

    settings: Settings
    kinds: tuple[str, ...]
    column_sizes_bytes: tuple[int, ...]
    workers: tuple[int, ...]
    repeats: Repeats
    work_dir: Path
    quick: bool = False


def _location(settings: Settings, kind: str, root: Path, durable: bool) -> PieceLocation:
    """Files and memory are measured here; of any other kind, the place that the settings name.
    Raises InvalidSetting."""
    if kind == FileLocation.scheme:
        return FileLocation(root / ("durable" if durable else "not-durable"), durable=durable)
    if kind == MemoryLocation.scheme:
        return MemoryLocation(str(root))
    location = settings.pieces.location(root, durable)
    if location.scheme != kind:
        example = PIECE_KINDS[kind].example
        raise InvalidSetting(
            f"there is no place of kind {kind} to measure", "pieces.url", f"Set it to {example}"
        )
    return location


def _open(settings: Settings, kind: str, root: Path) -> dict[bool, PieceStore]:
    """By whether writes are durable: files are measured both ways."""
    stores = {}
    for durable in (True, False):
        location = _location(settings, kind, root, durable)
        if location.durable == durable:
            location.probe()
            stores[durable] = location.open((_SP,))[_SP]
    return stores


def default_kinds(settings: Settings) -> tuple[str, ...]:
    """Those that need nothing but this machine, and the one that the settings name."""
    return tuple(
        dict.fromkeys((FileLocation.scheme, MemoryLocation.scheme, settings.pieces.scheme))
    )


@watched
def run_store(options: StoreOptions, on_step: OnStep) -> BenchResult:
    """Raises InvalidInput (no such kind), InvalidSetting, NoSpaceLeft, StoreError;
    IntegrityHashMismatch when what is read is not what was written."""
    for kind in options.kinds:
        if kind not in PIECE_KINDS:
            raise InvalidInput(
                f"there is no piece store {kind!r}", "", f"Use one of: {', '.join(PIECE_KINDS)}"
            )
    meter = Meter(ProcessTrees([os.getpid()]))
    rows: list[Row] = []
    with work_dir(options.work_dir, SPARE_BYTES) as root:
        environment = describe_environment(
            {
                "repeats": options.repeats.count,
                "slot_s": options.repeats.slot_s,
                "writes": describe_writes(root, durable=True) | {"durable": "as each row says"},
            }
        )
        stores = {
            (kind, durable): store
            for kind in options.kinds
            for durable, store in _open(options.settings, kind, root).items()
        }
        for size_bytes in options.column_sizes_bytes:
            on_step(f"columns of {size(size_bytes)}")
            rows += _of_size(stores, size_bytes, options, meter)
    return result_of(
        "store", options.quick, environment, rows, _summary(rows), meter.peak_memory_bytes, 0
    )


def _of_size(
    stores: Mapping[tuple[str, bool], PieceStore],
    size_bytes: int,
    options: StoreOptions,
    meter: Meter,
) -> list[Row]:
    """Reads and writes of all kinds, interleaved."""
    works = []
    numbers = count()
    with ExitStack() as stack:
        for ((kind, durable), store), workers in product(stores.items(), options.workers):
            columns = [_Column(store, size_bytes, next(numbers)) for _ in range(workers)]
            for column in columns:
                stack.callback(column.remove)
                column.write()
                column.trim()
            write = Case(f"write {kind}", workers=workers, durable=durable)
            actions = [(write, _Column.write, _Column.trim)]
            if durable or (kind, True) not in stores:  # how it was written does not matter
                read = Case(f"read {kind}", workers=workers)
                actions.append((read, _Column.read, _Column.check))
            for case, action, reset in actions:
                run = stack.enter_context(side_by_side(_bound(columns, action)))
                works.append(
                    Work(
                        replace(case, column_size_bytes=size_bytes),
                        run,
                        workers * size_bytes,
                        _all(_bound(columns, reset)),
                    )
                )
        return meter.measure(works, options.repeats)


def _bound(
    columns: Sequence[_Column], action: Callable[[_Column], None]
) -> list[Callable[[], None]]:
    return [partial(action, column) for column in columns]


def _all(calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def call() -> None:
        for one in calls:
            one()

    return call


class _Column:
    """One worker's column: written under a new key each time, read under the last one."""

    def __init__(self, store: PieceStore, size_bytes: int, number: int) -> None:
        pieces = -(-size_bytes // _PIECE_BYTES)
        piece_bytes = min(size_bytes, _PIECE_BYTES)
        last_bytes = size_bytes - (pieces - 1) * piece_bytes
        self._layout = ColumnLayout(pieces, piece_bytes, last_bytes, batch_pieces=1)
        self._store = store
        self._payload = _page_aligned(size_bytes)
        self._payload[:] = np.frombuffer(np.random.default_rng(number).bytes(size_bytes), np.uint8)
        self._digest = sha256(self._payload.data).digest()
        self._target = _page_aligned(size_bytes)
        self._number = number
        self._written = 0
        self._kept = 0

    def write(self) -> None:
        writer = self._store.create(self._key(self._written + 1), self._layout)
        for start in range(0, self._payload.size, _PIECE_BYTES):
            writer.append([self._payload[start : start + _PIECE_BYTES].data])
        writer.finish()
        self._written += 1

    def read(self) -> None:
        self._store.read_into(self._key(self._written), self._layout, 0, [self._target.data])

    def check(self) -> None:
        """Raises IntegrityHashMismatch."""
        if sha256(self._target.data).digest() != self._digest:
            raise IntegrityHashMismatch("what was read is not what was written", "bench store")

    def trim(self) -> None:
        """Remove all but the last one."""
        for version in range(self._kept, self._written):
            self._store.delete(self._key(version))
        self._kept = self._written

    def remove(self) -> None:
        self._store.delete(self._key(self._written))

    def _key(self, version: int) -> ColumnKey:
        return ColumnKey(version * _COLUMNS + self._number, SEGMENTS)


def _page_aligned(size_bytes: int) -> Shard:
    return np.frombuffer(mmap.mmap(-1, size_bytes), np.uint8)


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The best median of each kind, over all sizes and numbers of workers."""
    best: dict[str, float] = {}
    for row in rows:
        if row.metric == CPU_METRIC:
            continue
        durable = "_durable" if row.case.durable else ""
        name = f"{row.case.kind.replace(' ', '_')}{durable}_mb_s"
        best[name] = max(best.get(name, 0.0), statistics.median(row.values))
    return best
