"""What the client of a measured network does: objects are created together first, then uploaded
side by side, then waited for."""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.rpc.client import RpcChainClient
from greenray.client.creation import Creator, PutOptions
from greenray.client.gateway_session import GatewaySession, error_for_reason
from greenray.client.network_file import NetworkFile
from greenray.client.payload_io import OutgoingPayload
from greenray.coding.checksums import PayloadChecksums, hash_payload
from greenray.coding.codec import get_codec
from greenray.protocol.errors import BadAnswer, GreenrayError, NoSuchBucket, WrongObjectStatus
from greenray.protocol.job import JobState
from greenray.protocol.objects import ObjectInfo, StorageParams

BUCKET = "bench"
PATH_OF_NO_OBJECT = "/payload"
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class ObjectTimes:
    """Unix times in seconds. ``uploading_at`` is just before the first payload byte is sent;
    ``stored_at`` and the later ones are from the job's history."""

    uploading_at: float
    answered_at: float
    stored_at: float
    replicated_at: float
    sealed_at: float


class BenchClient:
    """The network's own user at its first SP."""

    def __init__(self, network: NetworkFile) -> None:
        dialect = get_dialect(network.dialect)
        first = network.gateways[0]
        keys = Path(network.keys) if network.keys else None
        key = KeyRing.open(keys, os.environ).user_key(network.user_key_name)
        self.chain = RpcChainClient(network.chain_endpoint, dialect)
        self._network = network
        self._sp_address = first.operator_address
        self._laid_out: dict[tuple[Path, int], Any] = {}
        """Blocks by file, and by when it was written: another run may have another one there."""
        self._endpoint = first.endpoint
        self._key = key
        self._session = GatewaySession(first.endpoint, key)
        self._creator = Creator(self.chain, dialect, key)

    @classmethod
    @asynccontextmanager
    async def opened(cls, network: NetworkFile) -> AsyncIterator[BenchClient]:
        """Raises KeyMissing."""
        client = cls(network)
        try:
            yield client
        finally:
            await client._creator.close()
            await client._session.close()
            await client.chain.close()

    async def checksums(self, source: Path, params: StorageParams) -> PayloadChecksums:
        def work() -> PayloadChecksums:
            with source.open("rb", buffering=0) as file:
                return hash_payload(
                    file, params.max_segment_size_bytes, params.k, params.m, get_codec()
                )

        return await asyncio.to_thread(work)

    async def create(
        self, object_names: Sequence[str], checksums: PayloadChecksums
    ) -> list[ObjectInfo]:
        """All of one payload. Raises: TransactionRefused, TransactionFailed, ChainError, ..."""
        await self._make_bucket()
        return await asyncio.gather(
            *(
                self._creator.create_object(self._session, BUCKET, name, checksums, PutOptions())
                for name in object_names
            )
        )

    async def _make_bucket(self) -> None:
        try:
            await self.chain.head_bucket(BUCKET)
        except NoSuchBucket:
            await self._creator.create_bucket(self._session, BUCKET, self._sp_address, PutOptions())

    def lay_out(self, source: Path) -> None:
        """Put ``source`` into the object store, for ``upload`` from there."""
        if _version(source) in self._laid_out:
            return
        # Ray is for this way of putting only, and a client without it costs less.
        from greenray.cluster.on_ray.payload import ReferencedBlocks, attached, stored_blocks

        attached(self._network)
        blocks = ReferencedBlocks(stored_blocks(source), self._network)
        self._laid_out[_version(source)] = blocks

    async def upload(
        self, info: ObjectInfo, source: Path, *, laid_out: bool = False
    ) -> tuple[float, float]:
        """(unix time before the first byte, unix time of the answer); ``laid_out``: from the
        object store."""
        headers = {"Content-Length": str(info.payload_size), "Content-Type": info.content_type}
        if laid_out:
            began_at = time.time()
            request = self._session.signed_request(
                self._sp_address, "PUT", f"/{info.name}", headers
            )
            await self._laid_out[_version(source)].send(self._endpoint, request)
            return began_at, time.time()
        return await _put_file(self._session, f"/{info.name}", headers, source)

    async def upload_to(self, endpoint: str, source: Path, size_bytes: int) -> float:
        """The same request to a server that is no gateway; seconds until its answer."""
        session = GatewaySession(endpoint, self._key)
        try:
            headers = {"Content-Length": str(size_bytes)}
            began_at, answered_at = await _put_file(session, PATH_OF_NO_OBJECT, headers, source)
        finally:
            await session.close()
        return answered_at - began_at

    async def sealed(self, info: ObjectInfo, uploaded: tuple[float, float]) -> ObjectTimes:
        """Wait for it. Raises what the job failed with."""
        while True:
            status = await self._status(info)
            if status["state_number"] == JobState.SEAL_OBJECT_DONE:
                break
            if status["final"]:
                raise _failure(status, info)
            await asyncio.sleep(_POLL_S)
        reached = {entry["state"]: entry["at"] for entry in status["history"]}
        return ObjectTimes(
            *uploaded,
            stored_at=reached[JobState.UPLOAD_OBJECT_DONE.name],
            replicated_at=reached[JobState.REPLICATE_OBJECT_DONE.name],
            sealed_at=reached[JobState.SEAL_OBJECT_DONE.name],
        )

    async def _status(self, info: ObjectInfo) -> Mapping[str, Any]:
        return await self._document(info.name, "job-status")

    async def timeline(self, object_name: str) -> Mapping[str, Any]:
        """As ``greenray status --timeline --json`` prints it. Raises NoTrace."""
        return await self._document(f"{BUCKET}/{object_name}", "job-timeline")

    async def _document(self, name: str, query: str) -> Mapping[str, Any]:
        async with self._session.request("GET", f"/{name}", f"{query}=") as answer:
            document: Mapping[str, Any] = await answer.document()
            return document

    def fetch(self, object_name: str, target: bytearray) -> float:
        """Download into ``target``, which has the object's size; seconds from request to last
        byte. A client of little cost: one blocking connection, no copies. Raises BadAnswer."""
        return self._fetch(self._endpoint, f"/{BUCKET}/{object_name}", target)

    def fetch_from(self, endpoint: str, path: str, target: bytearray) -> float:
        """The same from a server that is no gateway."""
        return self._fetch(endpoint, path, target)

    def _fetch(self, endpoint: str, path: str, target: bytearray) -> float:
        url = urlsplit(endpoint)
        headers = self._session.signed_headers("GET", path, "", {})
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80)
        view = memoryview(target)
        began_at = time.perf_counter()
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            while len(view):
                count = answer.readinto(view)
                if not count:
                    raise BadAnswer(f"HTTP {answer.status}, {len(view)} bytes are missing", path)
                view = view[count:]
            return time.perf_counter() - began_at
        finally:
            connection.close()


def _version(source: Path) -> tuple[Path, int]:
    return source, source.stat().st_mtime_ns


async def _put_file(
    session: GatewaySession, path: str, headers: Mapping[str, str], source: Path
) -> tuple[float, float]:
    """(unix time before the first byte, unix time of the answer)."""
    with source.open("rb", buffering=0) as file:
        payload = OutgoingPayload(file, int(headers["Content-Length"]), lambda sent: None)
        began_at = time.time()
        async with session.request("PUT", path, "", headers, payload):
            return began_at, time.time()


def _failure(status: Mapping[str, Any], info: ObjectInfo) -> GreenrayError:
    error = status["error"]
    if error is None:
        return WrongObjectStatus(f"the job ended in {status['state']}", info.name)
    return error_for_reason(error["reason"], error["message"], info.name)
