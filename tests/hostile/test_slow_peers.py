"""Peers that send and read as slowly as they can: they get slow service, the others all of
theirs."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp.streams import StreamReader

from greenray.actors.credit.settings import LendingSettings
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.uploader.settings import UploaderSettings
from greenray.chain.crypto import address_of
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.objects import StorageParams
from tests.support.gateway_rig import GatewayRig
from tests.support.slow_peers import RawRequest
from tests.support.sps import test_key

MIB = 1 << 20
ENOUGH_S = 30.0
"""Far beyond what any of this takes, and far below what slow peers can do."""
SEGMENT_BYTES = 16 * MIB
PARAMS = StorageParams(max_segment_size_bytes=SEGMENT_BYTES)
OTHER_KEY = test_key("user-1")


def create_object(rig: GatewayRig, bucket: str, name: str, payload: bytes) -> None:
    """With the payload's integrity hash on chain, and anything for those of its pieces."""
    segments = [payload[i : i + SEGMENT_BYTES] for i in range(0, len(payload), SEGMENT_BYTES)]
    digest = integrity_hash([hashlib.sha256(segment).digest() for segment in segments])
    rig.chain.add_object(bucket, name, len(payload), (digest,) * 7)


def with_another_user(rig: GatewayRig) -> None:
    """Who has a bucket ``diary``."""
    other = address_of(OTHER_KEY)
    rig.chain.add_account(other)
    rig.chain.add_bucket(other, "diary", rig.sp.address)


async def slow_put(
    rig: GatewayRig,
    name: str,
    declared_bytes: int,
    sent: bytes,
    bucket: str = "album",
    key: bytes | None = None,
) -> RawRequest:
    path = f"/{bucket}/{name}"
    rig.chain.add_object(bucket, name, declared_bytes, (bytes(32),) * 7)
    headers = rig.signed("PUT", path, headers={"Content-Length": str(declared_bytes)}, key=key)
    request = await RawRequest.begin("PUT", rig.url(path), headers)
    await request.send(sent)
    return request


async def jobs_have_begun(rig: GatewayRig, names: list[str], bucket: str = "album") -> None:
    for name in names:
        info = rig.chain.objects[bucket, name]
        while True:
            if await rig.job(info) is not None:
                break
            await asyncio.sleep(0.01)


async def test_eight_uploads_that_stand_still_take_nothing_from_others(tmp_path: Path) -> None:
    settings = UploaderSettings(ahead_after_bytes=1 << 40)
    rig = await GatewayRig.create(tmp_path, params=PARAMS, uploader_settings=settings)
    with_another_user(rig)
    names = [f"slow-{number}" for number in range(8)]
    slow = [await slow_put(rig, name, 256 * MIB, bytes(70_000)) for name in names]
    await jobs_have_begun(rig, names)
    for request in slow:
        await request.send(b"\0")
    payload = bytes(80 * MIB)  # two batches
    async with asyncio.timeout(ENOUGH_S):
        for number in range(3):
            create_object(rig, "diary", f"day-{number}", payload)
            answer = await rig.put(f"/diary/day-{number}", payload, key=OTHER_KEY)
            assert answer.status == 200
            create_object(rig, "diary", f"note-{number}", b"a line")
            answer = await rig.put(f"/diary/note-{number}", b"a line", key=OTHER_KEY)
            assert answer.status == 200
    assert not any(request.is_answered for request in slow), "slow service is service, too"
    for request in slow:
        await request.close()
    await rig.close()


async def test_who_has_got_memory_by_haste_and_then_stands_still_loses_it(tmp_path: Path) -> None:
    settings = UploaderSettings(ahead_after_bytes=1 << 40)
    rig = await GatewayRig.create(tmp_path, params=PARAMS, uploader_settings=settings)
    with_another_user(rig)
    names = [f"slow-{number}" for number in range(4)]
    slow = [await slow_put(rig, name, 256 * MIB, bytes(MIB)) for name in names]
    await jobs_have_begun(rig, names)
    payload = bytes(80 * MIB)
    async with asyncio.timeout(ENOUGH_S):
        create_object(rig, "diary", "day", payload)
        assert (await rig.put("/diary/day", payload, key=OTHER_KEY)).status == 200
    for request in slow:
        await request.close()
    await rig.close()


async def test_many_accounts_that_send_nothing_do_not_keep_the_places_of_uploads(
    tmp_path: Path,
) -> None:
    rig = await GatewayRig.create(
        tmp_path,
        params=PARAMS,
        settings=GatewaySettings(
            max_uploads=16,
            place_wait_s=ENOUGH_S,
            take_over_bytes=MIB,
            lending=LendingSettings(address_share=1.0),
        ),
        uploader_settings=UploaderSettings(ahead_after_bytes=1 << 40),
    )
    slow = []
    for number in range(16):
        key = test_key(f"user-{number + 2}")
        rig.chain.add_account(address_of(key))
        bucket = f"bucket-{number}"
        rig.chain.add_bucket(address_of(key), bucket, rig.sp.address)
        size_bytes = (1, 255 * MIB)[number % 2] + 9
        slow.append(await slow_put(rig, "slow", size_bytes, bytes(9), bucket, key))
        await jobs_have_begun(rig, ["slow"], bucket)
    with_another_user(rig)
    for number in range(2):
        create_object(rig, "diary", f"note-{number}", b"a line")
    async with asyncio.timeout(ENOUGH_S):
        answers = await asyncio.gather(
            *(rig.put(f"/diary/note-{number}", b"a line", key=OTHER_KEY) for number in range(2))
        )
    assert [answer.status for answer in answers] == [200, 200]
    ended = [request for request in slow if request.is_answered]
    assert len(ended) == 2, "no more than there were others who waited"
    for request in ended:
        assert " 503 " in (await request.head())[0]
    for request in slow:
        await request.close()
    await rig.close()


@pytest.mark.parametrize("size_bytes", [300_000, 5 * MIB])
async def test_an_upload_slower_than_memory_is_lent_for_is_stored_in_parts(
    tmp_path: Path, size_bytes: int
) -> None:
    rig = await GatewayRig.create(
        tmp_path,
        params=StorageParams(max_segment_size_bytes=MIB),
        uploader_settings=UploaderSettings(buffer_budget_bytes=4 * MIB, ahead_after_bytes=0),
        settings=GatewaySettings(take_over_bytes=1),
    )
    payload = bytes(range(256)) * (size_bytes // 256)
    info = rig.create_object(payload)
    headers = rig.signed("PUT", "/album/photo", headers={"Content-Length": str(len(payload))})
    request = await RawRequest.begin("PUT", rig.url("/album/photo"), headers)
    for start in range(0, len(payload), 200_000):
        await request.send(payload[start : start + 200_000])
        await asyncio.sleep(0.05)
    assert " 200 " in (await request.head())[0]
    assert await rig.job(info) is not None
    rig.chain.seal_object("album", "photo")
    assert (await rig.get("/album/photo")).body == payload
    await request.close()
    await rig.close()


async def stored_object(rig: GatewayRig, name: str, payload: bytes) -> None:
    create_object(rig, "album", name, payload)
    assert (await rig.put(f"/album/{name}", payload)).status == 200
    rig.chain.seal_object("album", name)


async def slow_get(rig: GatewayRig, name: str) -> RawRequest:
    """Of which the head was read."""
    path = f"/album/{name}"
    request = await RawRequest.begin(
        "GET", rig.url(path), rig.signed("GET", path), receive_buffer_bytes=64 * 1024
    )
    assert " 200 " in (await request.head())[0]
    return request


async def test_seven_readers_that_hardly_read_block_no_download(tmp_path: Path) -> None:
    rig = await GatewayRig.create(tmp_path, params=PARAMS)
    payload = b"".join(number.to_bytes(4, "big") * 256 for number in range(40 << 10))
    await stored_object(rig, "large", payload)
    await stored_object(rig, "small", payload[:5000])
    slow = [await slow_get(rig, "large") for _ in range(7)]
    begun = [await request.reader.readexactly(22_000) for request in slow]
    async with asyncio.timeout(ENOUGH_S):
        for _ in range(3):
            assert (await rig.get("/album/small")).body == payload[:5000]
            assert (await rig.get("/album/large")).body == payload
            part = await rig.get("/album/large", Range=f"bytes={SEGMENT_BYTES - 9}-{2 * MIB * 10}")
            assert part.body == payload[SEGMENT_BYTES - 9 : 2 * MIB * 10 + 1]
    # Far beyond what sockets had taken: slow service is service, too.
    rest = await slow[0].reader.readexactly(8 * MIB)
    assert begun[0] + rest == payload[: len(begun[0]) + len(rest)]
    for request in slow:
        await request.close()
    await rig.close()


async def test_readers_that_do_not_read_do_not_keep_the_places_of_downloads(tmp_path: Path) -> None:
    settings = GatewaySettings(
        max_downloads=4, place_wait_s=ENOUGH_S, lending=LendingSettings(1.0, 1.0)
    )
    rig = await GatewayRig.create(tmp_path, params=PARAMS, settings=settings)
    payload = bytes(20 * MIB)
    await stored_object(rig, "large", payload)
    await stored_object(rig, "small", payload[:5000])
    slow = [await slow_get(rig, "large") for _ in range(4)]
    async with asyncio.timeout(ENOUGH_S):
        assert (await rig.get("/album/small")).body == payload[:5000]
    for request in slow:
        await request.close()
    await rig.close()


async def test_uploads_that_wait_for_memory_hold_little_of_what_has_come(tmp_path: Path) -> None:
    lending = LendingSettings(memory_wait_s=ENOUGH_S)
    uploader_settings = UploaderSettings(buffer_budget_bytes=256 * 1024, lending=lending)
    rig = await GatewayRig.create(tmp_path, params=PARAMS, uploader_settings=uploader_settings)
    held = [await slow_put(rig, f"held-{number}", MIB // 2, bytes(9)) for number in range(2)]
    await jobs_have_begun(rig, ["held-0", "held-1"])
    rig.create_object(bytes(9 * MIB), "waits")
    headers = rig.signed("PUT", "/album/waits", headers={"Transfer-Encoding": "chunked"})
    waits = await RawRequest.begin("PUT", rig.url("/album/waits"), headers)
    sending = asyncio.create_task(waits.send((b"10000\r\n" + bytes(1 << 16) + b"\r\n") * 144))
    while True:
        waiting_bytes = [body._size for body in _bodies() if body._protocol._reading_paused]
        if max(waiting_bytes, default=0) > 96 * 1024:  # more than nobody asks for
            break
        await asyncio.sleep(0.01)
    assert max(waiting_bytes) <= 512 * 1024  # it was 2 MiB
    for request in (waits, *held):
        await request.close()
    await asyncio.gather(sending, return_exceptions=True)
    await rig.close()


def _bodies() -> list[Any]:
    """Those that requests of this process have; the HTTP library tells nobody what they hold."""
    return [thing for thing in gc.get_objects() if type(thing) is StreamReader]


async def test_a_slow_reader_gets_no_byte_that_was_changed_since_it_was_verified(
    tmp_path: Path,
) -> None:
    settings = DownloaderSettings(download_budget_bytes=SEGMENT_BYTES)
    rig = await GatewayRig.create(tmp_path, params=PARAMS, downloader_settings=settings)
    payload = bytes(SEGMENT_BYTES)
    await stored_object(rig, "large", payload)
    slow = await slow_get(rig, "large")
    async with asyncio.timeout(ENOUGH_S):
        # Had only once the slow reader goes on without memory.
        assert (await rig.get("/album/large")).body == payload
    rig.corrupt_segment(rig.chain.objects["album", "large"], payload, SEGMENT_BYTES - 1)
    got = bytearray()

    async def read_on() -> None:
        while True:
            got.extend(await slow.reader.readexactly(4096))

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await read_on()
    assert len(got) > MIB
    assert not any(got)
    await slow.close()
    await rig.close()
