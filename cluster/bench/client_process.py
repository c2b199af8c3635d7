"""The client of the measured network, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.client import RpcChainClient
from chain.dialects import get_dialect
from cluster.bench.child import Handler, Tell
from cluster.client import StorageClient
from cluster.demo import sha256_of
from cluster.progress import Progress, Stage
from cluster.state_dir import NetworkFile
from cluster.user import open_client
from protocol.job import JobState
from protocol.objects import StorageParams

BUCKET = "bench"


@dataclass(frozen=True, slots=True)
class Put:
    """Answered by a ``PutTimes``; ``UploadBegins`` is told in between."""

    source: Path
    object_name: str


@dataclass(frozen=True, slots=True)
class Get:
    """Answered by the SHA-256 (hex) of what came; the file is gone again by then."""

    object_name: str
    target: Path


@dataclass(frozen=True, slots=True)
class AskParams:
    """Answered by the chain's ``StorageParams``."""


@dataclass(frozen=True, slots=True)
class UploadBegins:
    """Hashing and creating are done, the request that carries the payload is made now."""


@dataclass(frozen=True, slots=True)
class PutTimes:
    """Durations of the client's own work before, then unix times, all in seconds.

    ``uploading_at`` is just before the first payload byte is sent; ``stored_at`` and the later ones
    are from the job's history.
    """

    hashing_s: float
    creating_s: float
    uploading_at: float
    answered_at: float
    stored_at: float
    replicated_at: float
    sealed_at: float


@asynccontextmanager
async def client_service(network: NetworkFile) -> AsyncIterator[Handler]:
    async with open_client(network) as client:

        async def handle(message: Any, tell: Tell) -> Any:
            match message:
                case Put(source, object_name):
                    return await _put(client, source, object_name, tell)
                case Get(object_name, target):
                    await client.get(BUCKET, object_name, target)
                    digest = sha256_of(target)
                    target.unlink()
                    return digest
                case AskParams():
                    return await _params(network)
            raise TypeError(type(message))

        yield handle


async def _params(network: NetworkFile) -> StorageParams:
    chain = RpcChainClient(network.chain_endpoint, get_dialect(network.dialect))
    try:
        return await chain.storage_params()
    finally:
        await chain.close()


async def _put(client: StorageClient, source: Path, object_name: str, tell: Tell) -> PutTimes:
    size_bytes = source.stat().st_size  # noqa: ASYNC240 - one call
    at: dict[str, float] = {}

    def on_progress(progress: Progress) -> None:
        if progress.stage is not Stage.UPLOAD:
            return
        if progress.done == 0:
            at["uploading"] = time.time()
            tell(UploadBegins())
        elif progress.done == size_bytes:
            at["answered"] = time.time()

    put = await client.put(source, BUCKET, object_name, on_progress=on_progress)
    reached = {entry["state"]: entry["at"] for entry in put.status["history"]}
    return PutTimes(
        hashing_s=put.seconds[Stage.HASHING],
        creating_s=put.seconds[Stage.CREATING],
        uploading_at=at["uploading"],
        answered_at=at["answered"],
        stored_at=reached[JobState.UPLOAD_OBJECT_DONE.name],
        replicated_at=reached[JobState.REPLICATE_OBJECT_DONE.name],
        sealed_at=reached[JobState.SEAL_OBJECT_DONE.name],
    )
