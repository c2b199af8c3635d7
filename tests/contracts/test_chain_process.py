"""The embedded chain as a process: what it prints, how it stops, what it refuses to start with."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.local_chain import (
    ChainProcess,
    create_bucket,
    run_to_failure,
    signed,
    small_genesis,
    write_genesis,
)

GENESIS = small_genesis()


@pytest.fixture
def genesis_file(tmp_path: Path) -> Path:
    return write_genesis(tmp_path / "genesis.json", GENESIS)


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, genesis_file: Path) -> None:
    chain = ChainProcess(tmp_path / "home", "--genesis", str(genesis_file))
    assert chain.started["chain_id"] == GENESIS.chain_id
    assert chain.started["height"] >= 1
    with urllib.request.urlopen(chain.endpoint + "/health", timeout=10) as response:
        assert json.loads(response.read()) == {"jsonrpc": "2.0", "id": -1, "result": {}}
    assert chain.stop() == 0


def test_it_ends_with_the_holder_of_its_standard_input_if_asked_to(
    tmp_path: Path, genesis_file: Path
) -> None:
    command = [sys.executable, "-m", "greenray.chain.local", "--home", str(tmp_path / "home")]
    command += ["--port", "0", "--genesis", str(genesis_file), "--stop-at-eof"]
    chain = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with chain:
        assert chain.stdin is not None
        assert chain.stdout is not None
        assert json.loads(chain.stdout.readline())["height"] >= 1
        chain.stdin.write(b"not the end yet")
        chain.stdin.flush()
        assert chain.poll() is None
        chain.stdin.close()
        assert chain.wait(30) == 0


def test_a_committed_transaction_is_found_after_a_restart(
    tmp_path: Path, genesis_file: Path
) -> None:
    home = tmp_path / "home"
    chain = ChainProcess(home, "--genesis", str(genesis_file), "--block-interval", "0.05")
    tx_bytes = signed(GENESIS, "user", create_bucket(), 0)
    committed = chain.broadcast(tx_bytes, how="commit")["result"]
    assert chain.stop() == 0
    again = ChainProcess(home, "--block-interval", "0.05")
    tx_hash = base64.b64encode(hashlib.sha256(tx_bytes).digest()).decode()
    found = again.rpc("tx", hash=tx_hash)["result"]
    assert found["height"] == committed["height"]
    assert found["tx_result"] == committed["deliver_tx"]
    assert again.started["height"] >= int(committed["height"])
    assert again.stop() == 0


def test_a_home_in_use_is_refused(tmp_path: Path, genesis_file: Path) -> None:
    home = tmp_path / "home"
    chain = ChainProcess(home, "--genesis", str(genesis_file))
    second = run_to_failure(["--home", str(home), "--port", "0"])
    assert chain.stop() == 0
    assert second.returncode == 1
    assert "another chain process uses this home" in second.stderr
    assert second.stdout == ""


def test_a_port_in_use_is_refused_before_anything_is_written(
    tmp_path: Path, genesis_file: Path
) -> None:
    home = tmp_path / "home"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        failed = run_to_failure(
            ["--home", str(home), "--port", port, "--genesis", str(genesis_file)]
        )
    assert failed.returncode == 1
    assert f"port {port} cannot be used" in failed.stderr
    assert not (home / "chain.sqlite").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot be read"), ('{"chain_id": "x"}', "chain_id"), ("[]", "JSON object")],
)
def test_a_bad_genesis_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "genesis.json"
    path.write_text(content)
    failed = run_to_failure(["--home", str(tmp_path / "h"), "--port", "0", "--genesis", str(path)])
    assert failed.returncode == 1
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_new_home_without_a_genesis_is_refused(tmp_path: Path) -> None:
    failed = run_to_failure(["--home", str(tmp_path / "h"), "--port", "0"])
    assert failed.returncode == 1
    assert "Give --genesis FILE" in failed.stderr
