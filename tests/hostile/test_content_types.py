"""The chain takes any text as a content type; a gateway serves every object all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.gateway_rig import GatewayRig

PAYLOAD = b"payload" * 100


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


@pytest.mark.parametrize(
    ("content_type", "served"),
    [
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("", "application/octet-stream"),
        ("text/plain\r\nSet-Cookie: a=b", "application/octet-stream"),
        ("a\nb", "application/octet-stream"),
        ("a\0b", "application/octet-stream"),
        ("\x1b[2J", "application/octet-stream"),
        ("no slash", "no slash"),
    ],
)
async def test_an_object_is_served_whatever_its_content_type_is(
    rig: GatewayRig, content_type: str, served: str
) -> None:
    info = await rig.stored_object(PAYLOAD)
    key = (info.bucket_name, info.object_name)
    rig.chain.objects[key] = replace(rig.chain.objects[key], content_type=content_type)
    answer = await rig.get(f"/{info.name}")
    assert (answer.status, answer.body) == (200, PAYLOAD)
    assert answer.headers["Content-Type"] == served
    assert "Set-Cookie" not in answer.headers
