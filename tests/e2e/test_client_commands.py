"""The command as a client of a network that it knows by its chain, its gateway and a key alone."""

from __future__ import annotations

import asyncio
import io
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenray
from greenray.client.creation import PutOptions
from greenray.client.network_file import read_network
from greenray.client.payload_io import VerifiedDownload
from greenray.client.progress import Progress, ProgressReporter
from greenray.client.user import open_client, split_name
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


# --- files, streams and what stands at a name ----------------------------------------------------


@pytest.fixture(scope="module")
def stored(client: Client) -> str:
    """The name of an object with ``PAYLOAD``."""
    client.text("put", _file(client, PAYLOAD), "shelf/box/stored.bin")
    return "shelf/box/stored.bin"


def test_an_object_goes_to_stdout_whole_and_alone(client: Client, stored: str) -> None:
    assert client.run("get", stored, "-").stdout_bytes == PAYLOAD
    assert client.run("cat", stored, f"gnfd://{stored}").stdout_bytes == 2 * PAYLOAD
    assert not (Path.cwd() / "-").exists()
    error = client.run("get", "shelf/none", "-")
    assert (error.exit_code, error.stdout) == (1, "")


def test_a_directory_gets_it_by_its_last_name(client: Client, stored: str, tmp_path: Path) -> None:
    client.text("get", stored, tmp_path)
    client.text("get", stored, f"{tmp_path}/new/folder/")
    for directory in (tmp_path, tmp_path / "new" / "folder"):
        assert (directory / "stored.bin").read_bytes() == PAYLOAD


def test_a_file_that_is_there_is_replaced_or_left_as_it_is(
    client: Client, stored: str, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    assert client.document("get", stored, target, "--no-clobber")["skipped"]
    assert target.read_bytes() == b"old"
    assert client.refusal("get", "shelf/none", target)["reason"] == "no-such-object"
    assert target.read_bytes() == b"old"
    client.text("get", stored, target)
    assert target.read_bytes() == PAYLOAD
    assert os.listdir(tmp_path) == ["target"]


def test_a_pipe_is_read_once_and_put(client: Client, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(PAYLOAD,))
    writer.start()
    client.text("put", pipe, "streams/pipe")
    writer.join()
    assert client.run("cat", "streams/pipe").stdout_bytes == PAYLOAD


def test_stdin_is_put_by_a_process_of_its_own(client: Client) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GREENRAY_")}
    put = subprocess.run(
        [sys.executable, "-m", "greenray", "put", "-", "streams/stdin"],
        input=PAYLOAD,
        env=inherited | client.variables | {"HOME": str(client.home)},
        capture_output=True,
    )
    assert put.returncode == 0, put.stderr
    assert client.run("cat", "streams/stdin").stdout_bytes == PAYLOAD


def test_a_directory_wants_recursive(client: Client, tmp_path: Path) -> None:
    assert "--recursive" in client.refusal("put", tmp_path, "shelf/directory")["message"]


def test_cp_goes_either_way_and_from_object_to_object(
    client: Client, source: Path, tmp_path: Path
) -> None:
    client.text("cp", source, "copies/one")
    client.text("cp", "copies/one", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == PAYLOAD
    client.text("cp", "gnfd://copies/one", "gnfd://copies/two")
    assert client.run("cat", "copies/two").stdout_bytes == PAYLOAD


def test_what_would_be_done_is_said_and_not_done(client: Client, stored: str, source: Path) -> None:
    assert "would put" in client.text("put", source, "dry/one", "--dry-run")
    folder = client.text("put", "-r", source.parent, "dry", "--dry-run")
    assert folder == f"would put {source} as dry/source.bin\n"
    assert client.refusal("stat", "dry/one")["reason"] == "no-such-bucket"
    assert "would get" in client.text("get", stored, source.parent / "no", "--dry-run")
    assert not (source.parent / "no").exists()
    assert client.text("rm", stored, "--dry-run") == f"would delete {stored}\n"
    assert client.document("stat", stored)["size_bytes"] == len(PAYLOAD)


def test_quiet_says_nothing(client: Client, source: Path) -> None:
    quiet = client.run("put", source, "quiet/one", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    got = client.run("get", "quiet/one", source, "--quiet")
    assert (got.exit_code, got.output) == (0, "")


def test_a_download_that_broke_off_goes_on_from_what_came(
    client: Client, net: greenray.Network, tmp_path: Path
) -> None:
    payload, came = random.Random(8).randbytes(9 << 20), 8 << 20
    client.text("put", _file(client, payload), "shelf/large")
    target, reports = tmp_path / "large", list[Progress]()

    async def get() -> None:
        async with open_client(read_network(net.state_dir)) as user:
            info = await user.head_object("shelf", "large")
            broken = VerifiedDownload(target, SEGMENT_SIZE_BYTES)
            broken.go_on(info.checksums[0], len(payload))
            broken.write(payload[:came])
            broken.keep()
            broken.abort()
            await user.get("shelf", "large", target, on_progress=reports.append)

    asyncio.run(get())
    assert (reports[0].done, reports[-1].done) == (came, len(payload))
    assert target.read_bytes() == payload
    assert os.listdir(tmp_path) == ["large"]


def test_status_says_of_something_missing_what_get_says(client: Client, stored: str) -> None:
    for name in ("shelf/none", "no-such-bucket/none"):
        said = client.refusal("status", name)
        assert said == client.refusal("get", name, client.home / "none")
        assert "http" not in said["message"]


# --- empty objects -------------------------------------------------------------------------------


def test_an_empty_file_and_a_folder_are_put_shown_and_read_back(
    client: Client, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for name in ("empty/file", "empty/folder/"):
        stored = client.document("put", empty, name)
        assert (stored["sealed"], stored["payload_size_bytes"]) == (True, 0)
    client.text("get", "empty/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""
    assert client.document("stat", "empty/folder/")["status"] == "OBJECT_STATUS_SEALED"
    assert client.run("cat", "empty/file").stdout_bytes == b""
    many = client.text("put", "-r", tmp_path, "empty/many")
    assert many.startswith("2 sealed; 0 B"), many


# --- buckets and deleting ------------------------------------------------------------------------


def test_a_bucket_is_made_shown_and_removed(client: Client) -> None:
    assert client.text("mb", "made-once").startswith("made-once: bucket ")
    assert "yours" in client.refusal("mb", "made-once")["message"]
    assert client.document("stat", "made-once")["visibility"] == "VISIBILITY_TYPE_PRIVATE"
    assert client.document("rb", "made-once")["bucket"] == "made-once"
    assert client.refusal("stat", "made-once")["reason"] == "no-such-bucket"


def test_objects_are_deleted_and_who_is_missing_is_named(client: Client, source: Path) -> None:
    for name in ("bin/one", "bin/two"):
        client.text("put", source, name)
    result = client.run("rm", "bin/one", "bin/none", "bin/two")
    assert (result.exit_code, "bin/none" in result.stderr) == (1, True)
    assert client.refusal("stat", "bin/one")["reason"] == "no-such-object"
    assert client.refusal("rb", "none")["reason"] == "no-such-bucket"


def test_many_are_not_deleted_where_nobody_can_be_asked(client: Client) -> None:
    for arguments in (("rm", "-r", "shelf"), ("rm", "shelf/*"), ("rb", "shelf", "--force")):
        result = client.run(*arguments)
        assert (result.exit_code, "--yes" in result.stderr) == (2, True), arguments


# --- an object that waits for its payload --------------------------------------------------------


def _created_only(net: greenray.Network, name: str, payload: bytes) -> None:
    """On chain, as by a put that broke off before its payload was sent."""

    async def create() -> None:
        async with open_client(read_network(net.state_dir)) as user:
            await user.prepare(
                io.BytesIO(payload),
                "payload",
                *split_name(name),
                PutOptions(),
                ProgressReporter(None),
            )

    asyncio.run(create())


def test_an_object_that_waits_for_its_payload_is_cancelled(
    client: Client, net: greenray.Network, source: Path
) -> None:
    _created_only(net, "waiting/one", PAYLOAD[:-1])
    error = client.refusal("put", source, "waiting/one")
    assert error["reason"] == "payload-size-mismatch"
    assert "--replace-created" in error["message"]
    assert client.document("cancel", "waiting/one")["cancelled"]
    assert client.document("put", source, "waiting/one")["sealed"]
    assert "nothing to cancel" in client.refusal("cancel", "waiting/one")["message"]


@pytest.mark.parametrize("waiting", [PAYLOAD[:-1], PAYLOAD[::-1]], ids=["shorter", "other bytes"])
def test_other_bytes_take_its_place_when_that_is_asked_for(
    client: Client, net: greenray.Network, source: Path, waiting: bytes
) -> None:
    name = f"waiting/{len(waiting)}"
    _created_only(net, name, waiting)
    assert client.run("put", source, name).exit_code == 1
    assert client.document("put", source, name, "--replace-created")["sealed"]
    assert client.run("cat", name).stdout_bytes == PAYLOAD


def test_a_sealed_object_is_never_replaced(client: Client, stored: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    error = client.refusal("put", other, stored, "--replace-created")
    assert error["reason"] == "wrong-object-status"
    assert client.run("cat", stored).stdout_bytes == PAYLOAD


# --- links ---------------------------------------------------------------------------------------


def test_a_public_object_has_links_and_a_private_one_none(client: Client, stored: str) -> None:
    assert client.refusal("share", stored)["reason"] == "access-denied"
    links = client.document("share", stored, "--public")
    assert links["view"].endswith(f"/view/{stored}")
    assert links["download"].endswith(f"/download/{stored}")
    assert client.document("share", stored, "--private") == {"object": stored, "public": False}
    assert client.refusal("share", stored)["reason"] == "access-denied"


def _file(client: Client, payload: bytes) -> Path:
    path = client.home / "payload"
    path.write_bytes(payload)
    return path


def _password_file(client: Client) -> Path:
    path = client.home / "password"
    path.write_text("a long password\n")
    return path
