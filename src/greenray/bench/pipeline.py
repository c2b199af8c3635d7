"""``bench pipeline``: put to sealed, and the floor, interleaved in one run.

The payload comes through HTTP, or lies in the object store of the network's cluster before.

Three sides in processes of their own: the network (with Ray and the chain), the client, and the
floor's workers. Only the network's tree counts as what the servers cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from greenray.bench.floor_processes import FloorProcesses
from greenray.bench.machine_watch import watched
from greenray.bench.measured_network import PutCost
from greenray.bench.pipeline_rows import (
    FloorCost,
    Round,
    over_one_client_row,
    pipeline_rows,
    pipeline_summary,
)
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, interleaved, result_of
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.bench.table import case_text
from greenray.capacity.environment import cores, describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload, sha256_of
from greenray.coding.checksums import PayloadChecksums, hash_payload
from greenray.coding.codec import get_codec
from greenray.display.units import size
from greenray.protocol.errors import IntegrityHashMismatch, InvalidInput
from greenray.protocol.objects import StorageParams

_ROOM_BESIDE_PAYLOADS_BYTES = 32 << 20


class Way(Enum):
    """How a payload comes to the Uploader; the value is what the command calls it."""

    HTTP = "http"
    OBJECT_STORE = "object-store"

    @property
    def kind(self) -> str:
        """Of its cases."""
        return "pipeline" if self is Way.HTTP else "pipeline from the object store"


def way_of(text: str) -> Way:
    """Raises InvalidInput."""
    try:
        return Way(text)
    except ValueError:
        known = " or ".join(way.value for way in Way)
        raise InvalidInput(f"{text!r} is no way of a payload", "--way", f"Use {known}") from None


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """``work_dir``: an existing directory; everything is written in a new one inside it.

    There is a network for each way, codec and batch size; in it every object size is put by every
    number of objects at once and by every number in turn, interleaved.
    """

    settings: Settings
    object_sizes_bytes: tuple[int, ...]
    objects_in_parallel: tuple[int, ...]
    repeats: int
    work_dir: Path
    in_turn: tuple[int, ...] = (1,)
    """How many objects of one client follow each other, each when the one before it is answered;
    1: no such case."""
    codecs: tuple[str, ...] = ()
    """None: the settings'."""
    batch_segments: tuple[int, ...] = ()
    """None: the settings'."""
    ways: tuple[Way, ...] = (Way.HTTP,)
    quick: bool = False

    @property
    def networks(self) -> list[tuple[Way, Settings]]:
        codecs = self.codecs or (self.settings.codec,)
        batches = self.batch_segments or (self.settings.batch_segments,)
        return [
            (way, self._settings_of(way, codec, batch))
            for way, codec, batch in product(self.ways, codecs, batches)
        ]

    def _settings_of(self, way: Way, codec: str, batch_segments: int) -> Settings:
        changed: dict[str, Any] = {"codec": codec, "batch_segments": batch_segments}
        if way is Way.OBJECT_STORE:
            room = {"payload_bytes": sum(self.object_sizes_bytes) + _ROOM_BESIDE_PAYLOADS_BYTES}
            changed["budget"] = self.settings.budget.model_copy(update=room)
        return self.settings.model_copy(update=changed)

    @property
    def rounds(self) -> list[Round]:
        at_once = [Round(at_once) for at_once in self.objects_in_parallel]
        in_turn = [Round(1, in_turn) for in_turn in self.in_turn if in_turn > 1]
        return list(dict.fromkeys([*at_once, *in_turn]))

    @property
    def needed_bytes(self) -> int:
        """Of disk: one round's objects, of the network or of the floor, and one object of each size
        that is read back in the end."""
        of_round_bytes = max(self.object_sizes_bytes) * max(r.objects for r in self.rounds)
        kept_bytes = sum(self.object_sizes_bytes)
        return int(STORED_PER_BYTE * (of_round_bytes + kept_bytes)) + kept_bytes


@dataclass(frozen=True, slots=True)
class _Measured:
    """The cases of one network: what was put in each, and all its rows."""

    of_cases: tuple[tuple[Round, tuple[Row, ...]], ...]
    settings: Mapping[str, Any]


@watched
def run_pipeline(options: PipelineOptions, on_step: OnStep) -> BenchResult:
    """Raises InvalidSetting, CodecUnavailable, whatever stops the network or the client;
    IntegrityHashMismatch when bytes differ."""
    for _, settings in options.networks:
        get_codec(settings.codec)
    environment = describe_environment({})
    measured = []
    for way, settings in options.networks:
        with opened_site(settings, options.work_dir, options.needed_bytes, on_step) as site:
            measured.append(_measure(site, way, options, on_step))
    return _result(environment, options, measured)


@watched
def pipeline_on(site: Site, options: PipelineOptions, on_step: OnStep) -> BenchResult:
    """The same through HTTP on a network that is there, with its settings."""
    environment = describe_environment({})
    return _result(environment, options, [_measure(site, Way.HTTP, options, on_step)])


def _measure(site: Site, way: Way, options: PipelineOptions, on_step: OnStep) -> _Measured:
    cases = list(product(options.object_sizes_bytes, options.rounds))
    on_step("starting the floor")
    with ExitStack() as stack:
        sides = {
            size_bytes: stack.enter_context(_Sides.opened(site, way, size_bytes))
            for size_bytes in options.object_sizes_bytes
        }
        found = interleaved(
            options.repeats + 1,
            [partial(sides[size_bytes].run, one, on_step) for size_bytes, one in cases],
        )
        on_step("reading back")
        for of_size in sides.values():
            of_size.check_download()
    costs = dict(zip(cases, found, strict=True))
    of_cases = []
    for (size_bytes, put_round), pairs in costs.items():
        case = _case(site, way, size_bytes, put_round)
        rows = (
            *pipeline_rows(case, put_round, cores(), *zip(*pairs, strict=True)),
            *_over_one_client(case, (size_bytes, put_round), costs),
        )
        of_cases.append((put_round, rows))
    return _Measured(tuple(of_cases), site.describe())


def _over_one_client(
    case: Case,
    measured: tuple[int, Round],
    costs: Mapping[tuple[int, Round], Sequence[tuple[PutCost, FloorCost]]],
) -> Iterator[Row]:
    """Of objects at once, beside all that one client puts of the same size."""
    size_bytes, put_round = measured
    puts = [put for put, _ in costs[measured]]
    for (other_bytes, other), pairs in costs.items():
        if put_round.at_once > other.at_once == 1 and other_bytes == size_bytes:
            yield over_one_client_row(case, put_round, puts, other, [put for put, _ in pairs])


class _Sides:
    """The pipeline and the floor, for objects of one size."""

    def __init__(self, site: Site, way: Way, source: Path, floor: FloorProcesses) -> None:
        self._site = site
        self._way = way
        self._source = source
        self._floor = floor
        self._last_name = ""
        self._kept_ids: tuple[int, ...] = ()

    @classmethod
    @contextmanager
    def opened(cls, site: Site, way: Way, size_bytes: int) -> Iterator[_Sides]:
        source = site.root / f"payload-{size_bytes}"
        make_payload(source, size_bytes)
        params = site.network.params
        root = site.root / f"floor-{size_bytes}"
        expected = _checksums(source, params)
        with FloorProcesses.started(site.settings, root, source, params, expected) as floor:
            yield cls(site, way, source, floor)

    def run(self, put_round: Round, on_step: OnStep, number: int) -> tuple[PutCost, FloorCost]:
        """One round. Of what was put before only the last object stays, to be read back."""
        network = self._site.network
        names = network.new_names(put_round.objects)
        put = network.put(
            self._source,
            names,
            at_once=put_round.at_once,
            warm_up=number == 0,
            laid_out=self._way is Way.OBJECT_STORE,
        )
        *others, last_id = self._kept_ids + put.times.object_ids
        network.remove_columns(others)
        self._kept_ids = (last_id,)
        floor = self._floor.run(put_round.objects)
        self._last_name = names[-1]
        on_step(self._progress(number, put_round, put, floor))
        return put, floor

    def check_download(self) -> None:
        """Raises IntegrityHashMismatch."""
        size_bytes = self._source.stat().st_size
        _, digest, _ = self._site.network.get(self._last_name, size_bytes)
        if digest != sha256_of(self._source):
            raise IntegrityHashMismatch("what came back is not what went in", self._last_name)

    def _progress(self, number: int, put_round: Round, put: PutCost, floor: FloorCost) -> str:
        size_bytes = self._source.stat().st_size
        what = put_round.named(f"{put_round.at_once} x {size(size_bytes)}")
        what += f", repeat {number}" if number else ", warm-up"
        mb = put_round.objects * size_bytes / 1e6
        return (
            f"{what}: upload to sealed {mb / put.upload_to_sealed_s:.0f} MB/s, "
            f"floor {mb / floor.seconds:.0f} MB/s"
        )


def _checksums(source: Path, params: StorageParams) -> PayloadChecksums:
    with source.open("rb", buffering=0) as file:
        return hash_payload(file, params.max_segment_size_bytes, params.k, params.m, get_codec())


# --- results -------------------------------------------------------------------------------------


def _case(site: Site, way: Way, size_bytes: int, put_round: Round) -> Case:
    params = site.network.params
    return Case(
        put_round.named(way.kind),
        codec=get_codec(site.settings.codec).name,
        k=params.k,
        m=params.m,
        segment_size_bytes=params.max_segment_size_bytes,
        object_size_bytes=size_bytes,
        objects_in_parallel=put_round.at_once,
        batch_segments=site.settings.batch_segments,
        durable=site.settings.durable,
    )


def _result(
    environment: Mapping[str, Any], options: PipelineOptions, measured: Sequence[_Measured]
) -> BenchResult:
    of_cases = [case for of_network in measured for case in of_network.of_cases]
    by_case = [
        {"case": case_text(rows[0].to_json()), **pipeline_summary(rows)} for _, rows in of_cases
    ]
    sustained = [
        summary
        for (put_round, _), summary in zip(of_cases, by_case, strict=True)
        if put_round.in_turn > 1
    ]
    return result_of(
        "pipeline",
        options.quick,
        {**environment, "settings": {"repeats": options.repeats, **measured[0].settings}},
        [row for _, rows in of_cases for row in rows],
        {**(sustained or by_case)[0], "cases": by_case},
        max(summary["peak_memory_bytes"] for summary in by_case),
        sum(summary["spilled_bytes"] for summary in by_case),
    )
