"""A request that somebody else signed, sent again with something added."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway_rig import GatewayRig, code_of

PAYLOAD = bytes(range(256)) * 20


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    await rig.stored_object(PAYLOAD)
    yield rig
    await rig.close()


@pytest.mark.parametrize("added", ["job-status=%zz", "upload-progress=%", "job-timeline=%4"])
async def test_what_is_not_signed_of_a_query_changes_nothing(rig: GatewayRig, added: str) -> None:
    signed = rig.signed("GET", "/album/photo")
    answer = await rig.send("GET", "/album/photo", added, signed)
    assert (answer.status, answer.body) == (200, PAYLOAD)


async def test_what_some_take_for_the_end_of_a_pair_is_refused(rig: GatewayRig) -> None:
    signed = rig.signed("GET", "/album/photo", "a=1;job-status")
    answer = await rig.send("GET", "/album/photo", "a=1;job-status", signed)
    assert (answer.status, code_of(answer)) == (400, "InvalidQuery")


@pytest.mark.parametrize("added", ["job-status", "%6Aob-status=", "a=%zz&job-status"])
async def test_what_is_signed_of_a_query_cannot_be_added(rig: GatewayRig, added: str) -> None:
    signed = rig.signed("GET", "/album/photo")
    answer = await rig.send("GET", "/album/photo", added, signed)
    assert (answer.status, code_of(answer)) == (403, "SignatureDoesNotMatch")
