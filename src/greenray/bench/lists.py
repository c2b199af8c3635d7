"""``bench list``: pages of a large bucket from the index, without HTTP, and as the answers that a
gateway sends."""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from greenray.actors.gateway.lists import page_json
from greenray.bench.machine_watch import watched
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, result_of
from greenray.bench.work_dir import work_dir
from greenray.capacity.environment import describe_environment
from greenray.protocol.listing import LARGEST_PAGE, ObjectQuery
from greenray.protocol.objects import ObjectInfo, ObjectStatus, Visibility
from greenray.storage.object_index import IndexPage
from greenray.storage.sqlite_store import SqliteJobStore

BYTES_PER_OBJECT = 2600
"""Of the index on disk, with its log."""

_BUCKET = "bucket"
_FOLDERS = 100
_PUT_AT_ONCE = 5000
_PAGES_PER_ROUND = 50
_SEED = 20
_CHECKSUMS = tuple(sha256(bytes([index])).digest() for index in range(7))
_SECONDARIES = tuple(f"0x{index:040x}" for index in range(6))


@dataclass(frozen=True, slots=True)
class ListOptions:
    objects: int
    repeats: int
    work_dir: Path
    quick: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """``query``: of a page that begins at some folder, whose number is drawn."""

    name: str
    query: Callable[[int], ObjectQuery]
    rendered: bool = False


_KINDS = (
    _Kind("pages", lambda folder: _page_from(folder)),
    _Kind("pages, as answers", lambda folder: _page_from(folder), rendered=True),
    _Kind("common prefixes", lambda folder: ObjectQuery(_BUCKET, "", "/", "", LARGEST_PAGE)),
    _Kind(
        "one folder of them",
        lambda folder: ObjectQuery(_BUCKET, f"{folder % _FOLDERS:02}/", "/", "", LARGEST_PAGE),
    ),
)


def _page_from(folder: int) -> ObjectQuery:
    start = f"{folder % _FOLDERS:02}/{folder // _FOLDERS:02}/"
    return ObjectQuery(_BUCKET, "", "", start, LARGEST_PAGE)


@watched
def run_list(options: ListOptions, on_step: OnStep) -> BenchResult:
    """Objects are put in random order, so that neighbours in a list lie apart on disk. Raises
    JournalError, NoSpaceLeft."""
    environment = describe_environment({"repeats": options.repeats, "objects": options.objects})
    with work_dir(options.work_dir, options.objects * BYTES_PER_OBJECT) as folder:
        rows = asyncio.run(_measured(options, folder / "jobs.sqlite", on_step))
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result_of("list", options.quick, environment, rows, _summary(rows), peak_bytes, 0)


async def _measured(options: ListOptions, path: Path, on_step: OnStep) -> list[Row]:
    store = SqliteJobStore.open(path)
    try:
        await _put_objects(store, options.objects, on_step)
        rates: dict[str, list[float]] = {kind.name: [] for kind in _KINDS}
        cpu_ms: dict[str, list[float]] = {kind.name: [] for kind in _KINDS}
        draw = random.Random(_SEED)
        for number in range(options.repeats + 1):
            for kind in _KINDS:
                pages_s, page_cpu_ms = await _round(store, kind, draw)
                if number:  # the first is for the machine to get used to it
                    rates[kind.name].append(pages_s)
                    cpu_ms[kind.name].append(page_cpu_ms)
            what = f"repeat {number}" if number else "warm-up"
            on_step(f"{what}: {pages_s:.0f} pages/s of {_KINDS[-1].name}")
    finally:
        await store.close()
    rows = []
    for kind in _KINDS:
        case = Case(kind.name)
        rows.append(Row(case, "pages", "pages/s", tuple(rates[kind.name])))
        cpu = tuple(cpu_ms[kind.name])
        rows.append(Row(case, "CPU of a page", "ms", cpu, higher_is_better=False))
    return rows


async def _round(store: SqliteJobStore, kind: _Kind, draw: random.Random) -> tuple[float, float]:
    """Pages per second, and the CPU time of one in ms."""
    queries = [kind.query(draw.randrange(_FOLDERS**2)) for _ in range(_PAGES_PER_ROUND)]
    began_at, cpu_before_s = time.perf_counter(), time.process_time()
    for query in queries:
        page = await store.list_objects(query)
        if kind.rendered:
            _rendered(query, page)
    seconds, cpu_s = time.perf_counter() - began_at, time.process_time() - cpu_before_s
    return len(queries) / seconds, cpu_s * 1000 / len(queries)


def _rendered(query: ObjectQuery, page: IndexPage) -> None:
    page_json(query, page)


async def _put_objects(store: SqliteJobStore, count: int, on_step: OnStep) -> None:
    order = list(range(count))
    random.Random(_SEED).shuffle(order)
    state = await store.begin_build(1)
    for first in range(0, count, _PUT_AT_ONCE):
        some = order[first : first + _PUT_AT_ONCE]
        infos = [_object(number, first + place) for place, number in enumerate(some)]
        await store.put_found(state.build, (), infos)
    await store.end_build(state.build, 1)
    on_step(f"{count} objects are in the index")


def _object(number: int, object_id: int) -> ObjectInfo:
    folder = f"{number % _FOLDERS:02}/{number // _FOLDERS % _FOLDERS:02}"
    return ObjectInfo(
        _SECONDARIES[0],
        _BUCKET,
        f"{folder}/object-{number:07}",
        object_id,
        1,
        Visibility.VISIBILITY_TYPE_PRIVATE,
        "application/octet-stream",
        0,
        ObjectStatus.OBJECT_STATUS_SEALED,
        checksums=_CHECKSUMS,
        secondary_sp_addresses=_SECONDARIES,
    )


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Medians by kind."""
    names = {"pages": "pages_s", "CPU of a page": "cpu_ms"}
    summary: dict[str, Any] = {}
    for row in rows:
        kind = row.case.kind.replace(",", "").replace(" ", "_")
        summary[f"{kind}_{names[row.metric]}"] = statistics.median(row.values)
    return summary
