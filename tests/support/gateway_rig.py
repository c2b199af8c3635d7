"""A real Gateway on an ephemeral port, over real stores and a fake chain."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from greenray.actors.downloader.actor import Downloader
from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.gateway.lists import ListAnswers
from greenray.actors.gateway.server import Binding, Gateway
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.ports import IndexFollower, ReceiverPort, TaskWaker
from greenray.actors.uploader.actor import Uploader
from greenray.actors.uploader.settings import UploaderSettings
from greenray.chain.crypto import address_of, keccak256, sign_digest
from greenray.chain.dialects import get_dialect
from greenray.coding.checksums import hash_payload
from greenray.coding.codec import get_codec
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.http_auth import (
    canonical_request,
    encode_path,
    format_authorization,
    message_to_sign,
)
from greenray.protocol.job import JobContext
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo, RedundancyType, StorageParams
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey, PieceStore
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.fake_chain import FakeChain
from tests.support.faulty_secondaries import NoPieces
from tests.support.payloads import ShortReader
from tests.support.spaces import MemorySpace
from tests.support.sps import KeySigner, SpKeys, test_key

PARAMS = StorageParams(max_segment_size_bytes=1000)
DATE = "20230515T080000Z"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class SwitchableWaker(TaskWaker):
    """``failing`` stands for a dead task node."""

    def __init__(self) -> None:
        self.woken = 0
        self.failing = False
        self.followed = asyncio.Event()

    async def wake(self) -> None:
        if self.failing:
            raise ConnectionError("the task node is down")
        self.woken += 1

    async def follow_upload(self, job: JobContext) -> None:
        if self.failing:
            raise ConnectionError("the task node is down")
        self.followed.set()


class CountingFollower(IndexFollower):
    """``failing`` stands for a dead collector; the index is what a test has put into it."""

    def __init__(self) -> None:
        self.followed = 0
        self.failing = False

    async def follow(self) -> None:
        self.followed += 1
        if self.failing:
            raise ComponentUnavailable("the collector is down", "collector", "Try again")


@dataclass
class GatewayRig:
    """``sp`` is hosted with a bucket ``album`` of ``user``; ``other_sp`` is hosted beside it."""

    folder: Path
    job_store: SqliteJobStore
    sp: SpKeys = field(default_factory=lambda: SpKeys.numbered(0))
    other_sp: SpKeys = field(default_factory=lambda: SpKeys.numbered(1))
    user_key: bytes = field(default_factory=lambda: test_key("user"))
    params: StorageParams = PARAMS
    chain: FakeChain = field(init=False)
    stores: dict[str, PieceStore] = field(default_factory=dict)
    space: MemorySpace = field(default_factory=MemorySpace)
    waker: SwitchableWaker = field(default_factory=SwitchableWaker)
    follower: CountingFollower = field(default_factory=CountingFollower)
    receiver: ReceiverPort | None = None
    uploader: Uploader = field(init=False)
    downloader: Downloader = field(init=False)
    gateway: Gateway = field(init=False)
    http: aiohttp.ClientSession = field(init=False)

    @classmethod
    async def create(
        cls,
        folder: Path,
        *,
        settings: GatewaySettings | None = None,
        downloader_settings: DownloaderSettings | None = None,
        uploader_settings: UploaderSettings | None = None,
        domain: str = "",
        sp: SpKeys | None = None,
        params: StorageParams = PARAMS,
        make_receiver: Callable[[GatewayRig], ReceiverPort] | None = None,
    ) -> GatewayRig:
        rig = cls(folder, SqliteJobStore.open(folder / "jobs.db"))
        rig.sp = sp or rig.sp
        rig.params = params
        sps = [rig.sp, rig.other_sp]
        rig.chain = FakeChain([sp.provider() for sp in sps], params)
        rig.chain.add_account(rig.user)
        rig.chain.add_bucket(rig.user, "album", rig.sp.address)
        rig.stores = {sp.address: MemoryPieceStore() for sp in sps}
        signer = KeySigner(sps)
        rig.uploader = Uploader(
            job_store=rig.job_store,
            piece_stores=rig.stores,
            object_space=rig.space,
            signer=signer,
            waker=rig.waker,
            owner="test",
            settings=uploader_settings
            or UploaderSettings(buffer_budget_bytes=1 << 20, ahead_after_bytes=0),
        )
        rig.receiver = make_receiver(rig) if make_receiver else None
        rig.downloader = Downloader(
            chain=rig.chain,
            job_store=rig.job_store,
            piece_stores=rig.stores,
            pieces=NoPieces(),
            codec=get_codec,
            records=RecordMaker(rig.job_store, signer, get_dialect()),
            settings=downloader_settings,
        )
        rig.gateway = Gateway(
            bindings=[Binding(sp.address, domain=domain) for sp in sps],
            chain=rig.chain,
            uploader=rig.uploader,
            downloader=rig.downloader,
            job_store=rig.job_store,
            ledger=rig.job_store,
            user_keys=rig.job_store,
            signer=signer,
            dialect=get_dialect(),
            lists=ListAnswers(rig.job_store, rig.follower, rig.chain),
            receiver=rig.receiver,
            settings=settings,
        )
        await rig.gateway.start()
        rig.http = aiohttp.ClientSession(auto_decompress=False)
        return rig

    async def close(self) -> None:
        await self.http.close()
        await self.gateway.close()
        await self.downloader.close()
        await self.uploader.close()
        await self.job_store.close()

    # --- the world -----------------------------------------------------------------------------

    @property
    def user(self) -> str:
        return address_of(self.user_key)

    @property
    def store(self) -> PieceStore:
        return self.stores[self.sp.address]

    def create_object(
        self,
        payload: bytes,
        name: str = "photo",
        *,
        bucket: str = "album",
        replica: bool = False,
        **kwargs: Any,
    ) -> ObjectInfo:
        """Put an object with the payload's checksums on chain."""
        checksums = hash_payload(
            ShortReader(payload, 1 << 16),
            self.params.max_segment_size_bytes,
            self.params.k,
            self.params.m,
            get_codec("numpy"),
            replica=replica,
        )
        kind = RedundancyType.of(replica=replica)
        return self.chain.add_object(
            bucket,
            name,
            len(payload),
            checksums.integrity_hashes,
            redundancy_type=kind,
            **kwargs,
        )

    async def stored_object(self, payload: bytes, name: str = "photo") -> ObjectInfo:
        """An object that is uploaded and sealed."""
        self.create_object(payload, name)
        answer = await self.put(f"/album/{name}", payload)
        assert answer.status == 200, answer
        return self.chain.seal_object("album", name)

    async def job(self, info: ObjectInfo) -> JobContext | None:
        return await self.job_store.get_job(self.sp.address, info.id)

    def nothing_is_stored(self) -> bool:
        return not list(self.store.list_columns()) and not list(self.store.list_unfinished())

    def corrupt_segment(self, info: ObjectInfo, payload: bytes, position: int) -> None:
        """Flip a bit of the stored column, behind everyone's back."""
        damaged = bytearray(payload)
        damaged[position] ^= 1
        layout = PayloadLayout.of(info, self.params).segments
        writer = self.store.create(ColumnKey(info.id, SEGMENTS), layout)
        writer.append([memoryview(damaged)])
        writer.finish()

    # --- requests ------------------------------------------------------------------------------

    def url(self, path: str, query: str = "", sp: SpKeys | None = None) -> URL:
        port = self.gateway.port((sp or self.sp).address)
        tail = f"?{query}" if query else ""
        return URL(f"http://127.0.0.1:{port}{encode_path(path)}{tail}", encoded=True)

    def signed(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        key: bytes | None = None,
        host: str = "",
        sp: SpKeys | None = None,
    ) -> dict[str, str]:
        """Headers with the authorization of ``key`` (default: the user's)."""
        authority = self.url(path, sp=sp).authority
        all_headers = {
            "Host": host or authority,
            "Content-Type": "application/octet-stream",
            "X-Gnfd-Content-Sha256": hashlib.sha256(b"").hexdigest(),
            "X-Gnfd-Date": DATE,
            **(headers or {}),
        }
        canonical = canonical_request(method, path, query, all_headers.items(), all_headers["Host"])
        message = message_to_sign(canonical, keccak256)
        signature = sign_digest(key or self.user_key, message)
        return {**all_headers, "Authorization": format_authorization(message, signature)}

    async def send(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        sp: SpKeys | None = None,
    ) -> Answer:
        """A request exactly as given."""
        async with self.http.request(
            method,
            self.url(path, query, sp),
            headers=headers,
            data=body,
            skip_auto_headers=["User-Agent", "Content-Type"],
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, query: str = "", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("GET", path, query, self.signed("GET", path, query, named))

    async def put(self, path: str, payload: bytes, *, key: bytes | None = None) -> Answer:
        return await self.send("PUT", path, "", self.signed("PUT", path, key=key), payload)


async def stream(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def code_of(answer: Answer) -> str:
    """The code of an error answer, whose Content-Length must be right."""
    text = answer.body.decode()
    assert answer.headers["Content-Type"] == "application/xml"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert text.startswith("<Error><Code>")
    assert text.endswith("</RequestId></Error>")
    return text.removeprefix("<Error><Code>").partition("<")[0]
