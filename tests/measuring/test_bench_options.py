"""Which of the shared options each benchmark has: told once, and so the same everywhere."""

from __future__ import annotations

import pytest
import typer
from typer.core import TyperGroup

from greenray.cli.bench import app

SHARED = ["--repeats", "--sps", "--work-dir", "--config", "--quick", "--out", "--plot", "--json"]
HAS_NO_USE_FOR: dict[str, set[str]] = {
    "ec": {"--sps", "--config"},
    "hash": {"--sps", "--config", "--work-dir"},
    "store": {"--sps"},
    "seal": {"--sps"},
    "list": {"--sps", "--config"},
    **{name: set() for name in ("gateway", "small", "bundle", "pipeline", "scaling")},
    **{name: set() for name in ("memory", "scrub", "timeline", "all")},
}


def options_of(command: str) -> list[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return [parameter.opts[0] for parameter in group.commands[command].params]


@pytest.mark.parametrize("command", HAS_NO_USE_FOR)
def test_the_shared_options_follow_a_commands_own(command: str) -> None:
    expected = [name for name in SHARED if name not in HAS_NO_USE_FOR[command]]
    options = options_of(command)
    assert options[-len(expected) :] == expected
    assert not HAS_NO_USE_FOR[command] & set(options)
