"""Commands against one running network on Ray."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import pty
import random
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest
from aiohttp.payload import AsyncIterablePayload

from greenray.chain import wire
from greenray.chain.dialects import get_dialect
from greenray.chain.dialects.v0_2 import MsgSealObject
from greenray.chain.keystore import KeyRing
from greenray.chain.rpc.client import RpcChainClient
from greenray.client.creation import Creator, PutOptions
from greenray.client.gateway_session import GatewaySession
from greenray.client.network_file import read_network
from greenray.client.user import open_client
from greenray.coding.checksums import hash_payload
from greenray.coding.codec import get_codec
from greenray.protocol.errors import ComponentUnavailable, GreenrayError
from greenray.protocol.objects import ObjectInfo, ObjectStatus
from tests.support.cli import (
    COMMAND,
    PATIENCE_S,
    SEGMENT_SIZE_BYTES,
    SMALL_NETWORK,
    Surroundings,
    UpNetwork,
    start_network,
)
from tests.support.small_disk import small_disk

PIECE_DISK_BYTES = 64 * 1024 * 1024
STATES = [
    "INIT_UNSPECIFIED",
    "UPLOAD_OBJECT_DOING",
    "UPLOAD_OBJECT_DONE",
    "REPLICATE_OBJECT_DOING",
    "REPLICATE_OBJECT_DONE",
    "SIGN_OBJECT_DOING",
    "SIGN_OBJECT_DONE",
    "SEAL_OBJECT_TX_DOING",
    "SEAL_OBJECT_DONE",
]
STATUS_KEYS = {
    "bucket",
    "object",
    "object_id",
    "state",
    "state_number",
    "history",
    "secondaries",
    "replaced",
    "seal_tx_hash",
    "error",
}
"""What others script against; there may be more."""


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Surroundings:
    return Surroundings(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def small_piece_disk(surroundings: Surroundings) -> Iterator[bool]:
    """Whether all pieces lie on a disk of their own, which can be filled."""
    pieces = surroundings.state_dir / "pieces"
    pieces.mkdir(parents=True)
    with small_disk(pieces, PIECE_DISK_BYTES) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def network(surroundings: Surroundings, small_piece_disk: bool) -> Iterator[UpNetwork]:
    network = start_network(surroundings)
    yield network
    assert network.stop().exit_code == 0
    assert surroundings.processes() == []


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An object name of this test alone."""
    return f"album/{request.node.name}"


@pytest.fixture
def payload() -> bytes:
    return random.Random(11).randbytes(3 * SEGMENT_SIZE_BYTES + 12345)


@pytest.fixture
def file(tmp_path: Path, payload: bytes) -> Path:
    path = tmp_path / "payload.bin"
    path.write_bytes(payload)
    return path


# --- put, status, get ----------------------------------------------------------------------------


def test_a_file_is_put_sealed_read_back_and_everything_is_documented(
    network: UpNetwork, name: str, file: Path, payload: bytes, tmp_path: Path
) -> None:
    put = network.call("put", file, name, "--json")
    assert put.exit_code == 0
    assert "error" not in put.stderr  # on a slow machine it has a line for each stage
    status = network.answer("status", name)
    assert put.document.keys() - status.keys() == {"stages"}
    assert {key: put.document[key] for key in status} == status

    assert status.keys() >= STATUS_KEYS
    assert f"{status['bucket']}/{status['object']}" == name
    assert (status["state"], status["state_number"]) == ("SEAL_OBJECT_DONE", 14)
    assert status["error"] is None
    assert status["replaced"] == []
    assert [entry["state"] for entry in status["history"]] == STATES
    times = [entry["at"] for entry in status["history"]]
    assert times == sorted(times)
    hashes = network.answer("hash", file, "--segment-size", SEGMENT_SIZE_BYTES)["integrity_hashes"]
    assert [s["redundancy_index"] for s in status["secondaries"]] == list(range(6))
    assert [s["integrity_hash"] for s in status["secondaries"]] == hashes[1:]
    others = {g["operator_address"] for g in network.document["gateways"][1:]}
    assert {s["operator_address"] for s in status["secondaries"]} == others

    target = tmp_path / "copy"
    get = network.call("get", name, target, "--json")
    assert (get.exit_code, get.stderr) == (0, "")
    assert get.document["integrity_hash"] == hashes[0]
    assert get.document["payload_size_bytes"] == len(payload)
    assert target.read_bytes() == payload


def test_a_sealed_object_shows_when_each_batch_was_worked_on_and_where(
    network: UpNetwork, name: str, file: Path, tmp_path: Path
) -> None:
    network.answer("put", file, name)
    document = network.answer("status", name, "--timeline")
    assert document["missing"] == document["silent"] == []
    assert document["one_clock"]
    processes = {
        stage["process"].rpartition("-")[0] or stage["process"]: stage["pid"]
        for stage in document["stages"]
    }
    assert processes.keys() == {"uploader", "task_node", "receiver", "signer"}
    assert processes["signer"] == processes["task_node"]
    assert len(set(processes.values())) == 3
    encoded = [s for s in document["stages"] if s["stage"] == "encoded"]
    stored = [s for s in document["stages"] if s["stage"] == "stored"]
    assert len(encoded) == document["batches"]
    assert min(s["start_s"] for s in encoded) < min(s["start_s"] for s in stored)
    assert document["cpu"][0]["use"]

    trace = tmp_path / "trace.json"
    shown = network.call("status", name, "--timeline", "--perfetto", trace)
    assert shown.exit_code == 0
    assert "stored 5" in shown.stdout
    slices = [e for e in json.loads(trace.read_text())["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == len(document["stages"]) + len(document["states"])

    unknown = network.call("status", f"{name}-that-is-not-there", "--timeline", "--json")
    assert unknown.exit_code == 1
    assert unknown.document["error"]["reason"] == "no-such-object"


def test_the_record_and_the_transaction_of_a_sealed_object_can_be_read_by_plain_get(
    network: UpNetwork, name: str, file: Path
) -> None:
    status = network.answer("put", file, name)
    bucket, object_name = name.split("/")
    asked = wire.storage.QueryHeadObjectRequest(bucket_name=bucket, object_name=object_name)
    path = quote('"/greenfield.storage.Query/HeadObject"')
    data = asked.SerializeToString().hex()
    answer = plain_get(f"{network.chain_endpoint}/abci_query?path={path}&data=0x{data}")
    value = base64.b64decode(answer["response"]["value"])
    record = wire.decode(wire.storage.QueryHeadObjectResponse, value).object_info
    assert record.object_status == ObjectStatus.OBJECT_STATUS_SEALED
    assert record.payload_size == file.stat().st_size
    sealed_by = [s["operator_address"] for s in status["secondaries"]]
    assert list(record.secondary_sp_addresses) == sealed_by

    answer = plain_get(f"{network.chain_endpoint}/tx?hash=0x{status['seal_tx_hash']}")
    assert answer["tx_result"]["code"] == 0
    assert int(answer["height"]) == status["seal_height"]
    raw = wire.decode(wire.tx.TxRaw, base64.b64decode(answer["tx"]))
    [message] = wire.decode(wire.tx.TxBody, raw.body_bytes).messages
    seal = get_dialect().decode_message(message.type_url, message.value)
    assert isinstance(seal, MsgSealObject)
    assert (seal.bucket_name, seal.object_name) == (bucket, object_name)
    assert list(seal.secondary_sp_addresses) == sealed_by
    assert len(network.seal_transactions(status["object_id"])) == 1


def plain_get(url: str) -> Any:
    """The result in what ``curl URL`` would show."""
    with urlopen(url, timeout=30) as answer:
        return json.load(answer)["result"]


def test_a_replica_object_is_sealed_with_whole_copies(
    network: UpNetwork, name: str, file: Path, payload: bytes, tmp_path: Path
) -> None:
    status = network.answer("put", "--replica", file, name)
    assert status["state"] == "SEAL_OBJECT_DONE"
    hashes = network.answer("hash", "--replica", file, "--segment-size", SEGMENT_SIZE_BYTES)
    sealed = [s["integrity_hash"] for s in status["secondaries"]]
    assert sealed == hashes["integrity_hashes"][1:]
    assert len(set(sealed)) == 1
    network.answer("get", name, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == payload


def test_an_object_is_read_and_repaired_without_its_segments_and_two_secondaries_pieces(
    network: UpNetwork, name: str, file: Path, payload: bytes, tmp_path: Path
) -> None:
    object_id = network.answer("put", file, name)["object_id"]
    pieces = network.surroundings.state_dir / "pieces"
    (segments,) = pieces.glob(f"*/columns/*/s{object_id}")
    lost = [segments, *sorted(pieces.glob(f"*/columns/*/e{object_id}_p*"))[:2]]
    for column in lost:
        column.unlink()
    network.answer("get", name, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == payload
    give_up_at = time.monotonic() + PATIENCE_S
    while not segments.is_file() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert segments.read_bytes() == payload


def test_objects_of_one_user_can_be_put_at_once(network: UpNetwork, name: str, file: Path) -> None:
    running = [network.surroundings.start("put", file, f"{name}-{i}", "--json") for i in range(3)]
    outcomes = [command.end() for command in running]
    assert [outcome.exit_code for outcome in outcomes] == [0, 0, 0], outcomes
    documents = [outcome.document for outcome in outcomes]
    assert {document["state"] for document in documents} == {"SEAL_OBJECT_DONE"}
    assert len({document["seal_tx_hash"] for document in documents}) == 3


def test_put_need_not_wait_for_the_seal_and_status_can(
    network: UpNetwork, name: str, file: Path
) -> None:
    put = network.answer("put", "--wait", "uploaded", file, name)
    assert put["state_number"] >= 2
    watched = network.call("status", "--watch", name, "--json")
    assert watched.document["state"] == "SEAL_OBJECT_DONE"


def test_results_are_for_people_unless_json_is_asked_for(
    network: UpNetwork, name: str, file: Path, tmp_path: Path
) -> None:
    put = network.call("put", file, name)
    assert "SEAL_OBJECT_DONE, sealed by " in put.stdout
    status = network.call("status", name).stdout
    assert all(state in status for state in STATES)
    assert status.count("  secondary ") == 6
    assert "verified" in network.call("get", name, tmp_path / "copy").stdout
    running = network.call("status").stdout
    assert network.chain_endpoint in running
    assert all(gateway["endpoint"] in running for gateway in network.document["gateways"])
    assert network.answer("status") == network.document


def test_progress_goes_to_a_terminal_on_stderr_and_the_document_to_stdout(
    network: UpNetwork, name: str, file: Path
) -> None:
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "put", str(file), name, "--json"],
        env=network.surroundings.environment(TERM="xterm", COLUMNS="160", LINES="40"),
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
    os.close(stderr)
    shown = "".join(_until_closed(terminal))
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert json.loads(stdout)["state"] == "SEAL_OBJECT_DONE"
    for stage in ("hashing", "creating on chain", "upload", "copies", "sealing"):
        assert stage in shown


def _until_closed(terminal: int) -> Iterator[str]:
    with closing(os.fdopen(terminal, "rb", buffering=0)) as screen:
        while True:
            try:
                yield screen.read(65536).decode(errors="replace")
            except OSError:  # what Linux says when the last writer has gone
                return


# --- an object that is there already -------------------------------------------------------------


def test_put_continues_an_object_that_was_created_only(
    network: UpNetwork, name: str, file: Path, payload: bytes
) -> None:
    info = asyncio.run(create(network, name, payload))
    status = network.answer("put", file, name)
    assert (status["object_id"], status["state"]) == (info.id, "SEAL_OBJECT_DONE")


def test_put_continues_an_upload_that_was_interrupted(
    network: UpNetwork, name: str, file: Path, payload: bytes
) -> None:
    info = asyncio.run(create(network, name, payload))
    with pytest.raises(ComponentUnavailable):
        asyncio.run(send(network, name, payload[:100_000], declared=len(payload)))
    status = await_state(network, name, "UPLOAD_OBJECT_ERROR")
    assert status["error"]["reason"] == "payload-interrupted"
    assert unfinished_pieces(network) == []
    status = network.answer("put", file, name)
    assert (status["object_id"], status["state"]) == (info.id, "SEAL_OBJECT_DONE")


def test_put_refuses_an_object_that_is_sealed(network: UpNetwork, name: str, file: Path) -> None:
    network.answer("put", file, name)
    error = network.call("put", file, name, "--json").error
    assert error["reason"] == "wrong-object-status"
    assert name in error["message"]
    assert "OBJECT_STATUS_SEALED" in error["message"]


def test_put_refuses_to_continue_with_another_payload(
    network: UpNetwork, name: str, file: Path, payload: bytes
) -> None:
    asyncio.run(create(network, name, payload))
    file.write_bytes(payload[::-1])
    assert network.call("put", file, name, "--json").error["reason"] == "integrity-hash-mismatch"
    file.write_bytes(payload[:-1])
    assert network.call("put", file, name, "--json").error["reason"] == "payload-size-mismatch"
    assert network.answer("status", name)["state"] == "INIT_UNSPECIFIED"


# --- a payload that is not what was declared -----------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda payload: payload[:-1] + b"?", "integrity-hash-mismatch"),
        (lambda payload: payload[:-1], "payload-size-mismatch"),
        (lambda payload: payload + b"?", "payload-size-mismatch"),
    ],
    ids=["wrong-checksum", "shorter", "longer"],
)
def test_another_payload_than_declared_is_refused_and_can_be_put_right(
    network: UpNetwork,
    name: str,
    file: Path,
    payload: bytes,
    change: Callable[[bytes], bytes],
    reason: str,
) -> None:
    asyncio.run(create(network, name, payload))
    with pytest.raises(GreenrayError) as caught:
        asyncio.run(send(network, name, change(payload)))
    assert caught.value.reason == reason
    assert unfinished_pieces(network) == []
    assert network.answer("put", file, name)["state"] == "SEAL_OBJECT_DONE"


def test_a_broken_signature_is_refused(network: UpNetwork, name: str, payload: bytes) -> None:
    asyncio.run(create(network, name, payload))
    with pytest.raises(GreenrayError) as caught:
        asyncio.run(send(network, name, payload, private_key=os.urandom(32)))
    assert caught.value.reason == "access-denied"
    with pytest.raises(GreenrayError) as caught:
        asyncio.run(send(network, name, payload, private_key=None))
    assert caught.value.reason in ("bad-answer", "access-denied", "bad-signature")
    assert network.answer("status", name)["state"] == "INIT_UNSPECIFIED"


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["get", "status"])
def test_an_unknown_bucket_and_an_unknown_object_are_named(
    network: UpNetwork, name: str, file: Path, tmp_path: Path, command: str
) -> None:
    target = tmp_path / "copy"
    arguments = [target, "--json"] if command == "get" else ["--json"]
    error = network.call(command, "no-such-bucket/thing", *arguments).error
    assert error["reason"] in ("no-such-bucket", "no-such-object")
    assert "no-such-bucket" in error["message"]
    asyncio.run(create(network, name, file.read_bytes()))
    error = network.call(command, "album/no-such-object", *arguments).error
    assert error["reason"] == "no-such-object"
    assert "album/no-such-object" in error["message"]
    assert not target.exists()


def test_an_object_that_is_not_sealed_cannot_be_read(
    network: UpNetwork, name: str, payload: bytes, tmp_path: Path
) -> None:
    asyncio.run(create(network, name, payload))
    error = network.call("get", name, tmp_path / "copy", "--json").error
    assert error["reason"] == "wrong-object-status"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_put_is_refused_before_anything_is_created(
    network: UpNetwork, name: str, file: Path, tmp_path: Path
) -> None:
    for source, target, reason in (
        (tmp_path / "missing", name, "unreadable-file"),
        (tmp_path, name, "unreadable-file"),
        (file, "no-object", "invalid-name"),
        (file, "UPPER/case", "invalid-name"),
    ):
        error = network.call("put", source, target, "--json").error
        assert error["reason"] == reason
        assert str(source if source is not file else target.split("/")[0]) in error["message"]
    assert network.call("status", name, "--json").error["reason"].startswith("no-such-")


def test_a_wrong_option_is_wrong_usage(network: UpNetwork, name: str, file: Path) -> None:
    outcome = network.call("put", "--wait", "forever", file, name)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "forever" in outcome.stderr


def test_a_target_that_cannot_be_written_is_named(
    network: UpNetwork, name: str, file: Path, tmp_path: Path
) -> None:
    network.answer("put", file, name)
    error = network.call("get", name, tmp_path / "none" / "copy", "--json").error
    assert error["reason"] == "unreadable-file"
    assert str(tmp_path / "none") in error["message"]


def test_without_a_running_network_every_command_says_how_to_start_one(
    tmp_path: Path, file: Path
) -> None:
    elsewhere = Surroundings(tmp_path / "elsewhere")
    for command in (
        ["put", file, "album/x"],
        ["get", "album/x", tmp_path / "copy"],
        ["status"],
        ["status", "album/x"],
        ["down"],
    ):
        error = elsewhere.call(*command, "--json").error
        assert error["reason"] == "not-running"
        assert "greenray up" in error["message"]
    assert not elsewhere.state_dir.exists()


# --- a second network ----------------------------------------------------------------------------


@pytest.mark.parametrize("detach", [[], ["--detach"]], ids=["foreground", "detached"])
def test_a_second_up_on_the_same_state_directory_is_refused(
    network: UpNetwork, detach: list[str]
) -> None:
    error = network.surroundings.run("up", *detach, "--json").error
    assert error["reason"] == "already-running"
    assert str(network.surroundings.state_dir) in error["message"]
    assert network.answer("status") == network.document


@pytest.mark.parametrize("section", ["gateway", "chain"])
def test_a_port_that_is_in_use_is_named_and_nothing_stays(
    network: UpNetwork, tmp_path: Path, section: str
) -> None:
    taken = {
        "gateway": network.document["gateways"][0]["endpoint"],
        "chain": network.chain_endpoint,
    }
    port = urlsplit(taken[section]).port
    other = Surroundings(tmp_path / "other")
    settings = {name: dict(values) for name, values in SMALL_NETWORK.items()}
    settings[section]["port"] = port
    other.write_settings(settings)
    error = other.run("up", "--json").error
    assert error["reason"] == "port-in-use"
    assert str(port) in error["message"]
    assert other.processes() == []
    assert other.call("status", "--json").error["reason"] == "not-running"


# --- no space left -------------------------------------------------------------------------------


@pytest.fixture
def full_piece_disk(network: UpNetwork, small_piece_disk: bool) -> Iterator[Path]:
    """The ballast that fills the disk; half a MiB is left. To be removed, or it is afterwards."""
    if not small_piece_disk:
        pytest.skip("mounting a small disk needs root")
    pieces = network.surroundings.state_dir / "pieces"
    status = os.statvfs(pieces)
    ballast = pieces / "ballast"
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - 512 * 1024))
    yield ballast
    ballast.unlink(missing_ok=True)


def test_a_payload_that_does_not_fit_is_refused_and_goes_up_once_there_is_room(
    network: UpNetwork, full_piece_disk: Path, name: str, file: Path
) -> None:
    file.write_bytes(os.urandom(1024 * 1024))
    error = network.call("put", file, name, "--json").error
    assert error["reason"] == "no-space-left"
    assert name in error["message"]
    assert unfinished_pieces(network) == []
    status = network.answer("status", name)
    assert status["state"] == "UPLOAD_OBJECT_ERROR"
    assert status["error"]["reason"] == "no-space-left"
    full_piece_disk.unlink()
    assert network.answer("put", file, name)["object_id"] == status["object_id"]


def test_secondaries_without_space_are_tried_again_until_there_is_room(
    network: UpNetwork, full_piece_disk: Path, name: str, file: Path
) -> None:
    file.write_bytes(os.urandom(400 * 1024))
    network.answer("put", "--wait", "uploaded", file, name)
    status = await_state(network, name, "REPLICATE_OBJECT_ERROR")
    assert "no space left" in json.dumps(status)
    full_piece_disk.unlink()
    sealed = network.call("status", "--watch", name, "--json").document
    assert sealed["state"] == "SEAL_OBJECT_DONE"
    assert unfinished_pieces(network) == []


def test_a_download_that_does_not_fit_leaves_nothing(
    network: UpNetwork, name: str, file: Path, tmp_path: Path
) -> None:
    network.answer("put", file, name)
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, 64 * 1024) as mounted:
        if not mounted:
            pytest.skip("mounting a small disk needs root")
        error = network.call("get", name, disk / "copy", "--json").error
        assert error["reason"] == "no-space-left"
        assert str(disk / "copy") in error["message"]
        assert list(disk.iterdir()) == []


# --- what a client does that is not ours ---------------------------------------------------------


def user_key(network: UpNetwork) -> bytes:
    document = network.document
    return KeyRing.from_key_file(document["keys"]).user_key(document["user_key_name"])


def gateway(network: UpNetwork, private_key: bytes | None) -> GatewaySession:
    return GatewaySession(network.document["gateways"][0]["endpoint"], private_key)


async def create(network: UpNetwork, name: str, payload: bytes) -> ObjectInfo:
    """An object on chain, without its payload."""
    chain = RpcChainClient(network.chain_endpoint, get_dialect())
    session = gateway(network, user_key(network))
    creator = Creator(chain, get_dialect(), user_key(network))
    bucket, object_name = name.split("/")
    checksums = hash_payload(io.BytesIO(payload), SEGMENT_SIZE_BYTES, 4, 2, get_codec())
    try:
        await creator.create_bucket(session, bucket, network.primary, PutOptions())
        return await creator.create_object(session, bucket, object_name, checksums, PutOptions())
    finally:
        await session.close()
        await chain.close()


async def send(
    network: UpNetwork,
    name: str,
    payload: bytes,
    *,
    declared: int | None = None,
    private_key: bytes | None = b"",
) -> None:
    """PUT, whatever the chain says. Where more is ``declared`` than there is, the connection ends
    once the gateway has begun."""

    async def body() -> AsyncIterator[bytes]:
        yield payload
        if declared is not None:
            await upload_begun(network, name)
            raise OSError("the cable was pulled")

    session = gateway(network, user_key(network) if private_key == b"" else private_key)
    headers = {"Content-Length": str(declared or len(payload))}
    try:
        async with session.request("PUT", f"/{name}", "", headers, AsyncIterablePayload(body())):
            pass
    finally:
        await session.close()


async def upload_begun(network: UpNetwork, name: str) -> None:
    async with open_client(read_network(network.surroundings.state_dir)) as client:
        while True:
            status = await client.status(*name.split("/"))
            if status["state"] == "UPLOAD_OBJECT_DOING":
                return
            await asyncio.sleep(0.01)


def await_state(network: UpNetwork, name: str, state: str) -> dict[str, Any]:
    while (status := network.answer("status", name))["state"] != state:
        assert not status["final"], status
    return status


def unfinished_pieces(network: UpNetwork) -> list[Path]:
    return list(network.surroundings.state_dir.glob("pieces/*/unfinished/*"))
