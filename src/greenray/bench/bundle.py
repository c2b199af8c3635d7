"""``bench bundle``: thousands of small files as one object, from the command's start to sealed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from greenray.bench.accounting import PeakMemory, ProcessTrees, ended_children_cpu_s
from greenray.bench.machine_watch import watched
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, result_of
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.bench.uploads import BUCKET
from greenray.capacity.environment import describe_environment
from greenray.client.gateway_session import error_for_reason
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload
from greenray.protocol.errors import EntryMismatch

_FILES_IN_FOLDER = 100
_SAMPLING_S = 1.0


@dataclass(frozen=True, slots=True)
class BundleBenchOptions:
    """``files`` of ``file_size_bytes`` in each repeat."""

    settings: Settings
    file_size_bytes: int
    files: int
    repeats: int
    work_dir: Path
    quick: bool = False

    @property
    def needed_bytes(self) -> int:
        """The files; in each round a bundle, a spool, and what was got of it."""
        in_round = STORED_PER_BYTE + 3
        return int(self.files * self.file_size_bytes * (1 + in_round * (self.repeats + 1)))


@dataclass(frozen=True, slots=True)
class BundleCost:
    """Seconds of whole commands, their start included; CPU time of the one that puts, and of all
    server processes meanwhile."""

    put_s: float
    get_all_s: float
    get_one_s: float
    client_cpu_s: float
    servers_cpu_s: float
    objects: int


def run_bundle(options: BundleBenchOptions, on_step: OnStep) -> BenchResult:
    """Raises whatever stops the network or a command; EntryMismatch when bytes differ."""
    with opened_site(options.settings, options.work_dir, options.needed_bytes, on_step) as site:
        return bundle_on(site, options, on_step)


@watched
def bundle_on(site: Site, options: BundleBenchOptions, on_step: OnStep) -> BenchResult:
    """The same on a network that is there."""
    environment = describe_environment(
        {"repeats": options.repeats, "files": options.files, **site.describe()}
    )
    spilled_before = site.network.spilled_bytes()
    files = _made_files(site.root / "bundle-files", options)
    trees = ProcessTrees([site.network.pid])

    def measured(number: int) -> tuple[BundleCost, float]:
        cost = _cost(site, files, trees)
        on_step(f"{'repeat' if number else 'warm-up'}: put in {cost.put_s:.1f} s")
        return cost, _floor_s(files, site.root / "bundle-floor")

    with PeakMemory(trees, _SAMPLING_S) as memory:
        _, *timed = map(measured, range(options.repeats + 1))
    costs, floors_s = zip(*timed, strict=True)
    return result_of(
        "bundle",
        options.quick,
        environment,
        bundle_rows(options, site.settings.durable, costs, floors_s),
        _summary(options, costs, floors_s),
        memory.bytes,
        site.network.spilled_bytes() - spilled_before,
    )


def bundle_rows(
    options: BundleBenchOptions,
    durable: bool,
    costs: Sequence[BundleCost],
    floors_s: Sequence[float],
) -> list[Row]:
    def case(kind: str) -> Case:
        return Case(kind, object_size_bytes=options.file_size_bytes, durable=durable)

    def row(metric: str, unit: str, value: Callable[[BundleCost], float], higher: bool) -> Row:
        return Row(case("bundle"), metric, unit, tuple(map(value, costs)), higher)

    files = options.files
    return [
        row("command to sealed", "s", lambda c: c.put_s, False),
        row("command to sealed", "files/s", lambda c: files / c.put_s, True),
        row("get all", "s", lambda c: c.get_all_s, False),
        row("get one entry", "s", lambda c: c.get_one_s, False),
        row("CPU per file, client", "ms", lambda c: 1e3 * c.client_cpu_s / files, False),
        row("CPU per file, servers", "ms", lambda c: 1e3 * c.servers_cpu_s / files, False),
        Row(case("floor"), "read, hash and write", "s", tuple(floors_s), higher_is_better=False),
    ]


def _summary(
    options: BundleBenchOptions, costs: Sequence[BundleCost], floors_s: Sequence[float]
) -> dict[str, Any]:
    seconds = median(cost.put_s for cost in costs)
    return {
        "command_to_sealed_s": seconds,
        "files_s": options.files / seconds,
        "floor_s": median(floors_s),
        "objects": costs[0].objects,
        "transactions": 2 * costs[0].objects,
        "transactions_one_by_one": 2 * options.files,
    }


def _made_files(directory: Path, options: BundleBenchOptions) -> Path:
    for number in range(options.files):
        folder = directory / f"{number // _FILES_IN_FOLDER:04}"
        folder.mkdir(parents=True, exist_ok=True)
        make_payload(folder / f"{number:06}.bin", options.file_size_bytes)
    return directory


def _cost(site: Site, files: Path, trees: ProcessTrees) -> BundleCost:
    [object_name] = site.network.new_names(1)
    name = f"{BUCKET}/{object_name}"
    servers_before_s = trees.cpu_s()
    client_before_s = ended_children_cpu_s()
    put, put_s = _command(site, "put", "--bundle", files, name, "--spool", site.root)
    client_cpu_s = ended_children_cpu_s() - client_before_s
    servers_cpu_s = trees.cpu_s() - servers_before_s
    out = site.root / f"bundle-{object_name}"
    _, get_all_s = _command(site, "get", f"{name}//", out)
    first = min(files.rglob("*.bin"))
    entry = first.relative_to(files).as_posix()
    one = out / "one"
    _, get_one_s = _command(site, "get", f"{name}//{entry}", one)
    if not first.read_bytes() == one.read_bytes() == (out / entry).read_bytes():
        raise EntryMismatch("what came back is not what went in", f"{name}//{entry}")
    return BundleCost(put_s, get_all_s, get_one_s, client_cpu_s, servers_cpu_s, len(put["objects"]))


def _command(site: Site, *arguments: object) -> tuple[dict[str, Any], float]:
    """(document, seconds) of a command in a process of its own. Raises what it ended with."""
    where = ("--state-dir", str(site.root / "network"), "--json")
    command = [sys.executable, "-m", "greenray", *map(str, arguments), *where]
    began_at = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - began_at
    document: dict[str, Any] = json.loads(ran.stdout)
    if "error" in document and "bundle" not in document:
        error = document["error"]
        raise error_for_reason(error["reason"], error["message"], str(arguments[0]))
    return document, seconds


def _floor_s(files: Path, target: Path) -> float:
    """Seconds of a plain loop that reads each file, hashes it and writes it to one file."""
    paths = sorted(files.rglob("*.bin"))
    began_at = time.perf_counter()
    with target.open("wb", buffering=0) as spool:
        for path in paths:
            payload = path.read_bytes()
            hashlib.sha256(payload).digest()
            spool.write(payload)
    seconds = time.perf_counter() - began_at
    target.unlink()
    return seconds
