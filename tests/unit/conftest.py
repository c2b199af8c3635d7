"""A unit test has nothing beside the code that it tests: what would need more raises here."""

from __future__ import annotations

import hashlib
import multiprocessing.process
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import Crypto.Protocol.KDF
import pytest

_FOLDER = Path(__file__).parent
_PROCESS = "starts a process"
_SOCKET = "opens a socket"  # asyncio's own are a pair, which is neither bound nor connected
_KEY = "derives a key"
_FORBIDDEN = (
    (subprocess.Popen, "__init__", _PROCESS),
    (multiprocessing.process.BaseProcess, "start", _PROCESS),
    (os, "fork", _PROCESS),
    (os, "posix_spawn", _PROCESS),
    (os, "system", _PROCESS),
    (socket.socket, "bind", _SOCKET),
    (socket.socket, "connect", _SOCKET),
    (socket.socket, "connect_ex", _SOCKET),
    (hashlib, "scrypt", _KEY),
    (hashlib, "pbkdf2_hmac", _KEY),
    (Crypto.Protocol.KDF, "PBKDF2", _KEY),  # also a part of the scrypt there
)


def _refusing(what: str, layer: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        # No Exception, so that no handler in the product takes it for a failure of the machine.
        pytest.fail(f"this unit test {what}: move this test to tests/{layer}")

    return refuse


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around fixtures of every scope too."""
    if not item.path.is_relative_to(_FOLDER):  # pytest asks this hook about every layer's tests
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, what in _FORBIDDEN:
            patch.setattr(owner, name, _refusing(what, "integration"))
        if ray := sys.modules.get("ray"):
            patch.setattr(ray, "init", _refusing("starts Ray", "actors"))
        return (yield)
