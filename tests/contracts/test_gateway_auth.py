"""Who asks: pages with keys that a wallet has registered, and requests that expire (protocol 06
§2)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from greenray.chain.crypto import keccak256, sign_digest
from greenray.protocol.http_auth import (
    EXPIRING_HEADERS,
    EXPIRY_HEADER,
    canonical_of,
    signed_values,
)
from greenray.protocol.request_query import parse_query
from tests.support.browser_key import TEMPLATE, BrowserKey, personal_signature
from tests.support.gateway_rig import Answer, GatewayRig, code_of
from tests.support.sps import test_key

PAYLOAD = bytes(range(256)) * 20


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
def page(rig: GatewayRig) -> BrowserKey:
    return BrowserKey(rig.user_key)


async def _nonce(rig: GatewayRig, page: BrowserKey) -> Answer:
    headers = {"X-Gnfd-User-Address": page.account, "X-Gnfd-App-Domain": page.domain}
    return await rig.send("GET", "/auth/request_nonce", headers=headers)


async def _register(
    rig: GatewayRig, page: BrowserKey, nonce: object = 1, **changed: str | None
) -> Answer:
    headers = page.registration(rig.sp.address, nonce)
    for name, value in changed.items():
        headers.pop(name.replace("_", "-"))
        if value is not None:
            headers[name.replace("_", "-")] = value
    return await rig.send("POST", "/auth/update_key", headers=headers)


# --- registration --------------------------------------------------------------------------------


async def test_a_page_is_told_its_nonce_and_registers_the_key_that_the_wallet_signed(
    rig: GatewayRig, page: BrowserKey
) -> None:
    before = await _nonce(rig, page)
    assert (before.status, before.headers["Content-Type"]) == (200, "application/json")
    assert before.body.startswith(
        b'{"current_nonce":0,"next_nonce":1,"current_public_key":"","expiry_date":"'
    )
    answer = await _register(rig, page)
    assert (answer.status, answer.body) == (200, b'{"result":true}')
    after = json.loads((await _nonce(rig, page)).body)
    expires_ms = after.pop("expiry_date")
    assert after == {
        "current_nonce": 1,
        "next_nonce": 2,
        "current_public_key": page.public_key,
    }
    assert 0 < int(expires_ms) / 1000 - time.time() <= 3600


async def test_the_nonce_of_an_address_is_asked_for_in_any_case(
    rig: GatewayRig, page: BrowserKey
) -> None:
    await _register(rig, page)
    headers = {
        "X-Gnfd-User-Address": page.account.lower(),
        "X-Gnfd-App-Domain": page.domain,
    }
    answer = await rig.send("GET", "/auth/request_nonce", headers=headers)
    assert json.loads(answer.body)["current_nonce"] == 1


async def test_asking_for_nonces_leaves_nothing_behind(rig: GatewayRig, page: BrowserKey) -> None:
    await _nonce(rig, page)
    assert await rig.job_store.user_key(rig.sp.address, page.account, page.domain) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"X_Gnfd_App_Reg_Nonce": "2"}, "InvalidRegNonceHeader"),
        ({"X_Gnfd_App_Reg_Nonce": "x"}, "InvalidRegNonceHeader"),
        ({"X_Gnfd_App_Reg_Nonce": None}, "InvalidRegNonceHeader"),
        ({"X_Gnfd_App_Reg_Expiry_Date": "tomorrow"}, "InvalidExpiryDateHeader"),
        ({"X_Gnfd_App_Reg_Expiry_Date": "2023-05-15T08:00:00Z"}, "InvalidExpiryDateHeader"),
        ({"X_Gnfd_App_Reg_Expiry_Date": "9023-05-15T08:00:00Z"}, "InvalidExpiryDateHeader"),
        ({"X_Gnfd_App_Domain": "https://other.example"}, "InvalidHeader"),
        ({"X_Gnfd_App_Domain": None}, "InvalidHeader"),
        ({"Origin": None}, "InvalidHeader"),
        ({"X_Gnfd_App_Reg_Public_Key": None}, "InvalidHeader"),
        ({"X_Gnfd_App_Reg_Public_Key": "02" + 62 * "0"}, "InvalidHeader"),
        ({"X_Gnfd_App_Reg_Public_Key": "01" + 62 * "0"}, "SigMsgNotMatchHeaders"),
        ({"Authorization": None}, "SignatureDoesNotMatch"),
        ({"Authorization": "PersonalSign ECDSA-secp256k1,x"}, "SignatureDoesNotMatch"),
    ],
)
async def test_a_registration_with_a_wrong_header_is_refused_by_the_name_of_what_is_wrong(
    rig: GatewayRig, page: BrowserKey, changed: Mapping[str, str | None], code: str
) -> None:
    answer = await _register(rig, page, **changed)
    assert code_of(answer) == code
    assert await rig.job_store.user_key(rig.sp.address, page.account, page.domain) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Please sign", "SignedMsgNotMatchTemplate"),
        (TEMPLATE.partition("\nResources")[0], "SignedMsgNotMatchTemplate"),
        (TEMPLATE.replace("- SP {sp_address}", "- SP 0xOther"), "SignedMsgNotMatchSPAddr"),
        (TEMPLATE.replace("nonce: {nonce}", "nonce: 9"), "SigMsgNotMatchHeaders"),
        (TEMPLATE.replace("{domain} wants", "https://x.example wants"), "SigMsgNotMatchHeaders"),
        (TEMPLATE.replace("{expires}", "2023-05-15T08:00:00Z"), "SigMsgNotMatchHeaders"),
    ],
)
async def test_a_wallet_must_have_signed_for_this_provider_and_for_what_the_headers_say(
    rig: GatewayRig, page: BrowserKey, text: str, code: str
) -> None:
    headers = page.registration(rig.sp.address, text=text)
    assert code_of(await rig.send("POST", "/auth/update_key", headers=headers)) == code


async def test_a_registration_counts_once_and_at_one_provider(
    rig: GatewayRig, page: BrowserKey
) -> None:
    headers = page.registration(rig.sp.address)
    assert (await rig.send("POST", "/auth/update_key", headers=headers)).status == 200
    again = await rig.send("POST", "/auth/update_key", headers=headers)
    assert code_of(again) == "InvalidRegNonceHeader"
    elsewhere = await rig.send("POST", "/auth/update_key", headers=headers, sp=rig.other_sp)
    assert code_of(elsewhere) == "SignedMsgNotMatchSPAddr"


async def test_an_address_without_an_account_registers_nothing(rig: GatewayRig) -> None:
    nobody = BrowserKey(test_key("nobody"))
    assert code_of(await _register(rig, nobody)) == "AccessDenied"


async def test_nonsense_is_refused_before_anything_is_looked_up(rig: GatewayRig) -> None:
    path = "/auth/request_nonce"
    assert code_of(await rig.send("GET", path)) == "InvalidAddress"
    headers = {"X-Gnfd-User-Address": rig.user}
    assert code_of(await rig.send("GET", path, headers=headers)) == "InvalidHeader"
    headers["X-Gnfd-App-Domain"] = "x" * 300
    assert code_of(await rig.send("GET", path, headers=headers)) == "InvalidHeader"


# --- requests of pages ---------------------------------------------------------------------------


async def test_a_page_asks_in_the_name_of_its_account(rig: GatewayRig, page: BrowserKey) -> None:
    rig.create_object(PAYLOAD)
    await _register(rig, page)
    assert (await rig.send("PUT", "/album/photo", "", page.asking(), PAYLOAD)).status == 200
    progress = await rig.send("GET", "/album/photo", "upload-progress=", page.asking())
    assert progress.status == 200
    rig.chain.seal_object("album", "photo")
    assert (await rig.send("GET", "/album/photo", "", page.asking())).body == PAYLOAD
    quota = await rig.send("GET", "/album", "read-quota=&year-month=2023-05", page.asking())
    assert quota.status == 200


async def test_a_page_without_a_registered_key_is_refused(
    rig: GatewayRig, page: BrowserKey
) -> None:
    await rig.stored_object(PAYLOAD)
    refused = await rig.send("GET", "/album/photo", "", page.asking())
    assert code_of(refused) == "SignatureDoesNotMatch"
    assert "/auth/update_key" in refused.headers["X-Greenray-Error"]


async def test_what_another_key_signed_is_refused(rig: GatewayRig, page: BrowserKey) -> None:
    await rig.stored_object(PAYLOAD)
    await _register(rig, page)
    thief = replace(page, seed=b"another page")
    assert code_of(await rig.send("GET", "/album/photo", "", thief.asking())) == (
        "SignatureDoesNotMatch"
    )
    other_domain = replace(page, domain="https://other.example")
    assert code_of(await rig.send("GET", "/album/photo", "", other_domain.asking())) == (
        "SignatureDoesNotMatch"
    )
    newer = replace(page, seed=b"a newer key")
    await _register(rig, newer, 2)
    assert code_of(await rig.send("GET", "/album/photo", "", page.asking())) == (
        "SignatureDoesNotMatch"
    )
    assert (await rig.send("GET", "/album/photo", "", newer.asking())).status == 200


@pytest.mark.parametrize(("action", "for_s"), [("read", -1.0), ("read", 302.0), ("x" * 2000, 60.0)])
async def test_a_text_that_is_past_too_far_ahead_or_long_is_refused(
    rig: GatewayRig, page: BrowserKey, action: str, for_s: float
) -> None:
    await rig.stored_object(PAYLOAD)
    await _register(rig, page)
    asking = page.asking(action, for_s=for_s)
    assert code_of(await rig.send("GET", "/album/photo", "", asking)) == "SignatureDoesNotMatch"


async def test_an_expired_key_opens_nothing(rig: GatewayRig, page: BrowserKey) -> None:
    await rig.stored_object(PAYLOAD)
    await _register(rig, page)
    key = await rig.job_store.user_key(rig.sp.address, page.account, page.domain)
    assert key is not None
    await rig.job_store.register_key(replace(key, nonce=2, expires_at=time.time() - 1))
    refused = await rig.send("GET", "/album/photo", "", page.asking())
    assert "expired" in refused.headers["X-Greenray-Error"]


async def test_a_personal_signature_opens_no_object(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    signature = personal_signature(rig.user_key, "anything that the user signed anywhere")
    refused = await rig.send("GET", "/album/photo", "", {"Authorization": signature})
    assert code_of(refused) == "SignatureDoesNotMatch"


# --- requests that expire ------------------------------------------------------------------------


def _expiring(
    rig: GatewayRig, expiry: str, *, in_query: bool = False, signed: str | None = None
) -> tuple[str, dict[str, str]]:
    """Query and headers of a GNFD1-ECDSA request."""
    query = f"{EXPIRY_HEADER}={expiry.replace(':', '%3A')}" if in_query else ""
    headers = {
        "Host": rig.url("/album/photo").authority,
        "X-Gnfd-Content-Sha256": hashlib.sha256(b"").hexdigest(),
        **({} if in_query else {EXPIRY_HEADER: signed or expiry}),
    }
    covered = signed_values(headers.items(), EXPIRING_HEADERS)
    canonical = canonical_of("GET", "/album/photo", parse_query(query), covered, headers["Host"])
    signature = sign_digest(rig.user_key, keccak256(canonical)).hex()
    if signed is not None:
        headers[EXPIRY_HEADER] = expiry
    return query, {**headers, "Authorization": f"GNFD1-ECDSA, Signature={signature}"}


def _in_s(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("in_query", [False, True])
async def test_a_request_that_says_until_when_it_counts_is_taken_until_then(
    rig: GatewayRig, in_query: bool
) -> None:
    await rig.stored_object(PAYLOAD)
    query, headers = _expiring(rig, _in_s(60), in_query=in_query)
    assert (await rig.send("GET", "/album/photo", query, headers)).body == PAYLOAD


@pytest.mark.parametrize("expiry", ["", "soon", "2023-05-15T08:10:00Z"])
async def test_an_expired_request_is_refused(rig: GatewayRig, expiry: str) -> None:
    await rig.stored_object(PAYLOAD)
    query, headers = _expiring(rig, expiry)
    refused = await rig.send("GET", "/album/photo", query, headers)
    assert (refused.status, code_of(refused)) == (400, "InvalidHeader")


async def test_a_request_counts_for_a_week_at_most(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    query, headers = _expiring(rig, _in_s(7 * 86400 + 60))
    assert code_of(await rig.send("GET", "/album/photo", query, headers)) == "InvalidHeader"


async def test_the_time_of_a_request_is_signed(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    query, headers = _expiring(rig, _in_s(600), signed=_in_s(60))
    assert code_of(await rig.send("GET", "/album/photo", query, headers)) == "AccessDenied"


@pytest.mark.parametrize("rest", ["", " Signature=", " Signature=zz", " SignedMsg=00", " x"])
async def test_a_malformed_signature_is_no_signature(rig: GatewayRig, rest: str) -> None:
    query, headers = _expiring(rig, _in_s(60))
    headers["Authorization"] = f"GNFD1-ECDSA,{rest}"
    refused = await rig.send("GET", "/album/photo", query, headers)
    assert code_of(refused) == "SignatureDoesNotMatch"
