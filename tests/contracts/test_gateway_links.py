"""Links that a browser opens: public objects only, at any gateway, and nothing that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.protocol.objects import Visibility
from tests.support.gateway_rig import Answer, GatewayRig, code_of

PAYLOAD = bytes(range(256)) * 20


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


async def _public(rig: GatewayRig, name: str, content_type: str = "image/png") -> None:
    rig.create_object(
        PAYLOAD,
        name,
        visibility=Visibility.VISIBILITY_TYPE_PUBLIC_READ,
        content_type=content_type,
    )
    assert (await rig.put(f"/album/{name}", PAYLOAD)).status == 200
    rig.chain.seal_object("album", name)


async def _open(rig: GatewayRig, path: str, **headers: str) -> Answer:
    return await rig.send("GET", path, headers=headers)


async def test_a_download_link_stores_the_object_by_its_name(rig: GatewayRig) -> None:
    await _public(rig, "2023/a photo")
    answer = await _open(rig, "/download/album/2023/a photo")
    assert (answer.status, answer.body) == (200, PAYLOAD)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a photo"'
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Gnfd-Request-ID"].isdigit()


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("image/png", "inline"), ("text/html", 'attachment; filename="photo"')],
)
async def test_a_view_link_shows_what_does_not_run(
    rig: GatewayRig, content_type: str, expected: str
) -> None:
    await _public(rig, "photo", content_type)
    answer = await _open(rig, "/view/album/photo", Range="bytes=0-9")
    assert (answer.status, answer.body) == (206, PAYLOAD[:10])
    assert answer.headers["Content-Disposition"] == expected
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/download/album/x%41", "/view/album/100%"])
async def test_a_name_is_decoded_once(rig: GatewayRig, path: str) -> None:
    await _public(rig, path.rpartition("/")[2])
    assert (await _open(rig, path)).body == PAYLOAD


async def test_what_is_private_missing_or_frozen_is_not_told_apart(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD, "private")
    await _public(rig, "public")
    private = await _open(rig, "/view/album/private")
    missing = await _open(rig, "/view/album/missing")
    no_bucket = await _open(rig, "/download/nobucket/missing")
    rig.chain.frozen_payment_addresses.add(rig.user)
    frozen = await _open(rig, "/download/album/public")
    for answer in (private, missing, no_bucket, frozen):
        assert (answer.status, code_of(answer)) == (400, "InvalidKey")
    errors = {answer.headers["X-Greenray-Error"] for answer in (private, missing, frozen)}
    assert len(errors) == 1


async def test_the_owners_signature_opens_no_private_object_by_a_link(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD, "private")
    assert code_of(await rig.get("/view/album/private")) == "InvalidKey"


async def test_an_object_that_is_not_sealed_is_told_to_be_so(rig: GatewayRig) -> None:
    rig.create_object(PAYLOAD, "new", visibility=Visibility.VISIBILITY_TYPE_PUBLIC_READ)
    answer = await _open(rig, "/view/album/new")
    assert (answer.status, code_of(answer)) == (403, "InvalidObjectState")


async def test_another_providers_gateway_leads_to_the_primarys(rig: GatewayRig) -> None:
    await _public(rig, "a photo")
    rig.chain.providers[0] = rig.sp.provider("http://sp0.test:9033")
    url = rig.url("/download/album/a photo", sp=rig.other_sp)
    async with rig.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 302
        location = answer.headers["Location"]
    assert location == "http://sp0.test:9033/download/album/a%20photo"


async def test_a_primary_without_an_endpoint_leads_nowhere(rig: GatewayRig) -> None:
    answer = await rig.send("GET", "/view/album/photo", sp=rig.other_sp)
    assert (answer.status, code_of(answer)) == (400, "InvalidAddress")


async def test_a_head_of_a_link_is_that_of_its_get(rig: GatewayRig) -> None:
    await _public(rig, "photo")
    got = await _open(rig, "/view/album/photo")
    head = await rig.send("HEAD", "/view/album/photo")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Disposition", "Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == got.headers[name]
    same = await _open(rig, "/view/album/photo", **{"If-None-Match": got.headers["ETag"]})
    assert same.status == 304


async def test_names_that_no_chain_has_are_refused(rig: GatewayRig) -> None:
    assert code_of(await _open(rig, "/view/No_Bucket/photo")) == "InvalidBucketName"
    assert code_of(await _open(rig, "/view//photo")) == "InvalidBucketName"
    assert code_of(await _open(rig, "/view/album/a//b")) == "InvalidKey"
