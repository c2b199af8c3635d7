"""``greenray chain serve`` as a process: a first start with nothing, a stop, and a second start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.support.waiting import until

COMMAND = [sys.executable, "-m", "greenray", "chain", "serve", "--port", "0"]


@contextmanager
def served(*arguments: object) -> Iterator[dict[str, Any]]:
    """What the chain said when it listened; it must stop with exit code 0."""
    command = [*COMMAND, "--block-interval", "0.05", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def status(endpoint: str) -> dict[str, Any]:
    with urlopen(f"{endpoint}/status", timeout=10) as answer:
        result: dict[str, Any] = json.load(answer)["result"]
    return result


def test_a_chain_starts_from_nothing_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served("--home", home) as ready:
        assert status(ready["endpoint"])["node_info"]["network"] == ready["chain_id"]
        until(lambda: int(status(ready["endpoint"])["sync_info"]["latest_block_height"]) >= 3)
    keys = json.loads((home / "keys.json").read_text())["keys"]
    assert {f"greenray-sp-{i}-seal" for i in range(7)} < keys.keys()
    assert (home / "keys.json").stat().st_mode & 0o77 == 0
    with served("--home", home) as ready:
        assert ready["height"] >= 3


def test_a_chain_from_a_given_genesis_needs_it_only_once(tmp_path: Path) -> None:
    with served("--home", tmp_path / "first"):
        pass
    home, genesis = tmp_path / "second", tmp_path / "first" / "genesis.json"
    with served("--home", home, "--genesis", genesis) as ready:
        chain_id = ready["chain_id"]
    with served("--home", home) as ready:
        assert ready["chain_id"] == chain_id
    assert not (home / "keys.json").exists()


def test_a_second_chain_in_one_home_is_refused(tmp_path: Path) -> None:
    with served("--home", tmp_path):
        second = subprocess.run(
            [*COMMAND, "--home", str(tmp_path)], capture_output=True, text=True, timeout=30
        )
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.startswith("error: ")
    assert str(tmp_path) in second.stderr


def test_a_missing_genesis_and_an_unusable_home_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, named in (
        (["--home", tmp_path / "home", "--genesis", tmp_path / "none.json"], "none.json"),
        (["--home", tmp_path / "file" / "home"], "file/home"),
    ):
        run = subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=30
        )
        assert run.returncode == 1
        assert run.stderr.count("\n") == 1
        assert named in run.stderr
