"""Orders to a network that is stopped: an error within seconds, with what to do."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greenray.cli.app import app
from greenray.client.network_file import NetworkFile
from greenray.cluster.config.state_dir import StateDir
from greenray.storage.file_location import FileLocation


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """Of a network that holds its lock, and whose port takes connections and says nothing, as the
    kernel does for a stopped process."""
    with socket.create_server(("127.0.0.1", 0)) as silent, StateDir(tmp_path).locked():
        StateDir(tmp_path).write_network(
            NetworkFile(
                pid=os.getpid(),
                chain_endpoint="http://127.0.0.1:1",
                chain_id="greenfield_9000-121",
                dialect="v0_2",
                gateways=(),
                keys="",
                user_key_name="",
                started_at=0.0,
                pieces=FileLocation(tmp_path / "pieces"),
                ray_address="127.0.0.1:1",
                ray_namespace="nobody",
                status_port=silent.getsockname()[1],
            )
        )
        yield tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("scrub",),
        ("scrub", "--known"),
        ("collect",),
        ("jobs", "retry", "1"),
        ("jobs", "give-up", "1"),
    ],
    ids=" ".join,
)
def test_who_gives_an_order_is_told_what_does_not_answer(
    state_dir: Path, command: tuple[str, ...]
) -> None:
    ran = CliRunner().invoke(app, [*command, "--state-dir", str(state_dir), "--json"])
    assert ran.exit_code == 1
    error = json.loads(ran.stdout)["error"]
    assert error["reason"] == "component-unavailable"
    assert f"process {os.getpid()} said nothing within" in error["message"]
    assert f"kill -CONT {os.getpid()}" in error["message"]
