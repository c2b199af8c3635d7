"""The commands of the README, executed as they stand there.

Each ``sh`` block runs in a directory of its own, or a comment before it says why not. A ``text``
block behind one is its output.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenray.coding.codec import get_codec
from tests.support import local_chain
from tests.support.cli import Surroundings

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\n)?```sh\n(?P<commands>.*?)```\n"
    r"(?:```text\n(?P<output>.*?)```\n)?",
    re.DOTALL,
)
DEFAULT_ENDPOINT = "http://127.0.0.1:26750"
BUCKET, OBJECT = "photos", "big.bin"


@dataclass(frozen=True, slots=True)
class Block:
    commands: str
    output: str
    reason: str
    """Why it is not executed; empty when it is."""


BLOCKS = [
    Block(match["commands"], match["output"] or "", match["reason"] or "")
    for match in BLOCK.finditer((ROOT / "README.md").read_text())
]


def block(text: str) -> Block:
    """The one block to be executed whose commands contain ``text``."""
    (found,) = (b for b in BLOCKS if text in b.commands and not b.reason)
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """As after ``make demo``: with a .venv."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def run(commands: str, directory: Path, environment: Mapping[str, str] | None = None) -> str:
    """What the commands print; all of them must succeed."""
    script = f"set -euo pipefail\nexport PATH=$PWD/.venv/bin:$PATH\n{commands}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_is_executed_here_or_says_why_not() -> None:
    executed = (
        "greenray --help",
        "greenray up",
        "greenray put",
        "greenray hash",
        "greenray keys",
        "HeadObject",
        "tx_search",
    )
    shown = [b for b in BLOCKS if not b.reason]
    assert sorted(map(BLOCKS.index, map(block, executed))) == list(map(BLOCKS.index, shown))


def test_the_help_lists_every_command(directory: Path) -> None:
    listed = run(block("greenray --help").commands, directory)
    for name in ("demo", "up", "down", "put", "get", "status", "hash", "bench", "keys", "chain"):
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)


def test_hash_prints_what_the_readme_shows(directory: Path) -> None:
    shown = block("greenray hash")
    expected = shown.output.replace("codec isal", f"codec {get_codec().name}")
    assert run(shown.commands, directory) == expected


def test_keys_prints_the_address_of_the_new_key_twice(directory: Path) -> None:
    new, shown = run(block("greenray keys").commands, directory).splitlines()
    assert new == shown
    assert re.fullmatch(r"0x[0-9a-fA-F]{40}  seal.json", new)


@pytest.fixture
def surroundings(directory: Path) -> Iterator[Surroundings]:
    """Where a network finds free ports, and a state directory of its own."""
    free_ports = {"chain": {"port": 0}, "gateway": {"port": 0}}
    surroundings = Surroundings(directory, free_ports)
    yield surroundings
    surroundings.kill_everything()


@pytest.mark.timeout(300)
def test_a_network_is_started_used_and_stopped_as_shown(
    directory: Path, surroundings: Surroundings
) -> None:
    def in_network(commands: str) -> list[str]:
        return run(commands, directory, surroundings.environment()).splitlines()

    started, used = block("greenray up"), block("greenray put")
    assert shape_of(in_network(started.commands)) == shape_of(started.output.splitlines())
    printed = in_network(used.commands)
    assert f"{BUCKET}/{OBJECT}: 100 MiB, object 1, SEAL_OBJECT_DONE, sealed by " in printed[0]
    assert printed[-1] == used.output.splitlines()[-1]
    assert shape_of(printed) == shape_of(used.output.splitlines())
    (stopped,) = in_network("greenray down")
    assert stopped.startswith("stopped")
    assert surroundings.processes() == []


def shape_of(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run."""
    lines = [re.sub(r" in /\S+?(?=;|$)", " in *", line) for line in lines]
    return [re.sub(r"\b(0x)?[0-9A-Fa-f]{40,64}\b|\d+", "*", line).rstrip() for line in lines]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """A chain on which the README's object is sealed."""
    genesis = local_chain.small_genesis()
    genesis_file = local_chain.write_genesis(tmp_path / "genesis.json", genesis)
    chain = local_chain.ChainProcess(
        tmp_path / "home", "--genesis", str(genesis_file), "--block-interval", "0.05"
    )
    messages = (
        ("user", local_chain.create_bucket(BUCKET), 0),
        ("user", local_chain.create_object(OBJECT, BUCKET), 1),
        ("sp-0-seal", local_chain.seal_object(OBJECT, 1, BUCKET), 0),
    )
    try:
        for name, message, sequence in messages:
            answer = chain.broadcast(
                local_chain.signed(genesis, name, message, sequence), how="commit"
            )
            assert answer["result"]["deliver_tx"]["code"] == 0, answer
        yield chain.endpoint
    finally:
        chain.stop()


@pytest.mark.timeout(300)
def test_the_python_example_does_what_its_comments_say(directory: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (shown,) = re.findall(r"print\(.*\) +# (.*)", example)
    payload = os.urandom(100_000)
    (directory / "big.bin").write_bytes(payload)
    check = "import pathlib; assert payload == pathlib.Path('big.bin').read_bytes()"
    done = subprocess.run(
        [sys.executable, "-c", f"{example}\n{check}"],
        cwd=directory,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [shown]


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
def test_curl_reads_the_sealed_object_and_the_transaction(directory: Path, endpoint: str) -> None:
    def at_chain(shown: Block) -> str:
        assert DEFAULT_ENDPOINT in shown.commands
        return run(shown.commands.replace(DEFAULT_ENDPOINT, endpoint), directory)

    record = at_chain(block("HeadObject")).splitlines()
    assert f'object_name: "{OBJECT}"' in record
    assert "object_status: 1" in record
    assert _keys(record) == _keys(block("HeadObject").output.splitlines()) | {"checksums"}
    transaction = at_chain(block("tx_search")).splitlines()
    assert re.fullmatch(r"[0-9A-F]{64} in block \d+ with code 0", transaction[0])
    assert _keys(transaction[1:]) == _keys(block("tx_search").output.splitlines()[1:])
    assert '  status: "OBJECT_STATUS_SEALED"' in transaction


def _keys(lines: list[str]) -> set[str]:
    return {line.split(":")[0].strip() for line in lines if ":" in line}
