"""The ``greenray`` command: which commands there are, each loaded when it is called.

A command is one line in ``COMMANDS`` and a module ``greenray/cli/<name>.py`` with a ``typer.Typer``
named ``app`` (made by ``output.command_app``). The line's text is what ``greenray --help`` shows,
which therefore imports no command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from greenray.cli.output import command_app

if TYPE_CHECKING:
    from typer._click import Command, Context

COMMANDS = {
    "demo": "Start everything, put, wait until sealed, get, compare, show, stop.",
    "up": "Start the local network, or what greenray.yaml describes.",
    "down": "Stop it.",
    "put": "Store a file as BUCKET/OBJECT.",
    "get": "Read a sealed object back, verified.",
    "bundle": "List what is in a bundle.",
    "cat": "Write objects to stdout, verified.",
    "cp": "Copy between files and objects.",
    "ls": "List buckets, or what is in one.",
    "stat": "What the chain says of a bucket or an object.",
    "mb": "Make a bucket.",
    "rb": "Remove a bucket.",
    "rm": "Delete objects.",
    "cancel": "Take back an object that is not sealed.",
    "share": "Links by which anybody reads a public object.",
    "delete": "Delete an object, or an empty bucket.",
    "discontinue": "Stop to serve an object or a bucket, as its primary storage provider.",
    "status": "The state of an object's job, or of the network.",
    "jobs": "List jobs and what they wait for; retry or give up a stuck one.",
    "scrub": "Read all that is stored, compare it with the chain, repair it.",
    "du": "How large objects are together; for operators, where the space went.",
    "collect": "Remove what the chain has no more.",
    "index": "Make the index anew that buckets and objects are listed from.",
    "journal": "Check the journal, back it up, restore it.",
    "hash": "All checksums and integrity hashes of a file.",
    "sign": "Print the headers of a signed request, for curl and other HTTP clients.",
    "bench": "Measure what each stage costs, beside what the machine allows.",
    "profile": "Keep networks by name: which chain, which gateway, whose key.",
    "keys": "Make, import and show encrypted keys, and give their addresses coins.",
    "bank": "Send coins to an address, and show what it has.",
    "completion": "Scripts by which bash, zsh and fish complete the command.",
    "chain": "Run the embedded Greenfield chain alone.",
}


class LazyCommands(TyperGroup):
    """Lists stand-ins from ``COMMANDS``; the real command is imported when it is resolved."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, summary in COMMANDS.items():
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            command = typer.main.get_command(import_module(f"greenray.cli.{name}").app)
        return name, command, rest


app = command_app(cls=LazyCommands)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"greenray {version('greenray')}")
        raise typer.Exit


@app.callback()
def greenray(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """The upload path of a Greenfield storage provider, on Ray.

    Results go to stdout, progress and errors to stderr. With --json stdout holds exactly one
    document: the result, or {"error": {"reason", "message", "retryable"}}. The exit code is 0 when
    the asked-for state was reached, 1 after an error, 2 for wrong usage, 130 when interrupted.
    """
