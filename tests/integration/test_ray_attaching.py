"""What is refused before this process is part of a Ray cluster."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from greenray.cluster.on_ray.runtime import attach_error, attach_ray
from greenray.protocol.errors import ComponentUnavailable, InvalidSetting


def test_an_address_where_nobody_is_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ComponentUnavailable, match="no Ray cluster answers") as caught:
        attach_ray(f"127.0.0.1:{port}", namespace="test")
    assert str(port) in caught.value.where
    assert "ray start --head" in caught.value.next_step


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://10.0.0.1:10001", "Run greenray up on a node of the cluster"),
        ("nonsense", "is not HOST:PORT, and not auto"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said) as caught:
        attach_ray(address, namespace="test")
    assert caught.value.where == f"--address {address}"


def test_another_version_is_said_with_what_to_do() -> None:
    raised = RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.0.0")
    error = attach_error(raised, "10.0.0.1:6379")
    assert "The cluster was started with: Ray: 2.0.0" in error.what
    assert error.where == "10.0.0.1:6379"
    assert "same Ray and Python" in error.next_step


def test_taking_the_clusters_token_prints_nothing(tmp_path: Path) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0" * 64)
    environment = {name: value for name, value in os.environ.items() if "RAY_AUTH" not in name}
    program = (
        "from greenray.cluster.on_ray import private\n"
        "private.use_the_clusters_token()\n"
        "import os; print(os.environ['RAY_AUTH_MODE'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("token\n", "")
