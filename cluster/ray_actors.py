"""The factory: plain classes become Ray actors here, and nowhere else.

Every actor gets one value, ``NodeConfig``; its builder makes the ports that the class needs. Actors
find each other by name, at the first call, so that they can start side by side.
"""

from __future__ import annotations

import inspect
import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from actors.gateway_server import GatewayBinding, GatewayServer
from actors.job_driver import DriverPorts, DriverSettings
from actors.p2p import P2P
from actors.ports import ApprovalSource, HotColumns, ReceiverPort, SealerPort, SignerPort, TaskWaker
from actors.provider_book import ProviderBook
from actors.receiver import Receiver, ReceiverSettings
from actors.replication import ReplicationSettings
from actors.secondaries import Directory
from actors.signer import Signer, SignerSettings
from actors.task_node import TaskNode, TaskNodeSettings
from actors.uploader import Uploader, UploaderSettings
from chain.client import RpcChainClient
from chain.dialects import get_dialect
from chain.keystore import KeyRing
from cluster.ray_ports import RayEncoder, RayObjectSpace, named_port
from cluster.settings import Settings
from cluster.state_dir import StateDir
from coding.codec import get_codec
from storage.file_store import FilePieceStore
from storage.ports import JobStore, PieceStore
from storage.sqlite_store import SqliteJobStore


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What the actors of one network need to know; everything else they ask each other."""

    settings: Settings
    state_root: Path
    chain_endpoint: str
    keys_file: Path
    gateways: tuple[GatewayBinding, ...] = field(default=())

    @property
    def hosted(self) -> tuple[str, ...]:
        return tuple(binding.sp_address for binding in self.gateways)

    @property
    def state(self) -> StateDir:
        return StateDir(self.state_root)

    def chain(self) -> RpcChainClient:
        return RpcChainClient(self.chain_endpoint, get_dialect(self.settings.chain.dialect))

    def providers(self) -> ProviderBook:
        return ProviderBook(self.chain(), time.time)

    def piece_stores(self) -> dict[str, PieceStore]:
        durable = self.settings.durable
        return {sp: FilePieceStore(self.state.pieces(sp), durable) for sp in self.hosted}

    def receiver_of(self, sp_address: str) -> str:
        """Which Receiver actor serves this SP."""
        index = self.hosted.index(sp_address) % self.settings.replication.receivers
        return receiver_name(index)


def receiver_name(index: int) -> str:
    return f"receiver-{index}"


def _owner(role: str) -> str:
    """A name that no other process has ever had."""
    return f"{role}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


# --- builders ----------------------------------------------------------------------------------


def build_job_store(config: NodeConfig) -> SqliteJobStore:
    return SqliteJobStore.open(config.state.job_store_file)


def build_signer(config: NodeConfig) -> Signer:
    settings = config.settings.chain
    return Signer(
        chain=config.chain(),
        job_store=named_port("job_store", JobStore),
        key_ring=KeyRing.from_key_file(config.keys_file),
        dialect=get_dialect(settings.dialect),
        clock=time.time,
        settings=SignerSettings(timeout_blocks=settings.seal_timeout_blocks),
    )


def build_p2p(config: NodeConfig) -> P2P:
    return P2P(
        hosted=config.hosted,
        providers=config.providers(),
        signer=named_port("signer", SignerPort),
        clock=time.time,
    )


def build_receiver(config: NodeConfig) -> Receiver:
    return Receiver(
        chain=config.chain(),
        job_store=named_port("job_store", JobStore),
        piece_stores=config.piece_stores(),
        signer=named_port("signer", SignerPort),
        clock=time.time,
        settings=ReceiverSettings(),
    )


def build_uploader(config: NodeConfig) -> GatewayServer:
    settings = config.settings
    job_store = named_port("job_store", JobStore)
    signer = named_port("signer", SignerPort)
    uploader = Uploader(
        chain=config.chain(),
        job_store=job_store,
        piece_stores=config.piece_stores(),
        object_space=RayObjectSpace(),
        signer=signer,
        waker=named_port("task_node", TaskWaker),
        settings=UploaderSettings(),
    )
    return GatewayServer(uploader, config.gateways)


def build_task_node(config: NodeConfig) -> TaskNode:
    settings = config.settings
    receivers = {sp: named_port(config.receiver_of(sp), ReceiverPort) for sp in config.hosted}
    space = RayObjectSpace()
    codec = get_codec(settings.codec)
    replication = settings.replication
    ports = DriverPorts(
        job_store=named_port("job_store", JobStore),
        piece_stores=config.piece_stores(),
        approvals=named_port("p2p", ApprovalSource),
        secondaries=Directory(receivers, space),
        sealer=named_port("signer", SealerPort),
        encoder=RayEncoder(codec.name),
        object_space=space,
        hot_columns=named_port("uploader", HotColumns),
        providers=config.providers(),
        clock=time.time,
    )
    driver = DriverSettings(
        approval_timeout_s=replication.approval_timeout_s,
        retry_base_s=replication.retry_base_s,
        retry_cap_s=replication.retry_cap_s,
        replication=ReplicationSettings(batch_timeout_s=replication.batch_timeout_s),
    )
    return TaskNode(
        owner=_owner("task-node"), ports=ports, settings=TaskNodeSettings(driver=driver)
    )


# --- wrapping ----------------------------------------------------------------------------------


def actor_class(subject: type, build: Callable[[NodeConfig], Any]) -> type:
    """A class with the public coroutine methods of ``subject``, built inside the actor's process."""

    class Shell:
        def __init__(self, config: NodeConfig) -> None:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
            self._subject = build(config)

        async def ping(self) -> int:
            """The process id, once the constructor is through."""
            return os.getpid()

    def forward(name: str) -> Callable[..., Any]:
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await getattr(self._subject, name)(*args, **kwargs)

        return method

    for name, _ in inspect.getmembers(subject, inspect.iscoroutinefunction):
        if not name.startswith("_"):
            setattr(Shell, name, forward(name))
    Shell.__name__ = Shell.__qualname__ = subject.__name__
    return Shell


_CPU_SHARE = 0.001
"""Actors wait most of the time and do their work in threads; encode tasks are what Ray counts.
Not 0: Ray starts actors that ask for no CPU one after the other."""


ROLES: dict[str, tuple[type, Callable[[NodeConfig], Any]]] = {
    "job_store": (SqliteJobStore, build_job_store),
    "signer": (Signer, build_signer),
    "p2p": (P2P, build_p2p),
    "receiver": (Receiver, build_receiver),
    "uploader": (GatewayServer, build_uploader),
    "task_node": (TaskNode, build_task_node),
}


def create_actor(name: str, role: str, config: NodeConfig) -> Any:
    """A named actor that Ray starts again whenever its process dies; returns its handle."""
    shell = ray.remote(actor_class(*ROLES[role]))
    options = shell.options(name=name, num_cpus=_CPU_SHARE, max_restarts=-1, max_concurrency=1000)
    return options.remote(config)


def create_actors(config: NodeConfig) -> dict[str, Any]:
    """All actors of the network, side by side; handles by name."""
    names = {role: role for role in ROLES if role != "receiver"}
    names |= {receiver_name(i): "receiver" for i in range(config.settings.replication.receivers)}
    return {name: create_actor(name, role, config) for name, role in names.items()}
