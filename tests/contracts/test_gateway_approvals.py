"""get-approval over real HTTP (protocol 06 §3.4), also with a Go provider's recorded request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.crypto import recover_signer
from greenray.chain.dialects import get_dialect
from greenray.chain.dialects.v0_2 import MsgCreateBucket
from greenray.protocol.objects import Visibility
from tests.support.gateway_rig import Answer, GatewayRig, code_of
from tests.support.sps import SpKeys, test_key

PATH = "/greenfield/admin/v1/get-approval"
RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "data" / "provider-v0_2.json").read_text()
)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


def _bucket(rig: GatewayRig, **changes: Any) -> dict[str, Any]:
    return {
        "primary_sp_approval": {"sig": "", "expired_height": "18446744073709551615"},
        "creator": rig.user,
        "bucket_name": "new-bucket",
        "visibility": "VISIBILITY_TYPE_PRIVATE",
        "payment_address": "",
        "primary_sp_address": rig.sp.address,
        "charged_read_quota": "0",
        **changes,
    }


async def _ask(
    rig: GatewayRig, message: Any, action: str = "CreateBucket", *, key: bytes | None = None
) -> Answer:
    text = message if isinstance(message, str) else json.dumps(message).encode().hex()
    query = f"action={action}"
    headers = rig.signed("GET", PATH, query, {"X-Gnfd-Unsigned-Msg": text}, key=key)
    return await rig.send("GET", PATH, query, headers)


async def test_the_approval_is_signed_by_the_approval_key_and_lasts_100_blocks(
    rig: GatewayRig,
) -> None:
    answer = await _ask(rig, _bucket(rig))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["X-Gnfd-Request-ID"].isdigit()
    text = bytes.fromhex(answer.headers["X-Gnfd-Signed-Msg"])
    assert text == json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True).encode()
    message = get_dialect().message_from_json(json.loads(text), MsgCreateBucket)
    assert message.visibility is Visibility.VISIBILITY_TYPE_PRIVATE
    approval = message.primary_sp_approval
    assert approval.expired_height == rig.chain.height + 100
    signer = recover_signer(get_dialect().approval_sign_bytes(message), approval.sig)
    assert signer == rig.sp.provider().approval_address


async def test_the_recorded_request_of_a_go_provider_gets_the_recorded_answer(
    tmp_path: Path,
) -> None:
    keys = RECORDED["test_keys"]["sps"][0]
    recorded_sp = SpKeys(
        *(bytes.fromhex(keys[p]["private_key"]) for p in ("operator", "seal", "approval"))
    )
    rig = await GatewayRig.create(tmp_path, sp=recorded_sp)
    rig.chain.add_account(RECORDED["test_keys"]["owner"]["address"])
    exchange = RECORDED["get_approval"]
    signed_message = json.loads(exchange["signed_msg_text"])
    rig.chain.height = int(signed_message["primary_sp_approval"]["expired_height"]) - 100
    request = exchange["request"]
    headers = {**request["headers"], "Host": request["host"]}
    answer = await rig.send("GET", request["path"], request["query"], headers)
    assert answer.status == 200
    expected = exchange["response_headers"]["X-Gnfd-Signed-Msg"]
    assert answer.headers["X-Gnfd-Signed-Msg"] == expected
    await rig.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"creator": "0x12"},
        {"bucket_name": "A"},
        {"visibility": "VISIBILITY_TYPE_UNSPECIFIED"},
        {"visibility": "NO_SUCH"},
        {"primary_sp_address": ""},
        {"primary_sp_approval": None},
        {"charged_read_quota": "-1"},
        {"unknown_field": 1},
    ],
)
async def test_a_message_that_the_chain_would_refuse_is_an_invalid_header(
    rig: GatewayRig, changes: dict[str, Any]
) -> None:
    answer = await _ask(rig, _bucket(rig, **changes))
    assert (answer.status, code_of(answer)) == (400, "InvalidHeader")


@pytest.mark.parametrize("text", ["zz", "7b", "5b5d", ""])
async def test_what_is_not_hex_json_is_an_invalid_header(rig: GatewayRig, text: str) -> None:
    assert code_of(await _ask(rig, text)) == "InvalidHeader"


async def test_unknown_actions_are_not_implemented(rig: GatewayRig) -> None:
    answer = await _ask(rig, _bucket(rig), "DeleteBucket")
    assert (answer.status, code_of(answer)) == (501, "NotImplementedError")


async def test_only_accounts_of_the_chain_are_answered(rig: GatewayRig) -> None:
    answer = await _ask(rig, _bucket(rig), key=test_key("nobody"))
    assert (answer.status, code_of(answer)) == (403, "AccessDenied")
