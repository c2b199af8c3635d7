"""PutObject for a payload that lies in the object space: the checks and the result of HTTP."""

from __future__ import annotations

import array
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from greenray.actors.uploader.payload_source import ReferencedPayload, block_bytes
from greenray.protocol.errors import (
    AccessDenied,
    AlreadyUploaded,
    GreenrayError,
    IntegrityHashMismatch,
    InvalidInput,
    InvalidName,
    NoSuchObject,
    PayloadInterrupted,
    PayloadSizeMismatch,
    SignatureError,
    WrongObjectStatus,
)
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.job import JobState
from greenray.protocol.request_query import RequestQuery
from tests.support.gateway_rig import GatewayRig
from tests.support.sps import test_key

PAYLOAD = bytes(range(256)) * 20


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


async def referenced(rig: GatewayRig, *blocks: bytes) -> ReferencedPayload:
    refs = [await rig.space.put(np.frombuffer(block, dtype=np.uint8)) for block in blocks]
    return ReferencedPayload(rig.space, refs)


def request(
    rig: GatewayRig, path: str = "/album/photo", *, method: str = "PUT", key: bytes | None = None
) -> GatewayRequest:
    headers = rig.signed(method, path, key=key)
    return GatewayRequest(
        rig.sp.address, "1", method, path, RequestQuery(), headers["Host"], tuple(headers.items())
    )


@pytest.mark.parametrize("cuts", [(), (1,), (1000, 2000), (7, 7, 5119)], ids=str)
async def test_blocks_of_any_length_are_stored_like_a_body(
    rig: GatewayRig, cuts: tuple[int, ...]
) -> None:
    info = rig.create_object(PAYLOAD)
    bounds = [0, *cuts, len(PAYLOAD)]
    blocks = [PAYLOAD[a:b] for a, b in pairwise(bounds)]
    await rig.gateway.put_payload(request(rig), await referenced(rig, *blocks))
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_DONE
    rig.chain.seal_object("album", "photo")
    assert (await rig.get("/album/photo")).body == PAYLOAD


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (PAYLOAD[:-1], PayloadSizeMismatch),
        (PAYLOAD + b"x", PayloadSizeMismatch),
        (PAYLOAD[:-1] + b"x", IntegrityHashMismatch),
    ],
    ids=["short", "long", "changed"],
)
async def test_another_payload_leaves_nothing_behind(
    rig: GatewayRig, payload: bytes, error: type[GreenrayError]
) -> None:
    rig.create_object(PAYLOAD)
    with pytest.raises(error):
        await rig.gateway.put_payload(request(rig), await referenced(rig, payload))
    assert rig.nothing_is_stored()


async def test_a_lost_block_is_named(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    payload = await referenced(rig, PAYLOAD[:100], PAYLOAD[100:])
    rig.space.lose_everything()
    with pytest.raises(PayloadInterrupted, match="block 0"):
        await rig.gateway.put_payload(request(rig), payload)
    assert rig.nothing_is_stored()


async def test_the_request_is_checked_as_over_http(rig: GatewayRig) -> None:
    put = rig.gateway.put_payload
    payload = await referenced(rig, PAYLOAD)
    with pytest.raises(NoSuchObject):
        await put(request(rig), payload)
    rig.create_object(PAYLOAD)
    stranger = test_key("stranger")
    with pytest.raises(AccessDenied):
        await put(request(rig, key=stranger), payload)
    signed = request(rig)
    elsewhere = GatewayRequest(
        signed.sp_address, "1", "PUT", "/album/other", RequestQuery(), signed.host, signed.headers
    )
    with pytest.raises(SignatureError):
        await put(elsewhere, payload)
    with pytest.raises(InvalidName):
        await put(request(rig, "/AL/photo"), payload)
    with pytest.raises(InvalidInput):
        await put(request(rig, method="GET"), payload)
    assert rig.nothing_is_stored()
    await put(request(rig), payload)
    with pytest.raises(AlreadyUploaded):
        await put(request(rig), await referenced(rig, PAYLOAD))
    rig.chain.seal_object("album", "photo")
    with pytest.raises(WrongObjectStatus):
        await put(request(rig), await referenced(rig, PAYLOAD))


def test_a_block_is_whatever_is_a_run_of_bytes() -> None:
    numbers = np.arange(6, dtype=np.uint16).reshape(2, 3)
    machine_words = array.array("I", [1, 2])
    for block in (b"", b"abc", bytearray(b"abc")):
        assert bytes(block_bytes(block, "block 0")) == block
    for wider in (machine_words, numbers):
        assert bytes(block_bytes(wider, "block 0")) == wider.tobytes()
    for wrong in ("text", 5, None, numbers.T):
        with pytest.raises(InvalidInput, match="block 4"):
            block_bytes(wrong, "block 4")
