"""Measures how the embedded chain starts again, and what memory it needs, by how much it holds.

``python -m scripts.chain_state docs/performance`` writes chain_state.json and .parquet there;
``greenray bench report`` makes the document. The objects are written through the
chain's own store, block by block, as creating them would; the server process is then started on it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from greenray.bench.records import BenchResult, Case, Row, write_result
from greenray.capacity.environment import describe_environment
from greenray.chain import wire
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local import blocks
from greenray.chain.local.app import Application
from greenray.chain.local.genesis import GenesisProvider, build_genesis
from greenray.chain.local.ledger import put_bucket, put_object
from greenray.chain.local.state import ChainDatabase, Overlay, StoredBlock

OBJECT_COUNTS = (1_000, 100_000)
REPEATS = 5
QUERIES = 1_000
_OBJECTS_PER_BLOCK = 500
_BUCKET = "measured"
_START_NS = 10**18


def main(directory: Path) -> None:
    """Interleaved: every repeat starts the chain of every size once."""
    starts: dict[int, list[float]] = {count: [] for count in OBJECT_COUNTS}
    cpu: dict[int, list[float]] = {count: [] for count in OBJECT_COUNTS}
    memory: dict[int, list[float]] = {count: [] for count in OBJECT_COUNTS}
    with tempfile.TemporaryDirectory(dir=".") as root:
        homes = {count: Path(root) / str(count) for count in OBJECT_COUNTS}
        for count, home in homes.items():
            _fill(home, count)
        for _ in range(REPEATS):
            for count, home in homes.items():
                start_s, cpu_s, memory_mb = _start(home, count)
                starts[count].append(start_s)
                cpu[count].append(cpu_s)
                memory[count].append(memory_mb)
    rows = []
    for count in OBJECT_COUNTS:
        case = Case(f"chain of {count} objects")
        rows += [
            Row(case, "start to first answer", "s", tuple(starts[count]), False),
            Row(case, "CPU of the start", "s", tuple(cpu[count]), False),
            Row(case, f"memory after {QUERIES} queries", "MB", tuple(memory[count]), False),
        ]
    settings = {"repeats": REPEATS, "objects_per_block": _OBJECTS_PER_BLOCK}
    summary = {"start_s": max(starts[max(OBJECT_COUNTS)])}
    result = BenchResult("chain_state", False, describe_environment(settings), rows, summary)
    for path in write_result(result, directory):
        print(path)


def _fill(home: Path, count: int) -> None:
    home.mkdir()
    database = ChainDatabase(home / "chain.sqlite")
    operator, funding, seal, approval, gc = (f"0x{number:040x}" for number in range(1, 6))
    provider = GenesisProvider(operator, funding, seal, approval, gc, "http://127.0.0.1:1")
    genesis = build_genesis([provider])
    try:
        Application(database, genesis, _START_NS)
        for first in range(1, count + 1, _OBJECTS_PER_BLOCK):
            _commit_objects(database, operator, range(first, first + _OBJECTS_PER_BLOCK))
    finally:
        database.close()


def _commit_objects(database: ChainDatabase, owner: str, numbers: range) -> None:
    app, state = Application(database, None, 0), Overlay(database)
    put_bucket(state, wire.storage.BucketInfo(owner=owner, bucket_name=_BUCKET, id="1"))
    for number in numbers:
        put_object(state, _object(owner, number))
    head = app.head
    block = blocks.make_block(
        chain_id=app.rules.chain_id,
        height=head.height + 1,
        time_ns=head.time_ns + 10**9,
        validator=app.validator,
        previous=head.block,
        previous_hash=head.hash,
        app_hash=head.app_hash,
        last_results_hash=head.results_hash,
        transactions=[],
    )
    results = json.dumps({"begin_block_events": [], "end_block_events": []})
    stored = StoredBlock(
        head.height + 1, blocks.header_hash(block.header), block.SerializeToString(), results
    )
    database.commit(stored, state.writes(), [])


def _object(owner: str, number: int) -> Any:
    checksum = hashlib.sha256(str(number).encode()).digest()
    return wire.storage.ObjectInfo(
        owner=owner,
        bucket_name=_BUCKET,
        object_name=f"object-{number}",
        id=str(number),
        payload_size=number,
        content_type="application/octet-stream",
        checksums=[checksum] * 7,
    )


def _start(home: Path, count: int) -> tuple[float, float, float]:
    """Seconds until the chain answers, CPU seconds until then, and its memory (MB) later."""
    command = [sys.executable, "-m", "greenray.chain.local", "--home", str(home), "--port", "0"]
    began_at = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["endpoint"]
        _head(endpoint, count)
        start_s, used = perf_counter() - began_at, psutil.Process(process.pid).cpu_times()
        for number in range(QUERIES):
            _head(endpoint, 1 + number * count // QUERIES)
        memory = psutil.Process(process.pid).memory_full_info().pss
        return start_s, used.user + used.system, memory / 1e6
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _head(endpoint: str, number: int) -> None:
    """Ask for an object, which must be there."""
    query = dialect.queries.head_object(_BUCKET, f"object-{number}")
    params = {"path": query.path, "data": query.request.hex()}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "abci_query", "params": params})
    with urllib.request.urlopen(endpoint, body.encode(), timeout=60) as response:
        value = json.load(response)["result"]["response"]["value"]
    assert value is not None, f"object {number} is lost"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
