"""A whole network in one process: a real embedded chain, real HTTP gateways, every actor class,
real stores on disk, and no Ray. What would be separate processes can be killed and started again
over the same stores.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.credit.buffers import BufferPool
from greenray.actors.credit.byte_budget import ByteBudget
from greenray.actors.gateway.server import Binding, Gateway
from greenray.actors.p2p.actor import P2P, P2PSettings, PeerTransport
from greenray.actors.ports import Column, Encoder, HotColumns, ReceiverPort, TaskWaker
from greenray.actors.receiver.actor import Receiver
from greenray.actors.replication.run import ReplicationSettings
from greenray.actors.replication.secondaries import Directory, InClusterSettings
from greenray.actors.signer.actor import Signer
from greenray.actors.task_node.actor import TaskNode, TaskNodeSettings
from greenray.actors.task_node.driver_ports import DriverPorts, DriverSettings
from greenray.actors.uploader.actor import Uploader, UploaderSettings
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.keystore import SpKeys as RingKeys
from greenray.chain.local.ledger.genesis import GenesisProvider, build_genesis
from greenray.chain.local.server import RunningChain, running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.client.creation import PutOptions
from greenray.client.storage_client import ClientSettings, StorageClient
from greenray.coding.codec import get_codec
from greenray.protocol.job import JobContext
from greenray.protocol.objects import RedundancyType
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import PieceStore
from greenray.storage.s3_bucket import S3Bucket
from greenray.storage.s3_store import S3PieceStore
from greenray.storage.sqlite_store import SqliteJobStore
from greenray.timeline.stage_trace import StageTrace, Stopwatch, TracePart, TraceSource, WorkTime
from tests.support.groups import LocalSpace
from tests.support.sps import SpKeys, test_key

SEGMENT_SIZE_BYTES = 4096
BLOCK_INTERVAL_S = 0.05

USER_KEY = test_key("user-0")

Decorate = Callable[[str, ReceiverPort], ReceiverPort]
"""Gives a Receiver of an SP (operator address) another behaviour."""


class LocalEncoder(Encoder):
    """In this process."""

    async def encode(
        self, data: tuple[Column, ...], m: int, on_encoded: Callable[[WorkTime], None]
    ) -> tuple[Column, ...]:
        watch = Stopwatch.start()
        parity = tuple(await asyncio.to_thread(get_codec().encode, data, m))
        on_encoded(watch.read())
        return parity

    async def warm_up(self) -> None:
        """There is nothing to start."""


class ColdColumns(HotColumns):
    """Everything has been dropped."""

    async def hot_columns(self, sp_address: str, object_id: int, batch_index: int) -> None:
        return None

    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        """There is nothing to release."""

    async def release_object(self, sp_address: str, object_id: int) -> None:
        """There is nothing to release."""


@dataclass(slots=True)
class Processes:
    """Everything that dies at a crash."""

    job_store: SqliteJobStore
    gateway: Gateway
    task_node: TaskNode
    make_task_node: Callable[[], TaskNode]
    receivers: dict[str, ReceiverPort]
    chains: list[RpcChainClient]
    running: asyncio.Task[None] | None = None


class WholeNetwork:
    """``start`` and ``kill`` as often as wanted; stores and chain stay."""

    def __init__(self, folder: Path, chain: RunningChain, sps: list[SpKeys]) -> None:
        self.folder = folder
        self.chain = chain
        self.sps = sps
        self.primary = sps[0].address
        self.decorate: Decorate = lambda sp_address, receiver: receiver
        self.transport: PeerTransport | None = None
        self.bucket: S3Bucket | None = None
        self.cold = False
        self.space = LocalSpace()
        self.after_commit: Callable[[int, str], None] | None = None
        self.replication = ReplicationSettings(batch_timeout_s=5.0)
        self.in_cluster = InClusterSettings()
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
        if self.bucket is not None:
            return S3PieceStore(self.bucket, sp_address)
        return FilePieceStore(self.folder / "pieces" / sp_address, durable=False)

    async def start(self, *, task_node: bool = True) -> None:
        self._not_ours = set(asyncio.all_tasks())
        processes = await self._build()
        self.processes = processes
        await processes.job_store.release_all()
        await processes.gateway.start()
        if task_node:
            self.start_task_node()

    def start_task_node(self) -> None:
        self.live.running = asyncio.create_task(self.live.task_node.run())

    async def restart_task_node(self) -> None:
        """Its process dies, and another comes up."""
        assert self.live.running is not None
        self.live.running.cancel()
        await self.live.task_node.stop()
        self.live.task_node = self.live.make_task_node()
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
        await processes.gateway.close()
        for chain in processes.chains:
            await chain.close()
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

    async def _build(self) -> Processes:
        chains: list[RpcChainClient] = []

        def chain() -> RpcChainClient:
            chains.append(RpcChainClient(self.chain.endpoint, get_dialect()))
            return chains[-1]

        hosted = [sp.address for sp in self.sps]
        job_store = self._open_job_store()
        ring = KeyRing({sp.address: RingKeys(sp.operator, sp.seal, sp.approval) for sp in self.sps})
        signer = Signer(chain=chain(), store=job_store, keys=ring, dialect=get_dialect())
        space = self.space
        receivers: dict[str, ReceiverPort] = {}
        traces: dict[str, TraceSource] = {}
        for sp_address in hosted:
            receiver = Receiver(
                chain=chain(),
                job_store=job_store,
                piece_stores={sp_address: self.piece_store(sp_address)},
                signer=signer,
                dialect=get_dialect(),
                clock=time.time,
            )
            traces[f"receiver of {sp_address}"] = receiver
            receivers[sp_address] = self.decorate(sp_address, receiver)
        stores = {sp: self.piece_store(sp) for sp in hosted}
        waker = _Waker()
        uploader = Uploader(
            job_store=job_store,
            piece_stores=stores,
            object_space=space,
            signer=signer,
            waker=waker,
            owner=_owner("uploader"),
            settings=UploaderSettings(buffer_budget_bytes=1 << 22, hot_budget_bytes=1 << 22),
        )
        providers = ProviderBook(chain(), time.time)
        p2p = P2P(
            hosted=hosted,
            providers=providers,
            signer=signer,
            dialect=get_dialect(),
            clock=time.time,
            settings=P2PSettings(spare_grace_s=0.2),
            transport=self.transport,
        )
        ports = DriverPorts(
            job_store=job_store,
            piece_stores=stores,
            approvals=p2p,
            secondaries=Directory(receivers, space, in_cluster=self.in_cluster),
            sealer=signer,
            encoder=LocalEncoder(),
            object_space=space,
            hot_columns=ColdColumns() if self.cold else uploader,
            running_uploads=uploader,
            cold_buffers=BufferPool(1 << 20),
            replication_budget=ByteBudget(1 << 18),
            providers=providers,
            dialect=get_dialect(),
            clock=time.time,
        )
        driver = DriverSettings(
            approval_timeout_s=1.0,
            retry_base_s=0.2,
            retry_cap_s=0.5,
            replication=self.replication,
        )

        def make_task_node() -> TaskNode:
            waker.task_node = TaskNode(
                owner=_owner("task-node"),
                ports=replace(ports, trace=StageTrace()),
                settings=TaskNodeSettings(poll_s=0.2, driver=driver),
            )
            return waker.task_node

        gateway = Gateway(
            bindings=[Binding(sp) for sp in hosted],
            chain=chain(),
            uploader=uploader,
            job_store=job_store,
            piece_stores=stores,
            signer=signer,
            dialect=get_dialect(),
            traces={"uploader": uploader, "task_node": waker, "signer": signer, **traces},
        )
        return Processes(job_store, gateway, make_task_node(), make_task_node, receivers, chains)

    def _open_job_store(self) -> SqliteJobStore:
        return SqliteJobStore.open(self.folder / "jobs.sqlite", after_commit=self.after_commit)

    # --- what a user does ------------------------------------------------------------------------

    @asynccontextmanager
    async def client(self) -> AsyncIterator[StorageClient]:
        chain = RpcChainClient(self.chain.endpoint, get_dialect())
        endpoints = {
            sp.address: f"http://127.0.0.1:{self.live.gateway.port(sp.address)}" for sp in self.sps
        }
        client = StorageClient(
            chain,
            endpoints[self.primary],
            USER_KEY,
            sp_address=self.primary,
            endpoints=endpoints,
            settings=ClientSettings(poll_interval_s=0.05, wait_timeout_s=60.0),
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
        kind = (
            RedundancyType.REDUNDANCY_REPLICA_TYPE if replica else RedundancyType.REDUNDANCY_EC_TYPE
        )
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


class _Waker(TaskWaker, TraceSource):
    task_node: TaskNode | None = None

    async def wake(self) -> None:
        assert self.task_node is not None
        await self.task_node.wake()

    async def trace_of(self, object_id: int) -> TracePart:
        assert self.task_node is not None
        return await self.task_node.trace_of(object_id)

    async def follow_upload(self, job: JobContext) -> None:
        assert self.task_node is not None
        await self.task_node.follow_upload(job)


def _owner(role: str) -> str:
    return f"{role}-{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def whole_network(folder: Path, sps: int = 7) -> AsyncIterator[WholeNetwork]:
    """A network that is not started yet, on a chain that makes blocks already."""
    keys = [SpKeys.numbered(index) for index in range(sps)]
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
        for i, sp in enumerate(keys)
    ]
    genesis = build_genesis(
        providers,
        [address_of(USER_KEY)],
        fixed_gas=get_local_dialect().fixed_gas,
        overrides={"max_segment_size": SEGMENT_SIZE_BYTES},
    )
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
