"""What is too much at a time is told to come later, before a byte of it is read; who was told so
comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from greenray.actors.credit.settings import LendingSettings
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.uploader.payload_source import ReferencedPayload
from greenray.actors.uploader.settings import UploaderSettings
from greenray.chain.crypto import address_of
from greenray.client.gateway_session import GatewaySession
from greenray.client.payload_io import OutgoingPayload, opened
from greenray.protocol.errors import Overloaded
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.job import JobState
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.request_query import RequestQuery
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import Buffer, ColumnKey
from tests.support.gateway_rig import Answer, GatewayRig
from tests.support.sps import test_key

PAYLOAD = bytes(range(256)) * 20
LARGE = bytes(3 << 20)


class HeldPayload:
    """A body whose first byte is sent and whose rest waits for ``goes_on``."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self.goes_on = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._payload[:1]
        await self.goes_on.wait()
        yield self._payload[1:]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    settings = GatewaySettings(
        max_uploads=2,
        max_downloads=1,
        place_wait_s=0.1,
        max_waiting_jobs=3,
        retry_after_s=1,
        take_over_bytes=1 << 20,
    )
    rig = await GatewayRig.create(tmp_path, settings=settings)
    yield rig
    await rig.close()


async def held_uploads(
    rig: GatewayRig, count: int
) -> list[tuple[HeldPayload, asyncio.Task[Answer]]]:
    """Uploads that have begun and do not go on."""
    held = []
    for number in range(count):
        info = rig.create_object(PAYLOAD, f"held-{number}")
        path = f"/album/held-{number}"
        body = HeldPayload(PAYLOAD)
        sent = rig.send("PUT", path, "", rig.signed("PUT", path), aiter(body))
        held.append((body, asyncio.create_task(sent)))
        while True:
            if await rig.job(info) is not None:
                break
            await asyncio.sleep(0.01)
    return held


def assert_told_to_come_later(answer: Answer, what: str) -> None:
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.body.startswith(
        b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>"
    )
    error = json.loads(answer.headers["X-Greenray-Error"])
    assert error["reason"] == "overloaded"
    assert error["retryable"]
    assert what in error["message"]


async def test_one_upload_too_many_leaves_no_trace_and_is_taken_later(rig: GatewayRig) -> None:
    held = await held_uploads(rig, 2)
    info = rig.create_object(PAYLOAD)
    answer = await rig.put("/album/photo", PAYLOAD)
    assert_told_to_come_later(answer, "2 uploads are being received")
    assert await rig.job(info) is None
    for body, sent in held:
        body.goes_on.set()
        assert (await sent).status == 200
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200


async def test_one_account_leaves_places_for_others(tmp_path: Path) -> None:
    rig = await GatewayRig.create(
        tmp_path, settings=GatewaySettings(max_uploads=8, lending=LendingSettings(0.5, 1.0))
    )
    other_key = test_key("user-1")
    rig.chain.add_account(address_of(other_key))
    rig.chain.add_bucket(address_of(other_key), "diary", rig.sp.address)
    held = await held_uploads(rig, 7)
    rig.create_object(PAYLOAD)
    answer = await rig.put("/album/photo", PAYLOAD)
    assert_told_to_come_later(answer, "at most, and this client has its share")
    info = rig.create_object(PAYLOAD, "day", bucket="diary")
    answer = await rig.put("/diary/day", PAYLOAD, key=other_key)
    assert answer.status == 200
    assert await rig.job(info) is not None
    for body, sent in held:
        body.goes_on.set()
        assert (await sent).status == 200
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200
    await rig.close()


async def test_uploads_of_the_cluster_count_like_those_over_http(rig: GatewayRig) -> None:
    held = await held_uploads(rig, 2)
    headers = tuple(rig.signed("PUT", "/album/photo").items())
    host = rig.url("/album/photo").authority
    request = GatewayRequest(
        rig.sp.address, "", "PUT", "/album/photo", RequestQuery(), host, headers
    )
    with pytest.raises(Overloaded):
        await rig.gateway.put_payload(request, ReferencedPayload(rig.space, []))
    for body, sent in held:
        body.goes_on.set()
        await sent


async def test_who_sends_a_large_payload_is_told_in_the_middle_of_it(
    rig: GatewayRig, tmp_path: Path
) -> None:
    held = await held_uploads(rig, 2)
    rig.create_object(LARGE)
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    session = GatewaySession(str(rig.url("/").origin()), rig.user_key, patience_s=0)
    with opened(source) as (file, _), pytest.raises(Overloaded):
        async with session.request(
            "PUT",
            "/album/photo",
            headers={"Content-Length": str(len(LARGE))},
            data=OutgoingPayload(file, len(LARGE), lambda sent: None),
        ):
            pass
    await session.close()
    for body, put in held:
        body.goes_on.set()
        await put


async def test_a_client_that_was_told_to_come_later_comes_back(
    rig: GatewayRig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "greenray.client")
    held = await held_uploads(rig, 2)
    info = rig.create_object(LARGE)
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    session = GatewaySession(str(rig.url("/").origin()), rig.user_key)

    async def put() -> None:
        with opened(source) as (file, _):
            async with session.request(
                "PUT",
                "/album/photo",
                headers={"Content-Length": str(len(LARGE))},
                data=OutgoingPayload(file, len(LARGE), lambda sent: None),
            ):
                pass  # what is no error

    putting = asyncio.create_task(put())
    while True:
        if "uploads are being received" in caplog.text:
            break
        await asyncio.sleep(0.01)
    for body, sent in held:
        body.goes_on.set()
        await sent
    await putting
    await session.close()
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_DONE


async def test_while_too_many_objects_wait_for_their_seal_none_is_taken(tmp_path: Path) -> None:
    rig = await GatewayRig.create(tmp_path, settings=GatewaySettings(max_waiting_jobs=1))
    # How many wait is counted again once it is a second old; until then more are taken.
    for number in count():
        rig.create_object(PAYLOAD, f"photo-{number}")
        answer = await rig.put(f"/album/photo-{number}", PAYLOAD)
        if answer.status != 200:
            break
        await asyncio.sleep(0.1)
    assert_told_to_come_later(answer, "1 objects are not sealed yet")
    await rig.close()


class HeldStore(MemoryPieceStore):
    """Reading waits for ``goes_on``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()
        self.goes_on = threading.Event()

    def read_into(
        self, key: ColumnKey, layout: ColumnLayout, offset: int, buffers: Sequence[Buffer]
    ) -> None:
        self.is_read.set()
        self.goes_on.wait()
        super().read_into(key, layout, offset, buffers)


async def test_one_download_too_many_is_told_to_come_later(rig: GatewayRig) -> None:
    store = rig.stores[rig.sp.address] = HeldStore()
    await rig.stored_object(PAYLOAD)
    get = ("GET", "/album/photo", "", rig.signed("GET", "/album/photo"))
    slow = asyncio.create_task(rig.send(*get))
    await asyncio.to_thread(store.is_read.wait)
    assert_told_to_come_later(await rig.send(*get), "1 downloads are being sent")
    store.goes_on.set()
    assert (await slow).body == PAYLOAD
    assert (await rig.send(*get)).body == PAYLOAD


async def test_requests_on_too_many_connections_are_told_to_come_later(tmp_path: Path) -> None:
    rig = await GatewayRig.create(tmp_path, settings=GatewaySettings(max_connections=2))
    port = rig.gateway.port(rig.sp.address)
    busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for reader, writer in busy:  # those that ask for nothing would make room
        writer.write(b"POST /a/b HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n")
        assert b" 405 " in await reader.readuntil(b"\r\n\r\n")
    assert_told_to_come_later(await rig.send("GET", "/album/photo"), "2 connections are open")
    for _, writer in busy:
        writer.close()
        await writer.wait_closed()
    while True:
        if (await rig.send("GET", "/album/photo")).status != 503:
            break
        await asyncio.sleep(0.01)
    await rig.close()


async def test_a_connection_that_never_says_a_word_is_closed(tmp_path: Path) -> None:
    rig = await GatewayRig.create(tmp_path, settings=GatewaySettings(keepalive_timeout_s=0.1))
    port = rig.gateway.port(rig.sp.address)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    await rig.close()


async def test_a_slow_upload_is_put_off_when_a_fast_one_waits_for_its_memory(
    tmp_path: Path,
) -> None:
    budget_bytes = 1 << 16
    rig = await GatewayRig.create(
        tmp_path, uploader_settings=UploaderSettings(buffer_budget_bytes=budget_bytes)
    )
    [(_, slow)] = await held_uploads(rig, 1)
    info = rig.create_object(PAYLOAD)
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200
    assert_told_to_come_later(await slow, "others wait for the memory that this slow upload holds")
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_DONE
    assert not list(rig.store.list_unfinished())
    assert (await rig.put("/album/held-0", PAYLOAD)).status == 200
    await rig.close()


async def test_a_slow_upload_that_nobody_waits_for_is_taken(tmp_path: Path) -> None:
    rig = await GatewayRig.create(tmp_path)
    [(body, slow)] = await held_uploads(rig, 1)
    assert (await rig.put("/album/held-0", PAYLOAD)).status == 403, "it is being uploaded"
    rig.create_object(PAYLOAD)
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200
    body.goes_on.set()
    assert (await slow).status == 200
    await rig.close()
