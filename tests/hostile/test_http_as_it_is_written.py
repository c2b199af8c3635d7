"""What RFC 9110 and 9112 say of requests that most clients never send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway_rig import GatewayRig, code_of
from tests.support.raw_client import connected, exchange, last_answer, parsed, send

PAYLOAD = bytes(range(256)) * 20
PATH = "/album/photo"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


def port_of(rig: GatewayRig) -> int:
    return rig.gateway.port(rig.sp.address)


def signed_head(
    rig: GatewayRig, method: str, target: str = PATH, version: str = "1.1", **headers: str
) -> bytes:
    """With the line that ends it."""
    signed = {name.replace("_", "-"): value for name, value in headers.items()}
    signed = rig.signed(method, PATH, headers=signed)
    lines = [f"{method} {target} HTTP/{version}", *(f"{n}: {v}" for n, v in signed.items())]
    return "\r\n".join([*lines, "", ""]).encode()


# --- targets and versions ----------------------------------------------------------------------


async def test_the_host_of_an_absolute_target_takes_the_place_of_the_header(
    rig: GatewayRig,
) -> None:
    await rig.stored_object(PAYLOAD)
    authority = rig.url(PATH).authority
    head = signed_head(rig, "GET", f"http://{authority}{PATH}", Connection="close")
    answer = await exchange(port_of(rig), head.replace(b"Host: ", b"Host: not-", 1))
    assert (answer.status, answer.body) == (200, PAYLOAD)
    other = await exchange(port_of(rig), head.replace(b"http://", b"http://not-", 1))
    assert (other.status, other.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "target", ["ftp://h/album/photo", "album/photo", "http:///album", "http://u@h/a"]
)
async def test_a_target_of_no_form_is_refused(rig: GatewayRig, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    assert (await exchange(port_of(rig), request.encode())).status == 400


async def test_a_request_of_http_1_0_needs_no_host_and_is_told_nothing_before_its_answer(
    rig: GatewayRig,
) -> None:
    rig.create_object(PAYLOAD)
    length = str(len(PAYLOAD))
    head = signed_head(rig, "PUT", version="1.0", Content_Length=length, Expect="100-continue")
    answer = await exchange(port_of(rig), head + PAYLOAD)
    assert answer.head.startswith("HTTP/1.0 200 OK")
    answer = await exchange(port_of(rig), b"GET /album/other HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.code) == (404, "NoSuchKey")


async def test_an_expectation_that_nobody_knows_is_refused(rig: GatewayRig) -> None:
    answer = await rig.send("GET", PATH, headers=rig.signed("GET", PATH, headers={"Expect": "tea"}))
    assert (answer.status, code_of(answer)) == (417, "ExpectationFailed")


# --- who has said the last word still listens --------------------------------------------------


async def test_who_sends_nothing_more_is_answered(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    answer = await exchange(port_of(rig), signed_head(rig, "GET"), end=True)
    assert (answer.status, answer.body) == (200, PAYLOAD)
    assert answer.header("Connection") == "close"


async def test_an_upload_whose_sender_says_nothing_more_is_stored(rig: GatewayRig) -> None:
    info = rig.create_object(PAYLOAD)
    head = signed_head(rig, "PUT", Content_Length=str(len(PAYLOAD)))
    assert (await exchange(port_of(rig), head + PAYLOAD, end=True)).status == 200
    assert await rig.job(info) is not None


async def test_all_requests_before_the_last_word_are_answered(rig: GatewayRig) -> None:
    request = b"GET /album/other HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = await exchange(port_of(rig), request * 3, end=True)
    assert answer.body.count(b"HTTP/1.1 404") == 2


async def test_a_body_that_ends_too_soon_is_told_so_and_not_kept(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    head = signed_head(rig, "PUT", Content_Length=str(len(PAYLOAD)))
    answer = await exchange(port_of(rig), head + PAYLOAD[:100], end=True)
    assert (answer.status, answer.code) == (500, "InternalError")
    assert rig.nothing_is_stored()


async def test_half_a_head_and_a_last_word_end_the_connection(rig: GatewayRig) -> None:
    answer = await exchange(port_of(rig), b"GET /album/photo HTTP/1.1\r\n", end=True)
    assert answer.status == 0


# --- methods -----------------------------------------------------------------------------------


async def test_head_has_the_headers_of_get_and_the_connection_goes_on(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    get = await rig.get(PATH)
    head = await rig.send("HEAD", PATH, headers=rig.signed("HEAD", PATH))
    assert (head.status, head.body) == (200, b"")
    own = {"Date", "X-Gnfd-Request-ID", "X-Greenray-Sources"}
    assert {n: v for n, v in get.headers.items() if n not in own} == {
        n: v for n, v in head.headers.items() if n not in own
    }
    async with connected(port_of(rig)) as (reader, writer):
        await send(writer, signed_head(rig, "HEAD") * 2)
        for _ in range(2):
            answer = parsed(await reader.readuntil(b"\r\n\r\n"))
            assert answer.header("Content-Length") == str(len(PAYLOAD))


async def test_head_of_what_is_refused_has_no_body_either(rig: GatewayRig) -> None:
    answer = await rig.send("HEAD", PATH)
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", PATH, "GET, HEAD, PUT, OPTIONS"),
        ("DELETE", "/album", "GET, HEAD, OPTIONS"),
        ("PUT", "/", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    rig: GatewayRig, method: str, path: str, allowed: str
) -> None:
    answer = await rig.send(method, path)
    assert (answer.status, answer.body) == (405, b"")
    assert answer.headers["Allow"] == allowed


async def test_options_tells_what_may_be_asked(rig: GatewayRig) -> None:
    answer = await rig.send("OPTIONS", PATH)
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, PUT, OPTIONS")
    request = b"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    assert (await exchange(port_of(rig), request)).status == 204


# --- conditions --------------------------------------------------------------------------------


async def test_an_object_is_sent_once_to_who_keeps_its_tag(rig: GatewayRig) -> None:
    info = await rig.stored_object(PAYLOAD)
    first = await rig.get(PATH)
    tag = first.headers["ETag"]
    assert tag == f'"{info.checksums[0].hex()}"'
    again = await rig.get(PATH, If_None_Match=f'"other", W/{tag}')
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == tag
    assert (await rig.get(PATH, If_None_Match='"other"')).body == PAYLOAD
    assert (await rig.get(PATH, If_Match=tag)).body == PAYLOAD
    refused = await rig.get(PATH, If_Match=f"W/{tag}")
    assert (refused.status, code_of(refused)) == (412, "PreconditionFailed")


async def test_a_range_of_another_object_is_not_sent_as_a_part_of_this_one(
    rig: GatewayRig,
) -> None:
    await rig.stored_object(PAYLOAD)
    tag = (await rig.get(PATH)).headers["ETag"]
    part = await rig.get(PATH, Range="bytes=10-19", If_Range=tag)
    assert (part.status, part.body) == (206, PAYLOAD[10:20])
    whole = await rig.get(PATH, Range="bytes=10-19", If_Range='"other"')
    assert (whole.status, whole.body) == (200, PAYLOAD)


async def test_an_upload_over_what_is_not_there_is_refused(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    headers = rig.signed("PUT", PATH, headers={"If-Match": "*"})
    answer = await rig.send("PUT", PATH, "", headers, PAYLOAD)
    assert (answer.status, code_of(answer)) == (412, "PreconditionFailed")
    headers = rig.signed("PUT", PATH, headers={"If-None-Match": "*"})
    assert (await rig.send("PUT", PATH, "", headers, PAYLOAD)).status == 200


async def test_a_client_that_waits_is_asked_for_its_payload_once(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD)
    head = signed_head(
        rig, "PUT", Content_Length=str(len(PAYLOAD)), Expect="100-continue", Connection="close"
    )
    async with connected(port_of(rig)) as (reader, writer):
        await send(writer, head)
        async with asyncio.timeout(30):
            assert parsed(await reader.readuntil(b"\r\n\r\n")).status == 100
        await send(writer, PAYLOAD)
        assert (await last_answer(reader)).status == 200
