"""PutObject, upload progress and job status over real HTTP (protocol 06 §2.5, §3.1, §3.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.actors.gateway.settings import GatewaySettings
from greenray.chain.crypto import address_of
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ActionType
from greenray.storage.ports import ColumnKey
from tests.support.gateway_rig import PARAMS, GatewayRig, code_of, stream
from tests.support.sps import test_key

PAYLOAD = bytes(range(256)) * 20  # 5120 bytes: six segments of 1000
_FIRST_BYTES = 2500


@pytest.fixture(params=[1 << 20, 1], ids=["small payloads", "payloads past the HTTP library"])
def take_over_bytes(request: pytest.FixtureRequest) -> int:
    threshold: int = request.param
    return threshold


@pytest.fixture
async def rig(tmp_path: Path, take_over_bytes: int) -> AsyncIterator[GatewayRig]:
    settings = GatewaySettings(take_over_bytes=take_over_bytes)
    rig = await GatewayRig.create(tmp_path, settings=settings)
    yield rig
    await rig.close()


@pytest.mark.parametrize("replica", [False, True])
@pytest.mark.parametrize("size", [1, 2, 999, 1000, 1001, 4000, 5120])
async def test_a_payload_is_stored_recorded_and_announced(
    rig: GatewayRig, size: int, replica: bool
) -> None:
    payload = PAYLOAD[:size]
    info = rig.create_object(payload, "dir/héllo <a>&b 中.txt", replica=replica)
    answer = await rig.put(f"/album/{info.object_name}", payload)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["X-Gnfd-Request-ID"].isdigit()
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_DONE
    assert job.params == PARAMS
    assert job.owner == ""
    record = await rig.job_store.get_integrity(rig.sp.address, info.id, SEGMENTS)
    assert record is not None
    assert record.integrity_hash == info.checksums[0]
    assert list(rig.store.list_columns()) == [ColumnKey(info.id, SEGMENTS)]
    assert await rig.uploader.hot_columns(rig.sp.address, info.id, 0) is not None


async def test_a_dead_task_node_does_not_matter_to_a_put(rig: GatewayRig) -> None:
    rig.waker.failing = True
    info = rig.create_object(PAYLOAD)
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_DONE


async def test_chunked_bodies_are_taken_as_well(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    headers = rig.signed("PUT", "/album/photo")
    chunks = stream([PAYLOAD[:7], PAYLOAD[7:3000], PAYLOAD[3000:]])
    assert (await rig.send("PUT", "/album/photo", "", headers, chunks)).status == 200


async def test_a_virtual_hosted_put_reaches_the_bucket_of_its_host(tmp_path: Path) -> None:
    rig = await GatewayRig.create(tmp_path, domain="gnfd.test")
    info = rig.create_object(PAYLOAD)
    headers = rig.signed("PUT", "/photo", host="album.gnfd.test:9033")
    assert (await rig.send("PUT", "/photo", "", headers, PAYLOAD)).status == 200
    assert await rig.job(info) is not None
    await rig.close()


async def test_a_client_that_expects_100_continue_sends_nothing_before_it_is_accepted(
    rig: GatewayRig,
) -> None:
    rig.create_object(PAYLOAD)
    for key, expected in ((None, b"HTTP/1.1 100 Continue\r\n"), (test_key("x"), b"HTTP/1.1 403 ")):
        headers = rig.signed("PUT", "/album/photo", key=key)
        port = rig.gateway.port(rig.sp.address)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Expect: 100-continue", f"Content-Length: {len(PAYLOAD)}"]
        head = "\r\n".join(["PUT /album/photo HTTP/1.1", *lines, "", ""])
        writer.write(head.encode())
        assert (await reader.readline()).startswith(expected)
        if key is None:
            await reader.readline()
            writer.write(PAYLOAD)
            assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


# --- refusals ------------------------------------------------------------------------------------


async def test_the_two_names_are_checked_before_anything_else(rig: GatewayRig) -> None:
    assert code_of(await rig.send("PUT", "/No_Bucket/o", body=b"x")) == "InvalidBucketName"
    assert code_of(await rig.send("PUT", "/album/a//b", body=b"x")) == "InvalidKey"


async def test_unknown_buckets_and_objects_are_named_as_such(rig: GatewayRig) -> None:
    assert code_of(await rig.put("/nobucket/o", b"x")) == "NoSuchBucket"
    assert code_of(await rig.put("/album/o", b"x")) == "NoSuchKey"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "authTypeV2 ECDSA-secp256k1, Signature=00",
        "OffChainAuth EDDSA,SignedMsg=a,Signature=b",
        "garbage",
    ],
)
async def test_a_put_without_a_supported_authorization_is_refused(
    rig: GatewayRig, authorization: str | None
) -> None:
    rig.create_object(PAYLOAD)
    headers = {"Authorization": authorization} if authorization else {}
    answer = await rig.send("PUT", "/album/photo", "", headers, PAYLOAD)
    assert (answer.status, code_of(answer)) == (403, "SignatureDoesNotMatch")


async def test_a_changed_request_or_signature_is_refused(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    headers = rig.signed("PUT", "/album/photo")
    tampered = {**headers, "X-Gnfd-Date": "20230515T080001Z"}
    broken = headers["Authorization"][:-130] + "00" * 64 + "01"
    for bad in (tampered, {**headers, "Authorization": broken}):
        answer = await rig.send("PUT", "/album/photo", "", bad, PAYLOAD)
        assert code_of(answer) == "SignatureDoesNotMatch"
    v_27 = headers["Authorization"][:-2] + "1b"
    answer = await rig.send("PUT", "/album/photo", "", {**headers, "Authorization": v_27}, PAYLOAD)
    assert code_of(answer) == "SignatureDoesNotMatch"
    assert rig.nothing_is_stored()


async def test_strangers_are_refused_until_a_policy_allows_them(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    key = test_key("stranger")
    assert code_of(await rig.put("/album/photo", PAYLOAD, key=key)) == "AccessDenied"
    stranger = rig.chain.add_account(address_of(key)).address
    assert code_of(await rig.put("/album/photo", PAYLOAD, key=key)) == "AccessDenied"
    rig.chain.grants.add((stranger, "album", "", ActionType.ACTION_CREATE_OBJECT))
    assert (await rig.put("/album/photo", PAYLOAD, key=key)).status == 200


async def test_another_providers_bucket_is_refused(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    headers = rig.signed("PUT", "/album/photo", sp=rig.other_sp)
    answer = await rig.send("PUT", "/album/photo", "", headers, PAYLOAD, sp=rig.other_sp)
    assert code_of(answer) == "AccessDenied"


async def test_a_sealed_object_takes_no_payload(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    answer = await rig.put("/album/photo", PAYLOAD)
    assert (answer.status, code_of(answer)) == (403, "InvalidObjectState")


async def test_a_payload_is_taken_once(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200
    assert code_of(await rig.put("/album/photo", PAYLOAD)) == "InvalidObjectState"


async def test_an_empty_body_is_refused_every_time_and_makes_no_job(rig: GatewayRig) -> None:
    info = rig.create_object(PAYLOAD)
    headers = rig.signed("PUT", "/album/photo")
    for body in (b"", b"", stream([]), stream([])):
        answer = await rig.send("PUT", "/album/photo", "", headers, body)
        assert (answer.status, code_of(answer)) == (400, "InvalidPayload")
    assert await rig.job(info) is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (PAYLOAD[:-1], "payload-size-mismatch"),
        (PAYLOAD + b"x", "payload-size-mismatch"),
        (PAYLOAD[:-1] + b"x", "integrity-hash-mismatch"),
    ],
)
async def test_another_payload_than_the_declared_one_is_refused_and_leaves_nothing(
    rig: GatewayRig, payload: bytes, reason: str
) -> None:
    info = rig.create_object(PAYLOAD)
    answer = await rig.put("/album/photo", payload)
    assert (answer.status, code_of(answer)) == (500, "InternalError")
    assert json.loads(answer.headers["X-Greenray-Error"])["reason"] == reason
    assert rig.nothing_is_stored()
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_ERROR
    assert job.error is not None
    assert job.error.reason == reason
    assert await rig.uploader.hot_columns(rig.sp.address, info.id, 0) is None
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200


async def test_a_payload_that_is_too_long_is_refused_while_it_still_arrives(
    rig: GatewayRig,
) -> None:
    info = rig.create_object(PAYLOAD)
    answered = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield PAYLOAD + b"x"
        await answered.wait()  # the rest never comes before the answer

    headers = rig.signed("PUT", "/album/photo")
    async with rig.http.put(rig.url("/album/photo"), headers=headers, data=body()) as response:
        assert response.status == 500
        answered.set()
    job = await rig.job(info)
    assert job is not None
    assert job.state is JobState.UPLOAD_OBJECT_ERROR


async def test_a_client_that_goes_away_leaves_a_failed_upload_and_nothing_stored(
    rig: GatewayRig,
) -> None:
    info = rig.create_object(PAYLOAD)
    (await _half_a_put(rig)).close()
    job = await _failed(rig, info.id)
    assert job == "payload-interrupted"
    assert rig.nothing_is_stored()
    assert (await rig.put("/album/photo", PAYLOAD)).status == 200


async def test_a_silent_client_is_given_up(tmp_path: Path, take_over_bytes: int) -> None:
    settings = GatewaySettings(idle_timeout_s=0.05, take_over_bytes=take_over_bytes)
    rig = await GatewayRig.create(tmp_path, settings=settings)
    info = rig.create_object(PAYLOAD)
    client = await _half_a_put(rig)
    assert await _failed(rig, info.id) == "payload-interrupted"
    client.write(
        PAYLOAD[_FIRST_BYTES:]
    )  # without it, aiohttp waits for it for 10 s before it closes
    await rig.close()


async def test_a_second_upload_of_an_object_is_refused_while_one_is_running(
    rig: GatewayRig,
) -> None:
    rig.create_object(PAYLOAD)
    go_on = asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        yield PAYLOAD[:2000]
        await go_on.wait()
        yield PAYLOAD[2000:]

    headers = rig.signed("PUT", "/album/photo")
    first = asyncio.create_task(rig.send("PUT", "/album/photo", "", headers, slow_body()))
    await _state(rig, 1, JobState.UPLOAD_OBJECT_DOING)
    assert code_of(await rig.put("/album/photo", PAYLOAD)) == "InvalidObjectState"
    go_on.set()
    assert (await first).status == 200


async def test_while_the_chain_does_not_answer_a_client_is_told_to_come_again(
    rig: GatewayRig,
) -> None:
    rig.create_object(PAYLOAD)
    rig.chain.unavailable = True
    answer = await rig.put("/album/photo", PAYLOAD)
    assert (answer.status, code_of(answer)) == (503, "ServiceUnavailable")
    assert answer.headers["Retry-After"] == "2"
    assert json.loads(answer.headers["X-Greenray-Error"])["reason"] == "chain-unavailable"


# --- progress ------------------------------------------------------------------------------------


async def test_progress_is_told_in_the_words_of_the_provider(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    texts = [await _progress(rig)]
    await rig.put("/album/photo", PAYLOAD)
    texts.append(await _progress(rig))
    rig.chain.seal_object("album", "photo")
    texts.append(await _progress(rig))
    assert texts == [
        "object meta is created in the chain, but the upload has been not started yet",
        "object payload is replicating to the secondary SPs in the background",
        "object is succeed to upload",
    ]


async def test_job_status_is_a_json_document_for_those_who_may_upload(rig: GatewayRig) -> None:
    info = rig.create_object(PAYLOAD)
    before = json.loads((await rig.get("/album/photo", "job-status")).body)
    assert (before["state"], before["state_number"]) == ("INIT_UNSPECIFIED", 0)
    await rig.put("/album/photo", PAYLOAD)
    status = json.loads((await rig.get("/album/photo", "job-status")).body)
    assert (status["bucket"], status["object"], status["object_id"]) == ("album", "photo", info.id)
    assert (status["state"], status["state_number"]) == ("UPLOAD_OBJECT_DONE", 2)
    assert [change["state"] for change in status["history"]][-1] == "UPLOAD_OBJECT_DONE"
    assert status["error"] is None
    answer = await rig.send("GET", "/album/photo", "job-status")
    assert code_of(answer) == "SignatureDoesNotMatch"


async def test_requests_of_no_route_and_wrong_methods_answer_as_the_provider(
    rig: GatewayRig,
) -> None:
    wrong = await rig.send("POST", "/album/photo")
    assert (wrong.status, wrong.body) == (405, b"")
    nowhere = await rig.send("GET", "//")
    assert nowhere.status == 404
    assert nowhere.body == (
        b"<Error><Code>NoRouter</Code><Message>The request can not route any handlers</Message>"
        b"<RequestId></RequestId></Error>"
    )
    no_address = await rig.send("GET", "/")
    assert no_address.status == 400
    answer = json.loads(no_address.body)
    assert (answer["code"], answer["message"]) == ("InvalidAddress", "Address is illegal")


# --- helpers -------------------------------------------------------------------------------------


async def _progress(rig: GatewayRig) -> str:
    answer = await rig.get("/album/photo", "upload-progress")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/xml"
    text = answer.body.decode()
    head = '<QueryUploadProgress version="1.0"><ProgressDescription>'
    assert text.startswith(head)
    return text.removeprefix(head).removesuffix("</ProgressDescription></QueryUploadProgress>")


async def _half_a_put(rig: GatewayRig) -> asyncio.StreamWriter:
    """The connection of a client that has sent a part, once the Uploader has begun with it."""
    headers = rig.signed("PUT", "/album/photo")
    port = rig.gateway.port(rig.sp.address)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(PAYLOAD)}")
    head = "\r\n".join(["PUT /album/photo HTTP/1.1", *lines, "", ""])
    writer.write(head.encode() + PAYLOAD[:_FIRST_BYTES])
    await writer.drain()
    await _state(rig, 1, JobState.UPLOAD_OBJECT_DOING)
    return writer


async def _state(rig: GatewayRig, object_id: int, state: JobState) -> None:
    """Return when the job has been in ``state``."""
    while True:
        job = await rig.job_store.get_job(rig.sp.address, object_id)
        if job is not None and any(change.state is state for change in job.history):
            return
        await asyncio.sleep(0)


async def _failed(rig: GatewayRig, object_id: int) -> str:
    await _state(rig, object_id, JobState.UPLOAD_OBJECT_ERROR)
    job = await rig.job_store.get_job(rig.sp.address, object_id)
    assert job is not None
    assert job.error is not None
    return job.error.reason
