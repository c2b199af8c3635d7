"""The commands in docs/cluster.md and in the launcher files are ones that the programs take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click.testing
import pytest
import typer.testing
from ray.scripts.scripts import cli as ray_cli

from greenray.cli.app import app

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
IN_COMMENT = re.compile(r"^#   ((?:ray|greenray) .*)$", re.MULTILINE)

COMMANDS = [
    (document, line)
    for document, lines in {
        "docs/cluster.md": "".join(
            BLOCK.findall((ROOT / "docs/cluster.md").read_text())
        ).splitlines(),
        **{
            path.name: IN_COMMENT.findall(path.read_text())
            for path in ROOT.glob("ray_config*.yaml")
        },
    }.items()
    for line in lines
]


def is_taken(words: list[str]) -> bool:
    """Whether the program knows the command and its options; ``--help`` keeps it from running."""
    program, *arguments = words
    if program == "ray":
        exit_code = click.testing.CliRunner().invoke(ray_cli, [*arguments, "--help"]).exit_code
        inner = shlex.split(arguments[-1]) if arguments[0] == "exec" else []
        return exit_code == 0 and (not inner or is_taken(inner))
    assert program == "greenray"
    return typer.testing.CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_the_program_takes_the_command(document: str, command: str) -> None:
    words = shlex.split(command)
    if words[0] != "python3":
        assert is_taken(words)


def test_every_document_tells_how_to_attach() -> None:
    attaching = {document for document, command in COMMANDS if "greenray up --detach" in command}
    assert attaching == {"docs/cluster.md", "ray_config.yaml", "ray_config.aws.yaml"}


@pytest.mark.parametrize(
    "command", ["greenray up --adress auto", "ray start --haed", "ray exec a 'greenray pu'"]
)
def test_an_option_that_is_not_there_would_be_found(command: str) -> None:
    assert not is_taken(shlex.split(command))
