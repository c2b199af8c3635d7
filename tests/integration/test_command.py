"""The command in a process of its own, without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def greenray(*arguments: object, stdin: bytes = b"") -> bytes:
    """What it prints."""
    command = [sys.executable, "-m", "greenray", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def test_the_module_is_the_command_too() -> None:
    assert greenray("--version").startswith(b"greenray ")


def test_stdin_hashes_like_a_file(tmp_path: Path) -> None:
    hello = tmp_path / "hello.bin"
    hello.write_bytes(b"hello")
    piped = greenray("hash", "-", "--json", stdin=b"hello")
    assert json.loads(piped) == json.loads(greenray("hash", hello, "--json"))
