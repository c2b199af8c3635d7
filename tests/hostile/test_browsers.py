"""What a browser does with an object that somebody uploaded to harm who opens it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.actors.gateway.cors import allowed_origins
from greenray.actors.gateway.settings import GatewaySettings
from greenray.protocol.errors import InvalidSetting
from tests.support.gateway_rig import GatewayRig

PATH = "/album/photo"
PAGE = "https://app.example:8443"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization,x-gnfd-date",
}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    yield rig
    await rig.close()


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/HTML",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "text/javascript",
        "application/x-shockwave-flash",
        "multipart/x-mixed-replace; boundary=x",
        "image/png, text/html",
        "image/png;x, text/html",
        "text/cache-manifest",
        "nonsense",
    ],
)
async def test_what_a_browser_would_run_it_stores(rig: GatewayRig, content_type: str) -> None:
    rig.create_object(b"<script>", content_type=content_type)
    await rig.put(PATH, b"<script>")
    rig.chain.seal_object("album", "photo")
    answer = await rig.get(PATH)
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "text/plain; charset=utf-8", "video/mp4", "application/json", "application/pdf"],
)
async def test_what_it_would_only_show_it_shows(rig: GatewayRig, content_type: str) -> None:
    rig.create_object(b"picture", content_type=content_type)
    await rig.put(PATH, b"picture")
    rig.chain.seal_object("album", "photo")
    answer = await rig.get(PATH)
    assert answer.headers["Content-Type"] == content_type
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/album/none"), ("POST", PATH), ("GET", "//")]
)
async def test_no_answer_is_guessed_at_or_names_a_version(
    rig: GatewayRig, method: str, path: str
) -> None:
    answer = await rig.send(method, path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "greenray"


# --- pages of other origins --------------------------------------------------------------------


async def test_without_a_setting_no_page_may_ask(rig: GatewayRig) -> None:
    answer = await rig.send("OPTIONS", PATH, headers=PREFLIGHT)
    assert answer.status == 405
    answer = await rig.send("GET", PATH, headers={"Origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("origins", [f"{PAGE}, https://other.example", "*"])
async def test_pages_of_the_set_origins_may_ask_and_see_why_not(
    tmp_path: Path, origins: str
) -> None:
    rig = await GatewayRig.create(tmp_path, settings=GatewaySettings(cors_origins=origins))
    allowed = "*" if origins == "*" else PAGE
    answer = await rig.send("OPTIONS", PATH, headers=PREFLIGHT)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, allowed)
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "X-Gnfd-Date", "Range"} <= {
        name.strip() for name in answer.headers["Access-Control-Allow-Headers"].split(",")
    }
    await rig.stored_object(b"picture")
    for path in (PATH, "/album/none"):
        headers = rig.signed("GET", path, headers={"Origin": PAGE})
        answer = await rig.send("GET", path, headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    await rig.close()


async def test_pages_of_another_origin_may_not(tmp_path: Path) -> None:
    settings = GatewaySettings(cors_origins="https://other.example")
    rig = await GatewayRig.create(tmp_path, settings=settings)
    answer = await rig.send("OPTIONS", PATH, headers=PREFLIGHT)
    assert answer.status == 405
    answer = await rig.send("GET", PATH, headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"
    await rig.close()


@pytest.mark.parametrize("origin", [",", "app.example", "https://app.example/path", "*.example"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidSetting, match=r"gateway\.cors_origins"):
        allowed_origins(f"{PAGE}, {origin}")
