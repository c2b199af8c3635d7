"""A unit test that needs more than its own process is told where it belongs."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import socket
import subprocess
from collections.abc import Callable

import pytest
import ray
from Crypto.Protocol import KDF

Touch = Callable[[], object]


def refusal(touch: Touch) -> str:
    with pytest.raises(pytest.fail.Exception) as refused:
        touch()
    return str(refused.value)


@pytest.mark.parametrize(
    "touch",
    [
        lambda: subprocess.run(["true"]),
        lambda: asyncio.run(asyncio.create_subprocess_exec("true")),
        lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
        lambda: os.system("true"),
    ],
)
def test_a_process_is_not_started(touch: Touch) -> None:
    assert "starts a process: move this test to tests/integration" in refusal(touch)


@pytest.mark.parametrize(
    "touch",
    [
        lambda: socket.create_server(("127.0.0.1", 0)),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: asyncio.run(asyncio.open_connection("127.0.0.1", 9)),
    ],
)
def test_a_socket_is_not_opened(touch: Touch) -> None:
    assert "opens a socket: move this test to tests/integration" in refusal(touch)


@pytest.mark.parametrize(
    "touch",
    [
        lambda: hashlib.scrypt(b"password", salt=b"salt", n=2, r=1, p=1),
        lambda: hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 1),
        lambda: KDF.scrypt("password", "salt", 16, N=2, r=1, p=1),
    ],
)
def test_a_key_is_not_derived(touch: Touch) -> None:
    assert "derives a key: move this test to tests/integration" in refusal(touch)


def test_ray_is_not_started() -> None:
    assert "starts Ray: move this test to tests/actors" in refusal(ray.init)
