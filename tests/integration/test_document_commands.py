"""The commands in documents and in the launcher files are ones that the programs take.

What can run cheaply is executed as well: tests/e2e/test_readme.py.
"""

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
DOCUMENTS = (
    "CONTRIBUTING.md",
    "README.md",
    "docs/benchmarking.md",
    "docs/chain.md",
    "docs/cluster.md",
    "docs/notebooks.md",
)
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
INDENTED = re.compile(r"^    (?=make |greenray |ray )(.*)$", re.MULTILINE)
IN_COMMENT = re.compile(r"^#   ((?:ray|greenray) .*)$", re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
OURS = ("greenray", "ray", "make", ".venv/bin/pytest")


def commands_of(document: str) -> list[str]:
    """Those of our programs; what else a shell does is for the tests that execute it."""
    text = (ROOT / document).read_text()
    if not document.endswith(".md"):
        return IN_COMMENT.findall(text)
    lines = "".join(BLOCK.findall(text)).splitlines() + INDENTED.findall(text)
    return [line for line in lines if line.startswith(tuple(f"{name} " for name in OURS))]


COMMANDS = [
    (document, command)
    for document in (*DOCUMENTS, *(path.name for path in ROOT.glob("ray_config*.yaml")))
    for command in commands_of(document)
]


def is_taken(words: list[str]) -> bool:
    """Whether the program knows the command and its options; ``--help`` keeps it from running."""
    program, *arguments = words
    if program == "make":
        return {word for word in arguments if "=" not in word} <= TARGETS
    if program == ".venv/bin/pytest":
        return all((ROOT / word).exists() for word in arguments if not word.startswith("-"))
    if program == "ray":
        exit_code = click.testing.CliRunner().invoke(ray_cli, [*arguments, "--help"]).exit_code
        inner = shlex.split(arguments[-1]) if arguments[0] == "exec" else []
        return exit_code == 0 and (not inner or is_taken(inner))
    assert program == "greenray"
    return typer.testing.CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_the_program_takes_the_command(document: str, command: str) -> None:
    assert is_taken(shlex.split(command, comments=True))


def test_every_document_has_commands() -> None:
    assert {document for document, _ in COMMANDS} >= set(DOCUMENTS)


def test_every_document_of_clusters_tells_how_to_attach() -> None:
    attaching = {document for document, command in COMMANDS if "detach --address" in command}
    assert attaching == {"docs/cluster.md", "ray_config.yaml", "ray_config.aws.yaml"}


@pytest.mark.parametrize(
    "command",
    [
        "greenray up --adress auto",
        "greenray bench pipelin",
        "ray start --haed",
        "ray exec a 'greenray pu'",
        "make demos",
        ".venv/bin/pytest notebook",
    ],
)
def test_an_option_that_is_not_there_would_be_found(command: str) -> None:
    assert not is_taken(shlex.split(command))
