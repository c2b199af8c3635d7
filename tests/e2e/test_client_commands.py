"""The command as a client of a network that it knows by its chain, its gateway and a key alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenray
from tests.support.client_commands import Client

SEGMENT_SIZE_BYTES = 65536
CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
PAYLOAD = random.Random(7).randbytes(3 * SEGMENT_SIZE_BYTES + 21)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def net() -> Iterator[greenray.Network]:
    with greenray.local_network(ray=False, chain=CHAIN) as network:
        yield network


@pytest.fixture(scope="module")
def client(net: greenray.Network, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client.of(net, tmp_path_factory.mktemp("client") / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(PAYLOAD)
    return path


# --- from anywhere -------------------------------------------------------------------------------


def test_a_chain_and_a_key_are_enough_the_provider_is_found_on_chain(
    client: Client, source: Path
) -> None:
    stored = client.document("put", source, "anywhere/one")
    assert stored["sealed"]
    copy = source.with_name("copy")
    client.text("get", "anywhere/one", copy)
    assert copy.read_bytes() == PAYLOAD
    assert client.document("status", "anywhere/one")["sealed"]


def test_a_profile_names_them_once(client: Client, net: greenray.Network, source: Path) -> None:
    alone = Client(client.home.parent / "empty", {})
    added = alone.run(
        *("profile", "add", "here", "--chain", net.chain_endpoint),
        *("--gateway", next(iter(net.gateways.values())), "--key", client.home / "me.json"),
        *("--password-file", _password_file(client)),
    )
    assert added.exit_code == 0, added.output
    assert "greenray profile default here" in added.stderr
    assert alone.refusal("status", "profiled/one")["reason"] == "not-running"
    assert alone.document("put", source, "profiled/one", "--profile", "here")["sealed"]
    assert alone.text("profile", "default", "here") == "here\n"
    assert alone.document("status", "profiled/one")["sealed"]
    assert alone.document("bank", "balance")["balance"] != "0"
    assert "(default)" in alone.text("profile", "list")
    alone.text("profile", "remove", "here")
    assert alone.refusal("status", "profiled/one")["reason"] == "not-running"


def test_a_gateway_may_be_named_beside_the_chain(client: Client, net: greenray.Network) -> None:
    second_address, second = list(net.gateways.items())[1]
    alone = Client(client.home, {**client.variables, "GREENRAY_GATEWAY_URL": second})
    stored = alone.document("put", _file(client, b"to the second"), "second/one")
    assert stored["sealed"]
    assert second_address not in [s["operator_address"] for s in stored["secondaries"]]


def test_without_a_key_it_is_said_which_one_to_name(client: Client) -> None:
    alone = Client(client.home, {"GREENRAY_CHAIN_URL": client.variables["GREENRAY_CHAIN_URL"]})
    error = alone.refusal("status", "photos/one")
    assert (error["reason"], "--key" in error["message"]) == ("key-missing", True)


def test_a_network_elsewhere_has_no_status_of_its_own(client: Client) -> None:
    result = client.run("status")
    assert (result.exit_code, "name BUCKET/OBJECT" in result.stderr) == (2, True)


def test_what_is_wrong_with_an_access_is_an_error_like_any_other(client: Client) -> None:
    assert client.refusal("status", "a/b", "--profile", "none")["reason"] == "invalid-input"
    assert client.refusal("status", "a/b", "--chain", "nonsense")["reason"] == "invalid-setting"
    silent = client.refusal("status", "photos/b", "--chain", "http://127.0.0.1:1")
    assert silent["reason"] == "chain-unavailable"


def _file(client: Client, payload: bytes) -> Path:
    path = client.home / "payload"
    path.write_bytes(payload)
    return path


def _password_file(client: Client) -> Path:
    path = client.home / "password"
    path.write_text("a long password\n")
    return path
