"""``bench scrub``: a scrub as fast as it goes beside a plain loop that reads and hashes the same
files, and what one as slow as the background's costs an upload.

The loss is smaller than what two uploads differ by anyway, so it is told beside that: of pairs of
an upload alone and one beside a scrub, and of pairs of two alone, in the same run. Every other
round has its pairs the other way round, so that a machine that drifts drifts for both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.bench.floor import aligned_memory
from greenray.bench.machine_watch import watched
from greenray.bench.measured_network import MeasuredNetwork
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import OnStep, pair, result_of
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload
from greenray.display.units import size
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.ports import ColumnKey, PieceStore

_RUN_BYTES = 16 << 20
_RATIO = "scrub / floor"
_KEPT = "upload beside a scrub / alone"
_NOISE = "upload alone / alone"


@dataclass(frozen=True, slots=True)
class ScrubOptions:
    settings: Settings
    object_size_bytes: int
    repeats: int
    work_dir: Path
    quick: bool = False

    @property
    def needed_bytes(self) -> int:
        """Of disk: one object is scrubbed while another one is put."""
        return int((2 * STORED_PER_BYTE + 1) * self.object_size_bytes)


@dataclass(frozen=True, slots=True)
class Reading:
    """All columns of one object, read and hashed."""

    size_bytes: int
    seconds: float
    cpu_s: float

    @property
    def mb_s(self) -> float:
        return self.size_bytes / 1e6 / self.seconds


@dataclass(frozen=True, slots=True)
class ScrubRound:
    """Times of uploads in seconds, from the first byte to the seal: of one alone and one beside a
    scrub, and of two alone, each pair in immediate succession."""

    scrub: Reading
    floor: Reading
    alone_s: float
    beside_s: float
    first_alone_s: float
    second_alone_s: float


@watched
def run_scrub(options: ScrubOptions, on_step: OnStep) -> BenchResult:
    """Raises whatever stops the network, the client or a scrub."""
    with opened_site(options.settings, options.work_dir, options.needed_bytes, on_step) as site:
        source = site.root / "scrub-payload"
        make_payload(source, options.object_size_bytes)
        scrubber = ScrubberSettings(**options.settings.scrub.model_dump())
        bandwidth_bytes_s = scrubber.background_bytes_s(beside_uploads=True)
        side = _Side(site, source, bandwidth_bytes_s)
        rounds = [side.run(on_step, number) for number in range(options.repeats + 1)]
        environment = describe_environment(
            {
                "repeats": options.repeats,
                "scrub_bandwidth_bytes_s": bandwidth_bytes_s,
                **site.describe(),
            }
        )
    rows = scrub_rows(options.object_size_bytes, site.settings.durable, rounds)
    return result_of(
        "scrub", options.quick, environment, rows, scrub_summary(rows), side.peak_memory_bytes, 0
    )


class _Side:
    """One object stays, to be scrubbed; others come and go."""

    def __init__(self, site: Site, source: Path, bandwidth_bytes_s: int) -> None:
        self._network: MeasuredNetwork = site.network
        self._source = source
        self._bandwidth_bytes_s = bandwidth_bytes_s
        self._size_bytes = source.stat().st_size
        [self._name] = site.network.new_names(1)
        put = site.network.put(source, [self._name], at_once=1, warm_up=True)
        [self._object_id] = put.times.object_ids
        self.peak_memory_bytes = put.peak_memory_bytes
        params = site.network.params
        self._layout = PayloadLayout(
            self._size_bytes, params.max_segment_size_bytes, params.k, params.m
        )
        self._stores = site.network.stores()

    def run(self, on_step: OnStep, number: int) -> ScrubRound:
        size_bytes, seconds, cpu_s = self._network.scrub(self._name)
        scrub = Reading(size_bytes, seconds, cpu_s)
        floor = self._floor()
        self._upload_s()  # a disk that was just read takes the first upload faster than the next
        alone_s, beside_s = pair(number, self._upload_s, self._upload_beside_s)
        first_s, second_s = pair(number, self._upload_s, self._upload_s)
        what = f"repeat {number}" if number else "warm-up"
        mb = self._size_bytes / 1e6
        on_step(
            f"{size(self._size_bytes)}, {what}: scrub {scrub.mb_s:.0f} MB/s, floor "
            f"{floor.mb_s:.0f} MB/s; upload {mb / alone_s:.0f} MB/s alone, {mb / beside_s:.0f} "
            f"MB/s beside a scrub; {mb / first_s:.0f} and {mb / second_s:.0f} MB/s alone"
        )
        return ScrubRound(scrub, floor, alone_s, beside_s, first_s, second_s)

    def _upload_beside_s(self) -> float:
        with self._network.scrubbing(self._bandwidth_bytes_s):
            return self._upload_s()

    def _floor(self) -> Reading:
        """A plain loop: read 16 MiB, hash them, one column after the other."""
        began_at, cpu_before_s = time.perf_counter(), time.process_time()
        size_bytes = sum(self._read(store) for store in self._stores)
        return Reading(
            size_bytes, time.perf_counter() - began_at, time.process_time() - cpu_before_s
        )

    def _read(self, store: PieceStore) -> int:
        memory = aligned_memory(_RUN_BYTES).data
        size_bytes = 0
        for index in range(SEGMENTS, self._layout.n):
            key, column = ColumnKey(self._object_id, index), self._layout.column(index)
            if not store.exists(key):
                continue
            for start in range(0, column.size_bytes, _RUN_BYTES):
                view = memory[: min(_RUN_BYTES, column.size_bytes - start)]
                store.read_into(key, column, start, [view])
                sha256(view).digest()
                size_bytes += len(view)
        return size_bytes

    def _upload_s(self) -> float:
        put = self._network.put(self._source, self._network.new_names(1), at_once=1, warm_up=False)
        self._network.remove_columns(put.times.object_ids)
        self.peak_memory_bytes = max(self.peak_memory_bytes, put.peak_memory_bytes)
        return put.upload_to_sealed_s


def scrub_rows(size_bytes: int, durable: bool, rounds: Sequence[ScrubRound]) -> list[Row]:
    """The first of ``rounds`` is the warm-up, which does not count."""
    timed = rounds[1:]
    scrub = Case("scrub", object_size_bytes=size_bytes)
    upload = Case("upload", object_size_bytes=size_bytes, durable=durable)
    rows = []
    for case, readings in (
        (scrub, [r.scrub for r in timed]),
        (replace(scrub, kind="scrub, floor"), [r.floor for r in timed]),
    ):
        cpu = tuple(r.cpu_s / (r.size_bytes / 1e9) for r in readings)
        rows.append(Row(case, "read and hashed", "MB/s", tuple(r.mb_s for r in readings)))
        rows.append(Row(case, CPU_METRIC, "s/GB", cpu, higher_is_better=False))
    rows.append(Row(scrub, _RATIO, "ratio", tuple(r.scrub.mb_s / r.floor.mb_s for r in timed)))
    for case, times in (
        (upload, [r.alone_s for r in timed]),
        (replace(upload, kind="upload beside a scrub"), [r.beside_s for r in timed]),
    ):
        rates = tuple(size_bytes / 1e6 / seconds for seconds in times)
        rows.append(Row(case, "upload to sealed", "MB/s", rates))
    noise = replace(upload, kind="upload beside none")
    rows.append(Row(upload, _KEPT, "ratio", tuple(r.alone_s / r.beside_s for r in timed)))
    pairs = tuple(r.first_alone_s / r.second_alone_s for r in timed)
    rows.append(Row(noise, _NOISE, "ratio", pairs))
    return rows


def scrub_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """``upload_alone_ratio`` is what two uploads differ by without a scrub: a loss that is not
    outside of its spread is not known from noise."""
    medians = {
        (row.case.kind, row.metric): statistics.median(row.values)
        for row in rows
        if row.metric != CPU_METRIC
    }
    [noise] = [row.values for row in rows if row.metric == _NOISE]
    return {
        "scrub_mb_s": medians["scrub", "read and hashed"],
        "floor_mb_s": medians["scrub, floor", "read and hashed"],
        "ratio_to_floor": medians["scrub", _RATIO],
        "upload_mb_s": medians["upload", "upload to sealed"],
        "upload_beside_mb_s": medians["upload beside a scrub", "upload to sealed"],
        "upload_kept_ratio": medians["upload", _KEPT],
        "upload_alone_ratio": medians["upload beside none", _NOISE],
        "upload_alone_ratio_spread": [min(noise), max(noise)],
    }
