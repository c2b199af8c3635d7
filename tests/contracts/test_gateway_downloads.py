"""GetObject over real HTTP: whole, by ranges, and never unverified (protocol 06 §3.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from greenray.actors.downloader.settings import DownloaderSettings
from greenray.protocol.objects import ActionType, Visibility
from tests.support.gateway_rig import GatewayRig, code_of

PAYLOAD = bytes(range(256)) * 20


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


@pytest.mark.parametrize("size", [1, 1000, 1001, 5120])
async def test_a_sealed_object_comes_back_bit_for_bit(rig: GatewayRig, size: int) -> None:
    await rig.stored_object(PAYLOAD[:size])
    answer = await rig.get("/album/photo")
    assert (answer.status, answer.body) == (200, PAYLOAD[:size])
    assert answer.headers["Content-Length"] == str(size)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Gnfd-Request-ID"].isdigit()


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=999-1000", 999, 1000),
        ("bytes=1500-", 1500, 5119),
        ("bytes=2-99999", 2, 5119),
    ],
)
async def test_ranges_answer_206_with_exactly_those_bytes(
    rig: GatewayRig, header: str, first: int, last: int
) -> None:
    await rig.stored_object(PAYLOAD)
    answer = await rig.get("/album/photo", Range=header)
    assert (answer.status, answer.body) == (206, PAYLOAD[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/5120"


async def test_unsupported_ranges_give_the_whole_object_and_impossible_ones_an_error(
    rig: GatewayRig,
) -> None:
    await rig.stored_object(PAYLOAD)
    whole = await rig.get("/album/photo", Range="bytes=-5")
    assert (whole.status, whole.body) == (200, PAYLOAD)
    impossible = await rig.get("/album/photo", Range="bytes=5120-")
    assert (impossible.status, code_of(impossible)) == (400, "InvalidRange")


async def test_an_object_that_is_not_sealed_cannot_be_read(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    await rig.put("/album/photo", PAYLOAD)
    assert code_of(await rig.get("/album/photo")) == "InvalidObjectState"


async def test_an_empty_object_is_read_as_nothing(rig: GatewayRig) -> None:
    rig.create_object(b"", "empty")
    answer = await rig.get("/album/empty")
    assert (answer.status, answer.body) == (200, b"")


async def test_anyone_reads_public_objects_and_nobody_else_private_ones(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    assert code_of(await rig.send("GET", "/album/photo")) == "AccessDenied"
    public = PAYLOAD[::-1]
    rig.create_object(public, "public", visibility=Visibility.VISIBILITY_TYPE_PUBLIC_READ)
    await rig.put("/album/public", public)
    rig.chain.seal_object("album", "public")
    assert (await rig.send("GET", "/album/public")).body == public


async def test_a_policy_lets_another_account_read(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    rig.chain.grants.add((rig.user, "album", "photo", ActionType.ACTION_GET_OBJECT))
    assert (await rig.get("/album/photo")).status == 200


async def test_a_frozen_payment_account_closes_its_buckets(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    rig.chain.frozen_payment_addresses.add(rig.user)
    assert code_of(await rig.get("/album/photo")) == "AccessDenied"


async def test_unknown_buckets_and_objects_are_named_as_such(rig: GatewayRig) -> None:
    assert code_of(await rig.get("/nobucket/photo")) == "NoSuchBucket"
    assert code_of(await rig.get("/album/nothing")) == "NoSuchKey"


async def test_a_flipped_byte_in_the_first_segment_is_an_error_with_the_right_length(
    rig: GatewayRig,
) -> None:
    info = await rig.stored_object(PAYLOAD)
    rig.corrupt_segment(info, PAYLOAD, 3)
    answer = await rig.get("/album/photo")
    assert (answer.status, code_of(answer)) == (500, "InternalError")


async def test_a_flipped_byte_further_on_breaks_the_connection(rig: GatewayRig) -> None:
    info = await rig.stored_object(PAYLOAD)
    rig.corrupt_segment(info, PAYLOAD, 4321)
    with pytest.raises(aiohttp.ClientError):
        await rig.get("/album/photo")
    untouched = await rig.get("/album/photo", Range="bytes=0-3999")
    assert untouched.body == PAYLOAD[:4000]


async def test_a_missing_payload_is_an_error_and_not_an_empty_answer(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    rig.chain.seal_object("album", "photo")
    answer = await rig.get("/album/photo")
    assert (answer.status, code_of(answer)) == (500, "InternalError")


async def test_downloads_give_their_memory_back(tmp_path: Path) -> None:
    """There is memory for one segment: who kept it would keep the next download waiting."""
    rig = await GatewayRig.create(
        tmp_path, downloader_settings=DownloaderSettings(download_budget_bytes=1)
    )
    await rig.stored_object(PAYLOAD)
    async with asyncio.timeout(30):
        for header in ("", "bytes=0-1", "bytes=900-3000", ""):
            assert (await rig.get("/album/photo", Range=header)).status in (200, 206)
    await rig.close()


async def test_who_has_read_an_object_may_ask_where_its_bytes_came_from(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    part = await rig.get("/album/photo", Range="bytes=990-2009")
    query = part.headers["X-Greenray-Sources"]
    assert query == f"download-sources={part.headers['X-Gnfd-Request-ID']}"
    answer = await rig.get("/album/photo", query)
    assert json.loads(answer.body) == {
        "object_id": 1,
        "primary_bytes": 1020,
        "rebuilt_bytes": 0,
        "piece_bytes": {},
    }


async def test_of_other_downloads_nothing_is_told(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    await rig.stored_object(PAYLOAD, "other")
    query = (await rig.get("/album/photo")).headers["X-Greenray-Sources"]
    assert code_of(await rig.get("/album/other", query)) == "NoSuchKey"
    assert code_of(await rig.get("/album/photo", "download-sources=1")) == "NoSuchKey"
    assert code_of(await rig.send("GET", "/album/photo", query)) == "AccessDenied"
