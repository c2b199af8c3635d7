"""A key that was just made puts, with what the README teaches, at a network without Ray."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import greenray
from greenray.cli.app import app
from tests.support.cli import SEGMENT_SIZE_BYTES, Outcome

CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
README = Path(__file__).parents[2] / "README.md"
SHOWN = re.compile(r"```sh\n([^`]*greenray keys fund[^`]*)```\n```text\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.timeout(300)


def shape_of(line: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"\b(0x)?[0-9A-Fa-f]{40,64}\b|[0-9.]+", "*", line)


def test_a_new_key_is_funded_and_puts_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENRAY_STATE_DIR", str(tmp_path / "state"))
    Path("hello.txt").write_text("hello")
    ((commands, output),) = SHOWN.findall(README.read_text())
    lines = [line for line in commands.splitlines() if line.startswith("greenray ")]
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=tmp_path / "state"):
        assert command("greenray keys new seal.json").exit_code == 0
        put = next(line for line in lines if line.startswith("greenray put "))
        refused = command(f"{put} --json")
        assert refused.error["reason"] == "access-denied"
        assert "account does not exist" in refused.error["message"]
        printed = [command(line) for line in lines]
        assert [one.exit_code for one in printed] == [0] * len(lines), printed
        shapes = [shape_of(one.stdout.strip()) for one in printed]
        assert shapes == [shape_of(line) for line in output.splitlines()]


def command(line: str) -> Outcome:
    """In this process, which costs no start of another."""
    _, *arguments = shlex.split(line)
    # A network in this process has taken its secrets out of the environment.
    result = CliRunner().invoke(app, arguments, env={"GREENRAY_KEY_PASSWORD": "a long password"})
    return Outcome(result.exit_code, result.stdout, result.stderr)
