"""Writes the help of every command, as the command shows it, into docs/cli.md."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import typer
from typer._click import Command, Context
from typer.core import TyperGroup

from greenray.cli.app import COMMANDS
from scripts.marked_part import with_part

DOCUMENT = Path(__file__).parent.parent / "docs" / "cli.md"
_COLUMNS = 100


def commands_markdown() -> str:
    """A section for each command, in the order of ``greenray --help``."""
    return "\n".join(
        f"### {name}\n\n```text\n{text}\n```\n"
        for command in COMMANDS
        for name, text in _helps(f"greenray {command}", _command(command))
    )


def with_commands(text: str) -> str:
    """``text`` with the sections between their two marks."""
    return with_part(text, "commands", f"\n{commands_markdown()}\n")


def _command(name: str) -> Command:
    return typer.main.get_command(import_module(f"greenray.cli.{name}").app)


def _helps(name: str, command: Command) -> Iterator[tuple[str, str]]:
    """Of a command, or of those in a group and not of the group."""
    if isinstance(command, TyperGroup):
        for inner_name, inner in command.commands.items():
            yield from _helps(f"{name} {inner_name}", inner)
        return
    context = Context(command, info_name=name, terminal_width=_COLUMNS)
    context.help_option_names = ["-h", "--help"]
    lines = command.get_help(context).splitlines()
    yield name, "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(with_commands(DOCUMENT.read_text()))
