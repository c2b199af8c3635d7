"""The client of the measured network, in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from greenray.bench.child import Handler, Tell
from greenray.bench.uploads import BUCKET, BenchClient, ObjectTimes
from greenray.client.network_file import NetworkFile
from greenray.client.put_entries import PutEntry
from greenray.client.put_many import PutMany
from greenray.client.storage_client import StorageClient
from greenray.client.user import open_client, open_client_of, user_key
from greenray.protocol.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class PutObjects:
    """Create all, then upload ``source`` as each of them, so many at once, and wait for the seals;
    ``laid_out``: from the object store, which holds it before anything is timed.

    Answered by ``PutTimes``; ``UploadBegins`` and ``UploadAnswered`` are told in between.
    """

    source: Path
    object_names: tuple[str, ...]
    at_once: int = 1
    laid_out: bool = False


@dataclass(frozen=True, slots=True)
class PutAct:
    """Put ``source`` as each of them as one act, their creation included, as any user's client
    does. Answered by the seconds until the last is sealed."""

    source: Path
    object_names: tuple[str, ...]
    bucket_name: str = BUCKET


@dataclass(frozen=True, slots=True)
class GetObject:
    """Answered by (seconds, SHA-256 as hex) of a download into memory; hashing is not timed."""

    object_name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PutToFloor:
    """Upload ``source`` to the plain process at ``endpoint``; answered by the seconds."""

    endpoint: str
    source: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GetFromFloor:
    """As ``GetObject``, of what the plain process at ``endpoint`` has."""

    endpoint: str
    size_bytes: int
    path: str


@dataclass(frozen=True, slots=True)
class AskTimeline:
    """Answered by the timeline of an object as JSON has it."""

    object_name: str


@dataclass(frozen=True, slots=True)
class AskParams:
    """Answered by the chain's ``StorageParams``."""


@dataclass(frozen=True, slots=True)
class UploadBegins:
    """Hashing and creating are done, the request that carries the first payload is made now."""


@dataclass(frozen=True, slots=True)
class UploadAnswered:
    """The last upload is answered; replication and seals may go on."""


@dataclass(frozen=True, slots=True)
class PutTimes:
    """Durations in seconds of the client's own work before, then every object's times and id."""

    hashing_s: float
    creating_s: float
    objects: tuple[ObjectTimes, ...]
    object_ids: tuple[int, ...]


@asynccontextmanager
async def client_service(network: NetworkFile) -> AsyncIterator[Handler]:
    async with BenchClient.opened(network) as client, open_client(network) as user:
        params = await client.chain.storage_params()
        buffers: dict[int, bytearray] = {}

        async def handle(message: Any, tell: Tell) -> Any:
            match message:
                case AskParams():
                    return params
                case AskTimeline(object_name):
                    return await client.timeline(object_name)
                case PutObjects():
                    return await _put(client, message, tell)
                case PutAct():
                    return await _put_act(user, message)
                case PutToFloor(endpoint, source, size_bytes):
                    return await client.upload_to(endpoint, source, size_bytes)
                case GetObject() | GetFromFloor():
                    size_bytes = message.size_bytes
                    if size_bytes not in buffers:
                        buffers[size_bytes] = bytearray(size_bytes)
                    return _get(client, message, buffers[size_bytes])
            raise TypeError(type(message))

        yield handle


@asynccontextmanager
async def user_service(network: NetworkFile, key: bytes | None) -> AsyncIterator[Handler]:
    """Another client: of the user whose private key is ``key``; None: of the network's own. Answers
    ``PutAct``."""
    async with open_client_of(network, key or user_key(network, None)) as user:

        async def handle(message: PutAct, tell: Tell) -> float:
            return await _put_act(user, message)

        yield handle


def _get(
    client: BenchClient, message: GetObject | GetFromFloor, buffer: bytearray
) -> tuple[float, str]:
    if isinstance(message, GetObject):
        seconds = client.fetch(message.object_name, buffer)
    else:
        seconds = client.fetch_from(message.endpoint, message.path, buffer)
    return seconds, sha256(buffer).hexdigest()


async def _put_act(user: StorageClient, act: PutAct) -> float:
    """Raises what one of them fails with."""
    began_at = time.perf_counter()
    entries = (PutEntry(act.source, f"{act.bucket_name}/{name}") for name in act.object_names)
    async for outcome in PutMany(user).outcomes(entries):
        if outcome.error is not None:
            raise outcome.error
    return time.perf_counter() - began_at


async def _put(client: BenchClient, message: PutObjects, tell: Tell) -> PutTimes:
    if message.laid_out:
        await asyncio.to_thread(client.lay_out, message.source)
    began_at = time.perf_counter()
    params = await client.chain.storage_params()
    checksums = await client.checksums(message.source, params)
    hashed_at = time.perf_counter()
    infos = await client.create(message.object_names, checksums)
    created_at = time.perf_counter()
    at_once = asyncio.Semaphore(message.at_once)

    async def upload(info: ObjectInfo) -> tuple[float, float]:
        async with at_once:
            return await client.upload(info, message.source, laid_out=message.laid_out)

    tell(UploadBegins())
    uploaded = await asyncio.gather(*map(upload, infos))
    tell(UploadAnswered())
    # One after the other: when the first is sealed, most of the others are.
    objects = [
        await client.sealed(info, times) for info, times in zip(infos, uploaded, strict=True)
    ]
    object_ids = tuple(info.id for info in infos)
    return PutTimes(hashed_at - began_at, created_at - hashed_at, tuple(objects), object_ids)
