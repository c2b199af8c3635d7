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
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from actors.gateway import Binding, Gateway, GatewaySettings
from actors.job_driver import DriverPorts, DriverSettings
from actors.p2p import P2P
from actors.ports import ReceiverPort
from actors.provider_book import ProviderBook
from actors.receiver import Receiver
from actors.receiver_directory import ReceiverDirectory
from actors.replication import ReplicationSettings
from actors.seal_queue import QueueSettings
from actors.secondaries import Directory
from actors.signer import Signer, SignerSettings
from actors.task_node import TaskNode, TaskNodeSettings
from actors.uploader import Uploader, UploaderSettings
from actors.uploader_node import UploaderNode
from chain.client import RpcChainClient
from chain.dialects import get_dialect
from chain.keystore import KeyRing
from cluster.journal_freeze import after_commit_from_environment
from cluster.ray_ports import RayEncoder, RayObjectSpace, named_port
from cluster.settings import Settings
from cluster.state_dir import StateDir
from coding.codec import get_codec
from storage.file_store import FilePieceStore
from storage.ports import PieceStore
from storage.sqlite_store import SqliteJobStore


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What the actors of one network need to know; everything else they ask each other."""

    settings: Settings
    state_root: Path
    chain_endpoint: str
    keys_file: Path
    hosted: tuple[str, ...]
    """Operator addresses of the SPs of this network."""

    @property
    def state(self) -> StateDir:
        return StateDir(self.state_root)

    def piece_stores(self, served: Collection[str]) -> dict[str, PieceStore]:
        durable = self.settings.durable
        return {sp: FilePieceStore(self.state.pieces(sp), durable=durable) for sp in served}

    def receivers(self) -> dict[str, ReceiverPort]:
        """The Receiver of every hosted SP, by operator address."""
        count = self.settings.replication.receivers
        return {
            sp: named_port(receiver_name(index % count)) for index, sp in enumerate(self.hosted)
        }

    def served_by_receiver(self, index: int) -> tuple[str, ...]:
        return self.hosted[index :: self.settings.replication.receivers]


def receiver_name(index: int) -> str:
    return f"receiver-{index}"


def _owner(role: str) -> str:
    """A name that no other process has ever had."""
    return f"{role}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


# --- builders ----------------------------------------------------------------------------------


def build_chain(config: NodeConfig) -> RpcChainClient:
    return RpcChainClient(config.chain_endpoint, get_dialect(config.settings.chain.dialect))


def build_job_store(config: NodeConfig) -> SqliteJobStore:
    return SqliteJobStore.open(
        config.state.job_store_file, after_commit=after_commit_from_environment()
    )


def build_signer(config: NodeConfig) -> Signer:
    settings = config.settings.chain
    return Signer(
        chain=named_port("chain"),
        store=named_port("job_store"),
        keys=KeyRing.from_key_file(config.keys_file),
        dialect=get_dialect(settings.dialect),
        settings=SignerSettings(queue=QueueSettings(timeout_blocks=settings.seal_timeout_blocks)),
    )


def build_p2p(config: NodeConfig) -> P2P:
    return P2P(
        hosted=config.hosted,
        providers=ProviderBook(named_port("chain"), time.time),
        signer=named_port("signer"),
        clock=time.time,
    )


def build_receiver(config: NodeConfig, index: int) -> Receiver:
    return Receiver(
        chain=named_port("chain"),
        job_store=named_port("job_store"),
        piece_stores=config.piece_stores(config.served_by_receiver(index)),
        signer=named_port("signer"),
        clock=time.time,
    )


def build_uploader(config: NodeConfig, bindings: tuple[Binding, ...]) -> UploaderNode:
    settings = config.settings
    budget = settings.budget
    chain = named_port("chain")
    job_store = named_port("job_store")
    signer = named_port("signer")
    piece_stores = config.piece_stores(config.hosted)
    space = RayObjectSpace()
    uploader = Uploader(
        job_store=job_store,
        piece_stores=piece_stores,
        object_space=space,
        signer=signer,
        waker=named_port("task_node"),
        owner=_owner("uploader"),
        settings=UploaderSettings(
            batch_segments=settings.batch_segments,
            buffer_budget_bytes=budget.ingest_bytes,
            hot_budget_bytes=budget.hot_columns_bytes,
            deadline_s=settings.replication.deadline_s,
        ),
    )
    gateway = Gateway(
        bindings=bindings,
        chain=chain,
        uploader=uploader,
        job_store=job_store,
        piece_stores=piece_stores,
        signer=signer,
        receiver=ReceiverDirectory(config.receivers()),
        receiver_space=space,
        settings=GatewaySettings(
            idle_timeout_s=settings.gateway.idle_timeout_s,
            download_budget_bytes=budget.download_bytes,
        ),
    )
    return UploaderNode(uploader, gateway)


def build_task_node(config: NodeConfig) -> TaskNode:
    settings = config.settings
    space = RayObjectSpace()
    codec = get_codec(settings.codec)
    replication = settings.replication
    ports = DriverPorts(
        job_store=named_port("job_store"),
        piece_stores=config.piece_stores(config.hosted),
        approvals=named_port("p2p"),
        secondaries=Directory(config.receivers(), space),
        sealer=named_port("signer"),
        encoder=RayEncoder(codec.name),
        object_space=space,
        hot_columns=named_port("uploader"),
        providers=ProviderBook(named_port("chain"), time.time),
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


def actor_class(subject: type, build: Callable[..., Any]) -> type:
    """A class with the public coroutine methods of ``subject``, built inside the actor."""

    class Shell:
        def __init__(self, *args: Any) -> None:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
            self._subject = build(*args)

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


def create_actor(name: str, subject: type, build: Callable[..., Any], *args: Any) -> Any:
    """A named actor that Ray starts again whenever its process dies; returns its handle."""
    shell: Any = ray.remote(actor_class(subject, build))
    options = shell.options(name=name, num_cpus=_CPU_SHARE, max_restarts=-1, max_concurrency=1000)
    return options.remote(*args)


def create_chain_actor(config: NodeConfig) -> Any:
    """The one process that speaks to the chain's node: the library it does so with costs every
    process that imports it a second and 50 MB."""
    return create_actor("chain", RpcChainClient, build_chain, config)


def create_actors(config: NodeConfig) -> dict[str, Any]:
    """Everything that does not need to know where the gateways listen; handles by name."""
    handles = {
        "job_store": create_actor("job_store", SqliteJobStore, build_job_store, config),
        "signer": create_actor("signer", Signer, build_signer, config),
        "p2p": create_actor("p2p", P2P, build_p2p, config),
        "task_node": create_actor("task_node", TaskNode, build_task_node, config),
    }
    for index in range(config.settings.replication.receivers):
        name = receiver_name(index)
        handles[name] = create_actor(name, Receiver, build_receiver, config, index)
    return handles


def create_uploader(config: NodeConfig, bindings: tuple[Binding, ...]) -> Any:
    return create_actor("uploader", UploaderNode, build_uploader, config, bindings)
