"""Measures how the embedded chain starts again, and what memory it needs, by how much it holds.

``python -m scripts.chain_state docs/performance`` writes chain_state.json and .parquet there;
``greenray bench report`` makes the document. The messages that create the objects
are run block by block without the transactions around them; the server process is then started on
what they made.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import psutil

from greenray.bench.records import BenchResult, Case, Row, write_result
from greenray.capacity.cpu_clock import process_cpu_s
from greenray.capacity.environment import describe_environment
from greenray.chain.crypto import address_of, sign_bytes
from greenray.chain.dialect import NEVER_EXPIRES, Message
from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.local import blocks
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.genesis import GenesisProvider, build_genesis
from greenray.chain.local.ledger.state import ChainDatabase, Overlay, StoredBlock
from greenray.chain.local.messages import run_message
from greenray.protocol.objects import RedundancyType, Visibility

OBJECT_COUNTS = (1_000, 100_000)
REPEATS = 5
QUERIES = 1_000
_OBJECTS_PER_BLOCK = 500
_BUCKET = "measured"
_START_NS = 10**18
_DIALECT, _LOCAL_DIALECT = get_dialect(), get_local_dialect()
_KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(5)]


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
    operator, funding, seal, approval, gc = (address_of(key) for key in _KEYS)
    provider = GenesisProvider(operator, funding, seal, approval, gc, "http://127.0.0.1:1")
    genesis = build_genesis([provider], fixed_gas=_LOCAL_DIALECT.fixed_gas)
    bucket = _DIALECT.create_bucket_message(
        operator, _BUCKET, operator, Visibility.VISIBILITY_TYPE_PRIVATE
    )
    try:
        Application(database, _LOCAL_DIALECT, genesis, _START_NS)
        _commit(database, [bucket])
        for first in range(1, count + 1, _OBJECTS_PER_BLOCK):
            numbers = range(first, first + _OBJECTS_PER_BLOCK)
            _commit(database, [_object_message(operator, number) for number in numbers])
    finally:
        database.close()


def _commit(database: ChainDatabase, messages: Sequence[Message]) -> None:
    """A block in which these messages have run, as if transactions had carried them."""
    app, state = Application(database, _LOCAL_DIALECT, None, 0), Overlay(database)
    head = app.head
    context = Context(state, app.rules, head.height + 1, head.time_s + 1)
    for message in messages:
        run_message(context, _DIALECT.type_url(message), _approved(message))
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


def _object_message(owner: str, number: int) -> Message:
    checksum = hashlib.sha256(str(number).encode()).digest()
    return _DIALECT.create_object_message(
        owner,
        _BUCKET,
        f"object-{number}",
        payload_size=number,
        visibility=Visibility.VISIBILITY_TYPE_INHERIT,
        content_type="application/octet-stream",
        expect_checksums=[checksum] * 7,
        redundancy_type=RedundancyType.REDUNDANCY_EC_TYPE,
    )


def _approved(message: Message) -> Message:
    """``_KEYS`` are in the order of a provider's addresses, and its fourth approves."""
    signature = sign_bytes(_KEYS[3], _DIALECT.approval_sign_bytes(message))
    return _DIALECT.with_approval(message, NEVER_EXPIRES, signature)


def _start(home: Path, count: int) -> tuple[float, float, float]:
    """Seconds until the chain answers, CPU seconds until then, and its memory (MB) later."""
    command = [sys.executable, "-m", "greenray.chain.local", "--home", str(home), "--port", "0"]
    began_at = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["endpoint"]
        _head(endpoint, count)
        start_s = perf_counter() - began_at
        cpu_s = process_cpu_s(psutil.Process(process.pid))
        for number in range(QUERIES):
            _head(endpoint, 1 + number * count // QUERIES)
        memory = psutil.Process(process.pid).memory_full_info().pss
        return start_s, cpu_s, memory / 1e6
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _head(endpoint: str, number: int) -> None:
    """Ask for an object, which must be there."""
    query = _DIALECT.queries.head_object(_BUCKET, f"object-{number}")
    params = {"path": query.path, "data": query.request.hex()}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "abci_query", "params": params})
    with urllib.request.urlopen(endpoint, body.encode(), timeout=60) as response:
        value = json.load(response)["result"]["response"]["value"]
    assert value is not None, f"object {number} is lost"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
