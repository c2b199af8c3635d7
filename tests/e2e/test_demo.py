"""``greenray demo``: everything in one command, and what scripts get from it."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli import Outcome, Surroundings

VECTORS = Path(__file__).parent.parent / "vectors" / "data"
GENESIS = VECTORS / "genesis-v0_2.json"
KEYS = {
    "payload_size_bytes",
    "payload_sha256",
    "downloaded_sha256",
    "state",
    "object_id",
    "seal_tx_hash",
    "seal_height",
    "secondaries",
    "replaced",
    "stages",
    "upload_to_sealed_mb_s",
}
STAGES = {"start_s", "prepare_s", "upload_s", "replicate_s", "seal_s", "download_s"}
DEMO_SETTINGS = {"budget": {"memory_bytes": 1024 * 1024 * 1024}}


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path / "here", DEMO_SETTINGS)
    yield surroundings
    surroundings.kill_everything()


def check(
    outcome: Outcome, surroundings: Surroundings, sha256: str | None = None, secondaries: int = 6
) -> None:
    """One document with everything that scripts rely on; nothing stays."""
    assert outcome.exit_code == 0, outcome
    document = outcome.document
    assert document.keys() >= KEYS
    assert document["state"] == "SEAL_OBJECT_DONE"
    assert document["downloaded_sha256"] == document["payload_sha256"]
    assert sha256 in (None, document["payload_sha256"])
    assert len(bytes.fromhex(document["seal_tx_hash"])) == 32
    assert document["seal_height"] > 0
    assert [s["redundancy_index"] for s in document["secondaries"]] == list(range(secondaries))
    for secondary in document["secondaries"]:
        assert secondary.keys() == {"redundancy_index", "operator_address", "integrity_hash"}
        assert len(bytes.fromhex(secondary["integrity_hash"])) == 32
    assert len({s["operator_address"] for s in document["secondaries"]}) == secondaries
    assert document["replaced"] == []
    assert document["stages"].keys() == STAGES
    assert all(seconds >= 0 for seconds in document["stages"].values())
    assert document["upload_to_sealed_mb_s"] > 0
    assert surroundings.processes() == []


def test_a_demo_of_two_and_one_on_four_providers_stores_random_bytes(
    surroundings: Surroundings,
) -> None:
    shape = {"redundant_data_chunk_num": 2, "redundant_parity_chunk_num": 1}
    surroundings.write_settings({**DEMO_SETTINGS, "chain": {"genesis_params": shape}})
    outcome = surroundings.run("demo", "--size", "1MiB", "--sps", "4", "--json")
    check(outcome, surroundings, secondaries=3)
    assert outcome.document["payload_size_bytes"] == 1024 * 1024


def test_a_shape_that_cannot_have_enough_providers_starts_nothing(
    surroundings: Surroundings,
) -> None:
    shape = {"redundant_data_chunk_num": 8, "redundant_parity_chunk_num": 3}
    surroundings.write_settings({**DEMO_SETTINGS, "chain": {"genesis_params": shape}})
    for command in ("demo", "up"):
        error = surroundings.call(command, "--json").error
        assert error["reason"] == "invalid-setting"
        assert "8+3 needs 12 storage providers" in error["message"]
        assert surroundings.processes() == []
        assert not surroundings.state_dir.exists()


def test_a_demo_with_a_file_and_spare_providers_leaves_the_file_and_no_state(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    payload = random.Random(9).randbytes(17 * 1024 * 1024 + 5)
    file = tmp_path / "holiday.mp4"
    file.write_bytes(payload)
    outcome = surroundings.run("demo", "--input", file, "--sps", "9", "--json")
    check(outcome, surroundings, hashlib.sha256(payload).hexdigest())
    assert "9 storage providers are up" in outcome.stderr
    assert file.read_bytes() == payload
    assert not surroundings.state_dir.exists()


def test_a_demo_without_a_payload_that_can_be_read_starts_nothing(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    for name, reason in (("missing", "unreadable-file"), ("empty", "empty-payload")):
        outcome = surroundings.call("demo", "--input", tmp_path / name, "--json")
        assert outcome.error["reason"] == reason
        assert str(tmp_path / name) in outcome.error["message"]
        assert "starting" not in outcome.stderr
        assert surroundings.processes() == []


def test_a_demo_on_a_chain_of_someone_else_even_where_its_ports_are_taken(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    with reference_chain(tmp_path / "chain") as endpoint, taken(9033), taken(9036):
        outcome = surroundings.run(
            "demo",
            *("--chain-endpoint", endpoint),
            *("--keys", VECTORS / "chain-v0_2.json"),
            *("--size", "1MiB", "--json"),
        )
        check(outcome, surroundings)


def test_a_chain_of_someone_else_with_too_few_providers_is_refused(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    document = json.loads(GENESIS.read_text())
    document["params"]["storage"]["versioned_params"] |= {
        "redundant_data_chunk_num": "8",
        "redundant_parity_chunk_num": "3",
    }
    genesis = tmp_path / "genesis.json"
    genesis.write_text(json.dumps(document))
    with reference_chain(tmp_path / "chain", genesis) as endpoint:
        error = surroundings.run(
            "demo",
            *("--chain-endpoint", endpoint),
            *("--keys", VECTORS / "chain-v0_2.json"),
            *("--size", "1MiB", "--json"),
        ).error
    assert error["reason"] == "too-few-providers"
    assert "8+3 of this chain needs 12 storage providers" in error["message"]
    assert "7 are on it" in error["message"]
    assert surroundings.processes() == []


@contextmanager
def reference_chain(home: Path, genesis: Path = GENESIS) -> Iterator[str]:
    """The embedded chain from the genesis of the recorded node; its endpoint."""
    command = [sys.executable, "-m", "greenray.chain.local", "--home", str(home), "--port", "0"]
    command += ["--genesis", str(genesis), "--block-interval", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as chain:
        try:
            assert chain.stdout is not None
            yield json.loads(chain.stdout.readline())["endpoint"]
        finally:
            chain.terminate()


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody listens on this port: we, if nobody else does."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            pass
        yield
