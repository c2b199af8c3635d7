"""The network of a random world: a real embedded chain, all actors by their roles in hosts that can
die, real stores and a real journal on disk, real gateways."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from greenray.actors import names
from greenray.actors.chain_view.settings import PatienceSettings
from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.gateway.node import UploaderNode
from greenray.actors.gateway.server import Binding
from greenray.actors.replication.settings import InClusterSettings, ReplicationSettings
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.signer.settings import QueueSettings, SignerSettings, WatchSettings
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_local_dialect
from greenray.chain.local.app import Application
from greenray.chain.local.mempool import Mempool, MempoolLimits, MempoolRefusal
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.local.tx_result import TxResult
from greenray.cluster.config.node_config import NodeConfig, host_of
from greenray.cluster.config.settings import Settings
from greenray.cluster.in_process import local_services
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.building import ENDING, actors_of, builds_of
from greenray.listening.listener import HttpListener
from greenray.protocol.errors import GreenrayError
from greenray.seam.finder import LocalFinder
from greenray.storage.file_location import FileLocation
from greenray.storage.sqlite_schema import open_journal
from tests.support.kill_switch import Killed
from tests.support.sps import SpKeys, test_key
from tests.support.whole_network import genesis_of, write_keys
from tests.support.worlds.faults import FaultSchedule
from tests.support.worlds.host import Clock, Door, Host, host_tasks
from tests.support.worlds.plan import BATCH_SEGMENTS, HOME, SEGMENT_SIZE_BYTES, Plan

BLOCK_INTERVAL_S = 0.05
UPLOADER_HOST = names.uploader(0).actor
_RESTART_PAUSE_S = 0.05
_MEMPOOL_FULL_S = 0.3


def user_key(client: int) -> bytes:
    return test_key(f"world-user-{client}")


class World:
    """Implements ``tests.support.worlds.host.Surroundings``. Used from one event loop."""

    def __init__(self, folder: Path, plan: Plan, chain: RunningChain, sps: list[SpKeys]) -> None:
        self.folder = folder
        self.plan = plan
        self.chain = chain
        self.sps = sps
        self.schedule = FaultSchedule(plan.faults)
        self.endpoints: dict[str, str] = {}
        """Of the gateways, by operator address; they stay."""
        self.trace: list[str] = []
        self.config = _config(folder, chain.endpoint, sps)
        self._builds = builds_of(self.config)
        self._actors: dict[str, object] = {}
        """Every actor by name, as all reach it."""
        self._built: dict[str, Any] = {}
        self._hosts: dict[str, Host] = {}
        self._clocks: dict[str, Clock] = {}
        self._outside = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._deaths: asyncio.Queue[Host] = asyncio.Queue()
        self._mempool = self._new_mempool()
        self._keeping: list[asyncio.Task[None]] = []
        self.finder = LocalFinder(self._actors)
        """For whoever is in no host."""
        open_journal(self.config.state.job_store_file).close()

    def primary_of(self, client: int) -> str:
        """Of the client's bucket: its operator address."""
        return self.sps[client % len(self.sps)].address

    def note(self, what: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{time.monotonic() - self._began:7.3f} s  {what}")

    # --- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        for name in dict.fromkeys(map(host_of, self._builds)):
            self._build(name)
        await self.finder.find(names.JOB_STORE).release_all()
        gateways = self.finder.find(launch_names.gateways(0))
        bindings = await gateways.listen([Binding(sp.address) for sp in self.sps])
        self.endpoints = {b.sp_address: f"http://{b.host}:{b.port}" for b in bindings}
        run = self.finder.find(launch_names.JOB_RUNNER).run
        self._keep(self._bring_back())
        self._keep(self._run_across_restarts(HOME, run))
        self._keep(self._run_across_restarts(UPLOADER_HOST, partial(gateways.run, bindings)))
        collect = self.finder.find(launch_names.COLLECTOR_RUNNER).run
        self._keep(self._run_across_restarts(HOME, collect))
        for index in range(len(self.sps)):
            scrubber = self.finder.find(launch_names.scrub_runner(index))
            self._keep(self._run_across_restarts(names.receiver(index).actor, scrubber.run))

    async def cease(self) -> None:
        """No fault happens any more, clocks are right, and who is dead comes back."""
        self.schedule.cease()
        for clock in self._clocks.values():
            clock.set_right()
        self._mempool.is_full = False
        await self._deaths.join()

    async def stop(self) -> None:
        """In order, as at the end of a network; nothing is dead any more."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for role in ENDING:
            for actor in actors_of(role, self._built):
                await self._built[actor].close()

    def _build(self, name: str) -> None:
        """A host with its actors, over what its last one has left on disk."""
        clock = self._clocks.setdefault(name, Clock())
        host = self._hosts[name] = Host(name, self.schedule, self, clock)
        services = replace(
            local_services(LocalFinder(self._actors, host)),
            process_name=host.process_name,
            small_column_bytes=self.config.in_cluster.whole_group_bytes,
            fault_points=host,
        )
        for actor, build in self._builds.items():
            if host_of(actor) == name:
                self._built[actor] = host.call(build, services)
                self._actors[actor] = Door(host, actor, self._built[actor])

    async def _run_across_restarts(self, host: str, run: Callable[[], Awaitable[None]]) -> None:
        """As who launches a network does it."""
        process = ""
        while True:
            try:
                if process:
                    await self.finder.find(names.JOB_STORE).release_process(process)
                process = self._hosts[host].process_name
                await run()
                return
            except GreenrayError:
                await asyncio.sleep(_RESTART_PAUSE_S)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self._keeping.append(asyncio.create_task(work))

    # --- deaths ----------------------------------------------------------------------------------

    def has_died(self, host: Host, *, with_all: bool) -> None:
        """See ``Surroundings.has_died``."""
        self._loop.call_soon_threadsafe(self._deaths.put_nowait, host, context=self._outside)
        if with_all:
            for other in tuple(self._hosts.values()):
                other.die()

    async def _bring_back(self) -> None:
        """Whoever dies is built again."""
        while True:
            dead = [await self._deaths.get()]
            while not self._deaths.empty():
                dead.append(self._deaths.get_nowait())
            for host in dead:
                await self._bury(host)
            await asyncio.sleep(_RESTART_PAUSE_S)
            for host in dead:
                self._build(host.name)
                self.note(f"{host.name} is back")
                self._deaths.task_done()

    async def _bury(self, host: Host) -> None:
        """Its memory, its threads, its sockets and its open files are gone."""
        self.note(f"{host.name} has died")
        actors = {
            name: self._built.pop(name) for name in self._builds if host_of(name) == host.name
        }
        for name in actors:
            del self._actors[name]
        if host.name == UPLOADER_HOST:
            _stop_listening(actors[UPLOADER_HOST])
        await host.bury()
        if host.name == UPLOADER_HOST:
            _cut_connections(actors[UPLOADER_HOST])
        for role in ("uploader", "chain", "job_store"):
            for name in actors_of(role, actors):
                await actors[name].close()

    # --- the node --------------------------------------------------------------------------------

    def fill_mempool(self) -> None:
        """See ``Surroundings.fill_mempool``."""
        self._mempool.is_full = True
        self._loop.call_later(_MEMPOOL_FULL_S, setattr, self._mempool, "is_full", False)

    def lose_mempool(self) -> None:
        """See ``Surroundings.lose_mempool``."""
        self._mempool = self._new_mempool()
        self.chain.node.app.reset_check_state()

    def _new_mempool(self) -> FickleMempool:
        mempool = self.chain.node.mempool = FickleMempool(self.chain.node.app)
        return mempool


# What the operating system does for the dead; the HTTP library would wait for their handlers.


def _stop_listening(node: UploaderNode) -> None:
    for listener in _listeners(node):
        listener.stop_listening()


def _cut_connections(node: UploaderNode) -> None:
    for listener in _listeners(node):
        for connection in listener._server.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _listeners(node: UploaderNode) -> Sequence[HttpListener]:
    return node._gateway._listeners if node._gateway is not None else ()


class FickleMempool(Mempool):
    """Full when it is told so."""

    def __init__(self, app: Application) -> None:
        super().__init__(app, MempoolLimits())
        self.is_full = False

    def submit(self, tx_bytes: bytes) -> TxResult:
        if self.is_full:
            raise MempoolRefusal("mempool is full: number of txs 0 (max: 0)")
        return super().submit(tx_bytes)


@asynccontextmanager
async def world_of(plan: Plan, folder: Path) -> AsyncIterator[World]:
    """A world that is not started yet, on a chain that makes blocks already."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(host_tasks)
    loop.set_exception_handler(_without_the_dead)
    sps = [SpKeys.numbered(index) for index in range(plan.sps)]
    clients = range(1 + max((planned.client for planned in plan.objects), default=0))
    shape = {"redundant_data_chunk_num": plan.k, "redundant_parity_chunk_num": plan.m}
    async with running_chain(
        folder / "chain",
        port=0,
        local_dialect=get_local_dialect(),
        genesis=genesis_of(sps, [address_of(user_key(client)) for client in clients], shape),
        block_interval_s=BLOCK_INTERVAL_S,
    ) as chain:
        yield World(folder, plan, chain, sps)


def _without_the_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Nobody asks the dead what they died of."""
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


def _config(folder: Path, endpoint: str, sps: list[SpKeys]) -> NodeConfig:
    """One Receiver for each SP, short times and small budgets."""
    config = NodeConfig.of(
        Settings(),
        state_root=folder,
        chain_endpoint=endpoint,
        keys=write_keys(folder, sps),
        hosted=tuple(sp.address for sp in sps),
        pieces=FileLocation(folder / "pieces", durable=False),
    )
    driver = replace(
        config.task_node.driver,
        approval_timeout_s=1.0,
        seal_timeout_s=5.0,
        retry_base_s=0.05,
        retry_cap_s=0.5,
        replication=ReplicationSettings(batch_timeout_s=3.0),
    )
    return replace(
        config,
        receivers=len(sps),
        cold_columns_bytes=1 << 20,
        replication_bytes=1 << 18,
        collector=CollectorSettings(delay_s=0.1, poll_s=0.1, compare_interval_s=0.5),
        scrubber=ScrubberSettings(interval_s=1.0, retry_s=0.1, save_interval_s=0.05),
        signer=SignerSettings(QueueSettings(), WatchSettings(poll_interval_s=0.03)),
        receiver=replace(
            config.receiver, patience=PatienceSettings(limit_s=2.0, poll_interval_s=0.05)
        ),
        downloader=DownloaderSettings(download_budget_bytes=1 << 20, hedge_s=0.2),
        gateway=replace(config.gateway, take_over_bytes=4 * SEGMENT_SIZE_BYTES),
        uploader=replace(
            config.uploader,
            lease_s=2.0,
            buffer_budget_bytes=1 << 22,
            hot_budget_bytes=1 << 17,
            ahead_after_bytes=BATCH_SEGMENTS * SEGMENT_SIZE_BYTES,
        ),
        task_node=replace(config.task_node, driver=driver, lease_s=2.0, poll_s=0.2),
        in_cluster=InClusterSettings(
            call_timeout_s=1.0,
            restart_wait_s=2.0,
            restart_poll_s=0.03,
            whole_group_bytes=SEGMENT_SIZE_BYTES // 4,
        ),
    )
