"""A whole network in one process, built as ``greenray.cluster.in_process`` builds it: a real
embedded chain, real HTTP gateways, every actor class, real stores on disk, and no Ray. What would
be separate processes can be killed and started again over the same stores, and may be given
Receivers, a journal or peers that misbehave.
"""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import aiohttp

from greenray.actors import names
from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.collector.actor import Collector
from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.gateway.node import UploaderNode
from greenray.actors.gateway.server import Binding
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.p2p.actor import P2P
from greenray.actors.p2p.transport import PeerTransport
from greenray.actors.ports import ReceiverPort, SealerPort, UploaderPort
from greenray.actors.replication.settings import InClusterSettings, ReplicationSettings
from greenray.actors.scrubber.actor import Scrubber
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.task_node.actor import TaskNode
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.local.ledger.genesis import Genesis, GenesisProvider, build_genesis
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.rpc.settings import RpcSettings
from greenray.client.creation import PutOptions
from greenray.client.storage_client import ClientSettings, StorageClient
from greenray.cluster.config.node_config import HOME_ACTORS, NodeConfig
from greenray.cluster.config.settings import Settings
from greenray.cluster.in_process import local_services
from greenray.cluster.local_chain.keys import LOCAL_CHAIN_ID
from greenray.cluster.roles.building import Build, builds_of
from greenray.cluster.roles.host_services import HostServices
from greenray.cluster.scrub import NetworkScrub, ScrubReport
from greenray.protocol.job import JobContext
from greenray.protocol.objects import RedundancyType
from greenray.protocol.scrub import ScrubOrder
from greenray.seam.finder import Finder, LocalFinder, PortName
from greenray.storage.file_location import FileLocation
from greenray.storage.piece_location import PieceLocation
from greenray.storage.ports import PieceStore
from greenray.storage.s3_bucket import S3Bucket
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.groups import CountingSpace
from tests.support.sps import SpKeys, test_key

SEGMENT_SIZE_BYTES = 4096
BLOCK_INTERVAL_S = 0.05

USER_KEY = test_key("user-0")

Decorate = Callable[[str, ReceiverPort], ReceiverPort]
"""Gives a Receiver of an SP (operator address) another behaviour."""


P = TypeVar("P")


class ColdUploader(UploaderPort):
    """An Uploader that has dropped all its columns."""

    def __init__(self, uploader: UploaderPort) -> None:
        self._uploader = uploader

    async def hot_columns(self, sp_address: str, object_id: int, batch_index: int) -> None:
        return None

    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        """There is nothing to release."""

    async def release_object(self, sp_address: str, object_id: int) -> None:
        """There is nothing to release."""

    async def wait_for_batch(self, job: JobContext, batch_index: int) -> bool:
        return await self._uploader.wait_for_batch(job, batch_index)

    async def wait_for_end(self, job: JobContext) -> None:
        await self._uploader.wait_for_end(job)


class ReplacingFinder(Finder):
    """Finds others in the place of some actors."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._others: dict[PortName[Any], Any] = {}

    def find(self, name: PortName[P]) -> P:
        return cast("P", self._others.get(name)) or self._finder.find(name)

    def replace(self, name: PortName[P], other: P) -> None:
        self._others[name] = other


@dataclass(slots=True)
class Processes:
    """Everything that dies at a crash."""

    actors: dict[str, Any]
    """By name."""
    finder: Finder
    build: Callable[[str], None]
    """Makes the actor of that name, in the place of what was there."""
    endpoints: Mapping[str, str]
    """Of the gateways, by operator address."""
    running: asyncio.Task[None] | None = None
    scrubbing: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def job_store(self) -> SqliteJobStore:
        return cast("SqliteJobStore", self.actors["job_store"])

    @property
    def task_node(self) -> TaskNode:
        return cast("TaskNode", self.actors["task_node"])

    @property
    def collector(self) -> Collector:
        return cast("Collector", self.actors["collector"])

    @property
    def p2p(self) -> P2P:
        return cast("P2P", self.actors["p2p"])

    @property
    def uploader(self) -> UploaderNode:
        return cast("UploaderNode", self.actors[names.uploader(0).actor])


class WholeNetwork:
    """``start`` and ``kill`` as often as wanted; stores and chain stay."""

    def __init__(self, folder: Path, chain: RunningChain, sps: list[SpKeys]) -> None:
        self.folder = folder
        self.chain = chain
        self.sps = sps
        self.primary = sps[0].address
        self.decorate: Decorate = lambda sp_address, receiver: receiver
        self.decorate_sealer: Callable[[SealerPort], SealerPort] = lambda sealer: sealer
        self.transport: PeerTransport | None = None
        self.bucket: S3Bucket | None = None
        self.cold = False
        self.space = CountingSpace()
        self.after_commit: Callable[[int, str], None] | None = None
        self.rpc = RpcSettings()
        self.replication = ReplicationSettings(batch_timeout_s=5.0)
        self.in_cluster = InClusterSettings()
        self.gateway = GatewaySettings()
        self.domain = ""
        self.downloader = DownloaderSettings(download_budget_bytes=1 << 20)
        self.scrubber = ScrubberSettings(retry_s=0.1)
        self.collector = CollectorSettings(delay_s=0.001)
        self.approval_timeout_s = 1.0
        self.retry_base_s = 0.2
        self.retry_cap_s = 0.5
        self.client_outage_s = 1.0
        self.client_wait_s = 60.0
        self.processes: Processes | None = None
        self.frozen = asyncio.Event()
        self._thawed = threading.Event()
        self._not_ours: set[asyncio.Task[Any] | None] = set()

    @property
    def live(self) -> Processes:
        assert self.processes is not None, "the network is not started"
        return self.processes

    def piece_store(self, sp_address: str) -> PieceStore:
        """In ``bucket`` if there is one, else on disk."""
        return self._pieces().open((sp_address,))[sp_address]

    def _pieces(self) -> PieceLocation:
        if self.bucket is not None:
            return self.bucket.location
        return FileLocation(self.folder / "pieces", durable=False)

    async def start(self, *, task_node: bool = True) -> None:
        self._not_ours = set(asyncio.all_tasks())
        processes = self.processes = self._build()
        await processes.job_store.release_all()
        bindings = [Binding(sp.address, domain=self.domain) for sp in self.sps]
        listening = await processes.uploader.listen(bindings)
        processes.endpoints = {b.sp_address: f"http://{b.host}:{b.port}" for b in listening}
        if task_node:
            self.start_task_node()

    def start_task_node(self) -> None:
        self.live.running = asyncio.create_task(self.live.task_node.run())

    async def restart_task_node(self) -> None:
        """Its process dies, and another comes up."""
        assert self.live.running is not None
        self.live.running.cancel()
        await self.live.task_node.close()
        self.live.build("task_node")
        self.start_task_node()

    async def kill(self) -> None:
        """Everything stops where it is: nothing is finished, nothing is told, and what waits for
        the journal is never written."""
        processes, self.processes = self.live, None
        while doomed := asyncio.all_tasks() - self._not_ours - {asyncio.current_task()}:
            for task in doomed:
                task.cancel()
            # Some tidy up when cancelled, which takes the journal: they are cancelled again.
            await asyncio.wait(doomed, timeout=0.05)
        self.thaw()
        await processes.uploader.close()
        await processes.actors["chain"].close()
        await processes.job_store.close()

    def freeze_after(self, commits: int) -> None:
        """The next process to open the journal stops dead after that many of its commits, with
        nobody answered; ``frozen`` is set then."""
        self.frozen.clear()
        self._thawed.clear()
        loop = asyncio.get_running_loop()

        def after_commit(number: int, description: str) -> None:
            if number == commits:
                loop.call_soon_threadsafe(self.frozen.set)
                self._thawed.wait()

        self.after_commit = after_commit

    def thaw(self) -> None:
        """Let the journal's thread end; only after everybody who waits for it is gone."""
        self._thawed.set()
        self.after_commit = None

    def _build(self) -> Processes:
        config = self._config()
        actors: dict[str, Any] = {}
        finder = ReplacingFinder(LocalFinder(actors))
        builds: dict[str, Build] = {**builds_of(config), "job_store": self._open_job_store}
        if self.transport is not None:
            builds["p2p"] = self._p2p

        def build(name: str) -> None:
            services = replace(
                local_services(finder),
                object_space=self.space,
                small_column_bytes=self.in_cluster.whole_group_bytes,
            )
            actors[name] = builds[name](services)
            if name == names.SEALER.actor:
                finder.replace(names.SEALER, self.decorate_sealer(actors[name]))

        for index, sp in enumerate(self.sps):
            name = names.receiver(index)
            build(name.actor)
            finder.replace(name, self.decorate(sp.address, actors[name.actor]))
            build(names.scrubber(index).actor)
        uploader = names.uploader(0)
        build(uploader.actor)
        if self.cold:
            finder.replace(uploader, ColdUploader(actors[uploader.actor]))
        for role in HOME_ACTORS:
            build(role)
        return Processes(actors, finder, build, {})

    def _config(self) -> NodeConfig:
        """One Receiver for each SP, short times and small budgets."""
        config = NodeConfig.of(
            Settings(),
            state_root=self.folder,
            chain_endpoint=self.chain.endpoint,
            keys=write_keys(self.folder, self.sps),
            hosted=tuple(sp.address for sp in self.sps),
            pieces=self._pieces(),
        )
        driver = replace(
            config.task_node.driver,
            approval_timeout_s=self.approval_timeout_s,
            retry_base_s=self.retry_base_s,
            retry_cap_s=self.retry_cap_s,
            parked_look_s=self.retry_base_s,
            replication=self.replication,
        )
        uploader = replace(
            config.uploader,
            buffer_budget_bytes=1 << 22,
            hot_budget_bytes=1 << 22,
            ahead_after_bytes=0,
        )
        return replace(
            config,
            receivers=len(self.sps),
            rpc=self.rpc,
            cold_columns_bytes=1 << 20,
            replication_bytes=1 << 18,
            downloader=self.downloader,
            gateway=self.gateway,
            scrubber=self.scrubber,
            collector=self.collector,
            uploader=uploader,
            task_node=replace(config.task_node, driver=driver),
            in_cluster=self.in_cluster,
        )

    def _open_job_store(self, host: HostServices) -> SqliteJobStore:
        return SqliteJobStore.open(self.folder / "jobs.sqlite", after_commit=self.after_commit)

    def _p2p(self, host: HostServices) -> P2P:
        return P2P(
            hosted=[sp.address for sp in self.sps],
            providers=ProviderBook(host.finder.find(names.CHAIN), time.time),
            signer=host.finder.find(names.SIGNER),
            dialect=get_dialect(),
            clock=time.time,
            transport=self.transport,
        )

    # --- what an operator does -------------------------------------------------------------------

    def start_scrubbers(self) -> None:
        for index in range(len(self.sps)):
            scrubber = cast("Scrubber", self.live.actors[names.scrubber(index).actor])
            self.live.scrubbing.append(asyncio.create_task(scrubber.run()))

    async def scrub(self, *, repair: bool = False, **order: Any) -> ScrubReport:
        """By all Scrubbers, one for each SP."""
        if not self.live.scrubbing:
            self.start_scrubbers()
        scrub = NetworkScrub(self.live.finder, len(self.sps))
        return await scrub.run(ScrubOrder(repair=repair, **order))

    # --- what a user does ------------------------------------------------------------------------

    @asynccontextmanager
    async def client(self, key: bytes = USER_KEY) -> AsyncIterator[StorageClient]:
        chain = RpcChainClient(self.chain.endpoint, get_dialect())
        endpoints = self.live.endpoints
        client = StorageClient(
            chain,
            endpoints[self.primary],
            key,
            sp_address=self.primary,
            endpoints=endpoints,
            history=chain,
            settings=ClientSettings(
                poll_interval_s=0.05,
                wait_timeout_s=self.client_wait_s,
                outage_s=self.client_outage_s,
            ),
        )
        try:
            yield client
        finally:
            await client.close()
            await chain.close()

    async def put(
        self,
        payload: bytes | BinaryIO,
        name: str = "photo.jpg",
        *,
        replica: bool = False,
        **options: Any,
    ) -> Mapping[str, Any]:
        """Returns the job-status document."""
        kind = RedundancyType.of(replica=replica)
        async with self.client() as client:
            result = await client.put(
                io.BytesIO(payload) if isinstance(payload, bytes) else payload,
                "album",
                name,
                options=replace(PutOptions(), redundancy_type=kind),
                **options,
            )
            return result.status

    async def get(self, name: str = "photo.jpg") -> bytes:
        target = self.folder / f"downloaded-{uuid.uuid4().hex}"
        async with self.client() as client:
            await client.get("album", name, target)
        return target.read_bytes()

    async def wait_until(
        self, reached: Callable[[Mapping[str, Any]], bool], name: str = "photo.jpg"
    ) -> Mapping[str, Any]:
        """Look at the job until ``reached``; the test's own timeout ends a wait in vain."""
        async with self.client() as client:
            while True:
                status = await client.status("album", name)
                if reached(status):
                    return status
                await asyncio.sleep(0.02)

    async def seal_transactions(self) -> list[Mapping[str, Any]]:
        """All MsgSealObject transactions in blocks, as ``tx_search`` shows them."""
        query = "message.action='/greenfield.storage.MsgSealObject'"
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tx_search",
            "params": {"query": query, "per_page": "100"},
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.chain.endpoint, json=request) as answer,
        ):
            document = await answer.json()
        return list(document["result"]["txs"])


@asynccontextmanager
async def whole_network(
    folder: Path, sps: int = 7, **genesis_params: int
) -> AsyncIterator[WholeNetwork]:
    """A network that is not started yet, on a chain that makes blocks already."""
    keys = [SpKeys.numbered(index) for index in range(sps)]
    genesis = genesis_of(keys, [address_of(USER_KEY)], genesis_params)
    async with running_chain(
        folder / "chain",
        port=0,
        local_dialect=get_local_dialect(),
        genesis=genesis,
        block_interval_s=BLOCK_INTERVAL_S,
    ) as chain:
        network = WholeNetwork(folder, chain, keys)
        try:
            yield network
        finally:
            if network.processes is not None:
                await network.kill()


def write_keys(folder: Path, sps: Sequence[SpKeys]) -> Path:
    """A key file for the SPs, by whose order they are numbered."""
    keys = {
        f"sp-{index}-{purpose}": {"private_key": getattr(sp, purpose).hex()}
        for index, sp in enumerate(sps)
        for purpose in ("operator", "seal", "approval")
    }
    file = folder / "keys.json"
    file.write_text(json.dumps({"chain_id": LOCAL_CHAIN_ID, "keys": keys}))
    return file


def genesis_of(
    sps: Sequence[SpKeys], users: Sequence[str], params: Mapping[str, int] | None = None
) -> Genesis:
    """Of a chain with small segments. ``users``: addresses; ``params``: others than usual."""
    providers = [
        GenesisProvider(
            operator_address=sp.address,
            funding_address=address_of(test_key(f"sp-{i}-funding")),
            seal_address=address_of(sp.seal),
            approval_address=address_of(sp.approval),
            gc_address=address_of(test_key(f"sp-{i}-gc")),
            endpoint=f"http://127.0.0.1:{9033 + i}",
            moniker=f"sp{i}",
        )
        for i, sp in enumerate(sps)
    ]
    return build_genesis(
        providers,
        users,
        fixed_gas=get_local_dialect().fixed_gas,
        overrides={"max_segment_size": SEGMENT_SIZE_BYTES, **(params or {})},
    )
