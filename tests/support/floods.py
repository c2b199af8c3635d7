"""Floods of a network on Ray, and what they leave behind; ``make floods`` runs all of them.

Each flood puts objects, waits until all are sealed and the clients have gone, and compares what the
network's processes hold with what they held before.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from aiohttp.payload import BytesPayload

from greenray.bench.accounting import PeakMemory, ProcessTrees
from greenray.bench.child import Child
from greenray.bench.network_process import NetworkQuestion, RemoveColumns, network_service
from greenray.bench.uploads import BenchClient
from greenray.chain.keystore import KeyRing
from greenray.client.gateway_session import GatewaySession
from greenray.client.network_file import NetworkFile
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo

KB = 1000
MIB = 1 << 20
_CONNECTIONS_OF_A_SESSION = 100
"""What aiohttp's client opens at most."""
_CREATED_TOGETHER = 250
"""The primary's approvals are valid for so many blocks only."""
_SAMPLING_S = 1.0
_SETTLE_S = 120.0
_ROUND = 4
"""Objects of each of 16 clients that are put before anything is compared: threads and buffers that
come with the first ones stay."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes of a network hold together."""

    memory_bytes: int
    fds: int
    threads: int
    shm_bytes: int
    journal_bytes: int
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Flood:
    """``run`` puts ``objects`` of ``size_bytes`` and returns them."""

    name: str
    objects: int
    size_bytes: int
    run: Callable[[FloodClient, bytes, Sequence[ObjectInfo]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    flood: Flood
    seconds: float
    told_to_come_later: int
    peak_bytes: int
    before: Usage
    after: Usage
    failures: tuple[str, ...]


class _Later(logging.Handler):
    """Counts how often clients were told to come later."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class FloodClient:
    """Many sessions of the network's own user at its first SP."""

    def __init__(self, network: NetworkFile, client: BenchClient) -> None:
        first = network.gateways[0]
        keys = Path(network.keys) if network.keys else None
        self._key = KeyRing.open(keys, os.environ).user_key(network.user_key_name)
        self._endpoint = first.endpoint
        self._client = client
        self._numbers = iter(range(1, sys.maxsize))

    async def create(self, source: Path, count: int) -> list[ObjectInfo]:
        params = await self._client.chain.storage_params()
        checksums = await self._client.checksums(source, params)
        names = [f"flood-{next(self._numbers)}" for _ in range(count)]
        infos: list[ObjectInfo] = []
        for first in range(0, count, _CREATED_TOGETHER):
            some = names[first : first + _CREATED_TOGETHER]
            infos += await self._client.create(some, checksums)
        return infos

    async def put_all(self, payload: bytes, infos: Sequence[ObjectInfo], at_once: int) -> None:
        """``at_once``: how many uploads are on their way; each takes a connection."""
        slots = asyncio.Semaphore(at_once)
        count = -(-min(at_once, len(infos)) // _CONNECTIONS_OF_A_SESSION)
        sessions = [GatewaySession(self._endpoint, self._key) for _ in range(count)]

        async def put(number: int, info: ObjectInfo) -> None:
            async with slots:
                await _put(sessions[number % count], info, payload)

        try:
            await asyncio.gather(*(put(number, info) for number, info in enumerate(infos)))
        finally:
            for session in sessions:
                await session.close()

    async def put_slowly(self, payload: bytes, info: ObjectInfo, bytes_per_s: int) -> None:
        """Over a connection of its own, at this rate."""
        session = GatewaySession(self._endpoint, self._key)
        path = f"/{info.name}"
        headers = session.signed_headers(
            "PUT", path, "", {"Content-Length": str(info.payload_size)}
        )
        url = urlsplit(self._endpoint)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"PUT {path} HTTP/1.1\r\n{head}\r\n".encode())
        sent = 0
        while sent < len(payload):
            writer.write(payload[sent : sent + bytes_per_s])
            await writer.drain()
            sent += bytes_per_s
            await asyncio.sleep(1.0)
        status = await reader.readline()
        assert b" 200 " in status, status
        writer.close()

    async def sealed(self, infos: Sequence[ObjectInfo]) -> None:
        now = time.time()
        for info in infos:
            await self._client.sealed(info, (now, now))


async def _put(session: GatewaySession, info: ObjectInfo, payload: bytes) -> None:
    headers = {"Content-Length": str(info.payload_size), "Content-Type": info.content_type}
    async with session.request("PUT", f"/{info.name}", "", headers, BytesPayload(payload)):
        pass


# --- the floods ----------------------------------------------------------------------------------


def at_once(count: int) -> Callable[[FloodClient, bytes, Sequence[ObjectInfo]], Awaitable[None]]:
    async def run(client: FloodClient, payload: bytes, infos: Sequence[ObjectInfo]) -> None:
        await client.put_all(payload, infos, count)

    return run


async def slow_clients(client: FloodClient, payload: bytes, infos: Sequence[ObjectInfo]) -> None:
    await asyncio.gather(*(client.put_slowly(payload, info, KB) for info in infos))


FLOODS = (
    Flood("1 000 puts of 10 KB at once", 1000, 10 * KB, at_once(1000)),
    Flood("64 puts of 64 MiB at once", 64, 64 * MIB, at_once(64)),
    Flood("200 clients at 1 KB/s", 200, 30 * KB, slow_clients),
    Flood("5 000 objects in a row", 5000, 10 * KB, at_once(1)),
)


# --- what the network holds ----------------------------------------------------------------------


def usage_of(root_pid: int, state_dir: Path) -> Usage:
    root = psutil.Process(root_pid)
    processes = [root, *root.children(recursive=True)]
    session = {
        argument.split("=", 1)[1]
        for process in processes
        for argument in _cmdline(process)
        if argument.startswith(("--session_dir=", "--session-dir="))
    }
    logs = [state_dir / "logs", *(Path(path) / "logs" for path in session)]
    return Usage(
        memory_bytes=ProcessTrees([root_pid]).memory_bytes(),
        fds=sum(_counted(process.num_fds) for process in processes),
        threads=sum(_counted(process.num_threads) for process in processes),
        shm_bytes=_shared_memory_bytes(processes),
        journal_bytes=sum(path.stat().st_size for path in state_dir.glob("jobs.sqlite*")),
        log_bytes=sum(
            path.stat().st_size for log in logs for path in log.rglob("*") if path.is_file()
        ),
    )


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _counted(count: Callable[[], int]) -> int:
    try:
        return count()
    except psutil.Error:
        return 0


def _shared_memory_bytes(processes: Sequence[psutil.Process]) -> int:
    """What the files in /dev/shm take that these processes have open, and the blocks that they
    have made."""
    found: dict[int, int] = {}
    for process in processes:
        folder = Path(f"/proc/{process.pid}/fd")
        try:
            descriptors = list(folder.iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(descriptor).startswith(("/dev/shm/", "/memfd:greenray")):
                    status = descriptor.stat()
                    found[status.st_ino] = status.st_blocks * 512
            except OSError:
                continue
    return sum(found.values())


async def settled_usage(root_pid: int, state_dir: Path, limits: Usage) -> Usage:
    """Once it is within ``limits``, or what it is when it has not come there after two minutes."""
    give_up_at = time.monotonic() + _SETTLE_S
    while True:
        usage = await asyncio.to_thread(usage_of, root_pid, state_dir)
        if not exceeded(usage, limits) or time.monotonic() > give_up_at:
            return usage
        await asyncio.sleep(2.0)


def limits_after(before: Usage, flood: Flood, settings: Settings, seconds: float) -> Usage:
    """What the network may hold when a flood is over that took so long."""
    return Usage(
        memory_bytes=settings.budget.memory_bytes,
        fds=before.fds + 32,
        threads=before.threads + 32,
        shm_bytes=settings.budget.object_store_bytes + settings.budget.parity_bytes + 16 * MIB,
        # Rows of an object: its job, seven integrity records, events, a transaction. The WAL stays
        # as large as its largest commits made it.
        journal_bytes=before.journal_bytes + flood.objects * 16 * KB + 16 * MIB,
        # Logs grow with time, by 2 kB a second, and not with objects.
        log_bytes=before.log_bytes + 256 * KB + int(4 * KB * seconds),
    )


def exceeded(usage: Usage, limits: Usage) -> tuple[str, ...]:
    return tuple(
        f"{field.name} {getattr(usage, field.name)} > {getattr(limits, field.name)}"
        for field in fields(Usage)
        if getattr(usage, field.name) > getattr(limits, field.name)
    )


# --- running -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FloodedNetwork:
    settings: Settings
    child: Child
    client: FloodClient
    root: Path


@asynccontextmanager
async def flooded_network(root: Path) -> AsyncIterator[FloodedNetwork]:
    """A network on Ray below ``root``, in a process of its own."""
    given: dict[str, Any] = {
        "state_dir": root / "network",
        "chain": {"port": 0},
        "gateway": {"port": 0},
    }
    with Child("network", network_service, given, log_file=root / "network.log") as child:
        found: NetworkFile = await asyncio.to_thread(child.ask, NetworkQuestion.WHERE)
        async with BenchClient.opened(found) as client:
            yield FloodedNetwork(Settings(**given), child, FloodClient(found, client), root)


async def run_flood(network: FloodedNetwork, flood: Flood) -> Outcome:
    source = network.root / "payload"
    make_payload(source, flood.size_bytes)
    payload = await asyncio.to_thread(source.read_bytes)
    state_dir = network.root / "network"
    warm_up = await network.client.create(source, min(flood.objects, 16 * _ROUND))
    await network.client.put_all(payload, warm_up, 16)
    await network.client.sealed(warm_up)
    infos = await network.client.create(source, flood.objects)
    before = await asyncio.to_thread(usage_of, network.child.pid, state_dir)
    began_at = time.monotonic()
    trees = ProcessTrees([network.child.pid])
    with counted_refusals() as later, PeakMemory(trees, _SAMPLING_S) as memory:
        await flood.run(network.client, payload, infos)
        await network.client.sealed(infos)
    seconds = time.monotonic() - began_at
    limits = limits_after(before, flood, network.settings, seconds)
    after = await settled_usage(network.child.pid, state_dir, limits)
    failures = exceeded(after, limits)
    if memory.bytes > network.settings.budget.memory_bytes:
        failures += (f"peak of memory {memory.bytes} > {network.settings.budget.memory_bytes}",)
    ids = tuple(info.id for info in (*warm_up, *infos))
    columns = range(SEGMENTS, 6)
    await asyncio.to_thread(network.child.ask, RemoveColumns(ids, columns))
    return Outcome(flood, seconds, later.count, memory.bytes, before, after, failures)


@contextmanager
def counted_refusals() -> Iterator[_Later]:
    logger, later = logging.getLogger("greenray.client.admission"), _Later()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(later)
    try:
        yield later
    finally:
        logger.removeHandler(later)
        logger.setLevel(level)


def row(outcome: Outcome) -> str:
    """A line of a Markdown table."""
    before, after = outcome.before, outcome.after
    per_object = (after.journal_bytes - before.journal_bytes) / outcome.flood.objects
    cells = (
        outcome.flood.name,
        f"{outcome.seconds:.0f} s",
        f"{outcome.told_to_come_later}",
        f"{outcome.peak_bytes / 1e6:.0f} MB",
        f"{before.memory_bytes / 1e6:.0f} -> {after.memory_bytes / 1e6:.0f} MB",
        f"{before.fds} -> {after.fds}",
        f"{before.threads} -> {after.threads}",
        f"{before.shm_bytes / 1e6:.0f} -> {after.shm_bytes / 1e6:.0f} MB",
        f"{per_object / 1e3:.1f} kB",
        f"{(after.log_bytes - before.log_bytes) / 1e3:.0f} kB",
        "; ".join(outcome.failures) or "pass",
    )
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| flood | time | told to come later | peak memory | memory | descriptors | threads | /dev/shm "
    "| journal per object | log | |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


async def main(wanted: str, work_dir: Path) -> int:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load before: {load}; {os.cpu_count()} cores\n{HEAD}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="floods-", dir=work_dir) as folder:
        async with flooded_network(Path(folder)) as network:
            for flood in FLOODS:
                if wanted in flood.name:
                    outcome = await run_flood(network, flood)
                    failed = failed or bool(outcome.failures)
                    print(row(outcome), flush=True)
    print(f"load after: {', '.join(f'{value:.1f}' for value in os.getloadavg())}")
    return int(failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="floods whose name has this in it")
    parser.add_argument("--work-dir", type=Path, default=Path(), help="on the disk to use")
    options = parser.parse_args()
    sys.exit(asyncio.run(main(options.only, options.work_dir)))
