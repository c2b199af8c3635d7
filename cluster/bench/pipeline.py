"""``bench pipeline``: put to sealed through HTTP, and the floor, interleaved in one run.

Three sides in processes of their own: the network (with Ray and the chain), the client, and the
floor's workers. Only the network's tree counts as what the servers cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from cluster.bench.accounting import PeakMemory, ProcessTrees
from cluster.bench.child import Child
from cluster.bench.client_process import (
    AskParams,
    Get,
    Put,
    PutTimes,
    UploadBegins,
    client_service,
)
from cluster.bench.environment import cores, describe_environment
from cluster.bench.floor import (
    FloorSetup,
    RemoveShare,
    ShareChecksums,
    floor_service,
    joined,
    shares_of,
)
from cluster.bench.network_process import NetworkQuestion, network_service
from cluster.bench.pipeline_rows import FloorCost, PutCost, pipeline_rows, pipeline_summary
from cluster.bench.records import BenchResult, Case
from cluster.bench.work_dir import file_system_of, work_dir
from cluster.demo import make_payload, sha256_of
from cluster.settings import Settings
from coding.checksums import PayloadChecksums, hash_payload
from coding.codec import get_codec
from protocol.errors import IntegrityHashMismatch
from protocol.objects import StorageParams
from storage.direct_io import probe_direct_io

OnStep = Callable[[str], None]

_WARM_UP_SAMPLING_S = 0.2
_SAMPLING_S = 1.0
"""While something is timed: about 4 % of one core."""

_STORED_PER_BYTE = 2.5
_SPARE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """``work_dir``: an existing directory; everything is written in a new one inside it."""

    settings: Settings
    object_size_bytes: int
    repeats: int
    work_dir: Path
    quick: bool = False


def run_pipeline(options: PipelineOptions, on_step: OnStep) -> BenchResult:
    """Raises whatever stops the network or the client; IntegrityHashMismatch when bytes differ."""
    size_bytes = options.object_size_bytes
    environment = describe_environment(_settings_block(options))
    with ExitStack() as stack:
        root = stack.enter_context(work_dir(options.work_dir, _needed_bytes(options)))
        direct = probe_direct_io(root) is not None
        source = root / "payload.bin"
        make_payload(source, size_bytes)
        on_step("starting the network")
        network = stack.enter_context(started_network(options.settings, root))
        on_step("starting the floor")
        floor = stack.enter_context(Floor.started(options, root, source, network.params))
        expected = _expected_checksums(source, network.params)
        puts, floors = [], []
        for repeat in range(options.repeats + 1):
            warm_up = repeat == 0
            put = network.put(source, f"object-{repeat}", dense_sampling=warm_up)
            ran = floor.run(size_bytes)
            _check_floor(ran.checksums, expected)
            on_step(_progress(repeat, size_bytes, put, ran))
            puts.append(put)
            floors.append(ran)
        on_step("reading one object back")
        _check_download(network, source, root)
        spilled_bytes = network.spilled_bytes()
    rows = pipeline_rows(_case(options, network.params), cores(), puts, floors, spilled_bytes)
    return BenchResult(
        "pipeline",
        options.quick,
        {**environment, **_files_block(direct, options)},
        rows,
        pipeline_summary(rows),
        spill_failures(spilled_bytes),
    )


def spill_failures(spilled_bytes: int) -> tuple[str, ...]:
    if not spilled_bytes:
        return ()
    return (f"the object store spilled {spilled_bytes} bytes to disk: this run does not count",)


# --- the network ---------------------------------------------------------------------------------


class MeasuredNetwork:
    """A running network, its client, and what the network's processes cost."""

    def __init__(self, network: Child, client: Child, root: Path) -> None:
        self._network = network
        self._client = client
        self._root = root
        self._trees = ProcessTrees([network.pid])
        self._client_trees = ProcessTrees([client.pid])
        self.params: StorageParams = client.ask(AskParams())

    def put(self, source: Path, object_name: str, *, dense_sampling: bool) -> PutCost:
        """Raises what the client's put raises."""
        before: list[tuple[float, float]] = []

        def on_told(told: UploadBegins) -> None:
            before.append(self._cpu_s())

        interval_s = _WARM_UP_SAMPLING_S if dense_sampling else _SAMPLING_S
        with PeakMemory(self._trees, interval_s) as memory:
            times: PutTimes = self._client.ask(Put(source, object_name), on_told)
            servers_s, client_s = self._cpu_s()
        [(servers_before_s, client_before_s)] = before
        return PutCost(
            times, servers_s - servers_before_s, client_s - client_before_s, memory.bytes
        )

    def _cpu_s(self) -> tuple[float, float]:
        """(servers, client)"""
        return self._trees.cpu_s(), self._client_trees.cpu_s()

    def downloaded_sha256(self, object_name: str) -> str:
        digest: str = self._client.ask(Get(object_name, self._root / "downloaded"))
        return digest

    def spilled_bytes(self) -> int:
        count: int = self._network.ask(NetworkQuestion.SPILLED_BYTES)
        return count


@contextmanager
def started_network(settings: Settings, root: Path) -> Iterator[MeasuredNetwork]:
    """A network that lives in ``root``, on free ports, and a client beside it."""
    given = settings.model_dump()
    given["state_dir"] = root / "network"
    given["chain"]["port"] = given["gateway"]["port"] = 0
    with ExitStack() as stack:
        network = stack.enter_context(
            Child("network", network_service, given, log_file=root / "network.log")
        )
        found = network.ask(NetworkQuestion.WHERE)
        client = stack.enter_context(
            Child("client", client_service, found, log_file=root / "client.log")
        )
        yield MeasuredNetwork(network, client, root)


# --- the floor -----------------------------------------------------------------------------------


class Floor:
    """The floor's worker processes, which keep their memory from run to run."""

    def __init__(self, workers: list[Child], segment_size_bytes: int) -> None:
        self._workers = workers
        self._segment_size_bytes = segment_size_bytes
        self._trees = ProcessTrees(worker.pid for worker in workers)
        self._next_object_id = 1

    @classmethod
    @contextmanager
    def started(
        cls, options: PipelineOptions, root: Path, source: Path, params: StorageParams
    ) -> Iterator[Floor]:
        """One worker per core."""
        setup = FloorSetup(
            source,
            root / "floor",
            params.max_segment_size_bytes,
            params.k,
            params.m,
            options.settings.codec,
            options.settings.durable,
        )
        with ExitStack() as stack:
            children = [
                Child(f"floor-{i}", floor_service, setup, log_file=root / f"floor-{i}.log")
                for i in range(cores())
            ]
            yield cls([stack.enter_context(child) for child in children], setup.segment_size_bytes)

    def run(self, size_bytes: int) -> FloorCost:
        """The payload's shares side by side; what they stored is removed afterwards, untimed."""
        shares = shares_of(
            size_bytes, self._segment_size_bytes, len(self._workers), self._next_object_id
        )
        self._next_object_id += len(shares)
        pairs = list(zip(self._workers, shares, strict=False))
        with PeakMemory(self._trees, _SAMPLING_S) as memory:
            cpu_before_s = self._trees.cpu_s()
            began_at = perf_counter()
            for worker, share in pairs:
                worker.send(share)
            stored = [worker.receive() for worker, _ in pairs]
            seconds = perf_counter() - began_at
            cpu_s = self._trees.cpu_s() - cpu_before_s
        for worker, share in pairs:
            worker.ask(RemoveShare(share.object_id))
        return FloorCost(seconds, cpu_s, memory.bytes, joined(stored))


# --- checks --------------------------------------------------------------------------------------


def _expected_checksums(source: Path, params: StorageParams) -> PayloadChecksums:
    with source.open("rb", buffering=0) as file:
        return hash_payload(
            file, params.max_segment_size_bytes, params.k, params.m, get_codec("auto")
        )


def _check_floor(found: ShareChecksums, expected: PayloadChecksums) -> None:
    if (found.segments, found.pieces) != (expected.segment_checksums, expected.piece_checksums):
        raise IntegrityHashMismatch("the floor stored other bytes than the payload's", "floor")


def _check_download(network: MeasuredNetwork, source: Path, root: Path) -> None:
    if network.downloaded_sha256("object-0") != sha256_of(source):
        raise IntegrityHashMismatch("what came back is not what went in", "object-0")


def _needed_bytes(options: PipelineOptions) -> int:
    """Of disk: every put object stays, the floor's goes, payload and download are there once."""
    stored = _STORED_PER_BYTE * (options.repeats + 2) + 2
    return int(stored * options.object_size_bytes) + _SPARE_BYTES


# --- results -------------------------------------------------------------------------------------


def _settings_block(options: PipelineOptions) -> dict[str, Any]:
    settings = options.settings
    return {
        "object_size_bytes": options.object_size_bytes,
        "repeats": options.repeats,
        "sps": settings.sps,
        "durable": settings.durable,
        "codec": settings.codec,
        "batch_segments": settings.batch_segments,
        "receivers": settings.replication.receivers,
        "memory_budget_bytes": settings.budget.memory_bytes,
        "object_store_bytes": settings.budget.object_store_bytes,
        "block_interval_s": settings.chain.block_interval_s,
    }


def _files_block(direct: bool, options: PipelineOptions) -> dict[str, Any]:
    return {
        "file_system": file_system_of(options.work_dir),
        "writes": {
            "durable": options.settings.durable,
            "past_the_page_cache": direct,
            "files": "new ones in every repeat, one per column, on both sides",
            "warm_up": "one uncounted run of each side, in the same processes",
        },
    }


def _case(options: PipelineOptions, params: StorageParams) -> Case:
    return Case(
        "pipeline",
        get_codec(options.settings.codec).name,
        params.k,
        params.m,
        params.max_segment_size_bytes,
        options.object_size_bytes,
    )


def _progress(repeat: int, size_bytes: int, put: PutCost, floor: FloorCost) -> str:
    name = f"repeat {repeat}" if repeat else "warm-up"
    sealed, stored = (size_bytes / 1e6 / s for s in (put.upload_to_sealed_s, floor.seconds))
    return f"{name}: upload to sealed {sealed:.0f} MB/s, floor {stored:.0f} MB/s"
