"""What commands that work for a user share: a client while they run, their options, their words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from greenray.cli.output import EXIT_ERROR, note, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size

if TYPE_CHECKING:
    from greenray.client.storage_client import StorageClient

T = TypeVar("T")

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Bytes = Annotated[bool, typer.Option("--bytes", help="Sizes as numbers of bytes.")]


def as_user(
    access: Access,
    as_json: bool,
    work: Callable[[StorageClient], Awaitable[T]],
    if_interrupted: Callable[[], str] = lambda: "",
) -> T:
    """What ``work`` returns; its errors are reported as every command's are. ``if_interrupted``
    says what is there now, and how to go on."""
    from greenray.client.user import open_access

    async def run() -> T:
        async with open_access(access) as client:
            return await work(client)

    with reporting_errors(as_json):
        try:
            return asyncio.run(run())
        except KeyboardInterrupt:
            if said := if_interrupted():
                note(said)
            raise


def size_text(size_bytes: int, in_bytes: bool) -> str:
    return str(size_bytes) if in_bytes else format_size(size_bytes)


def confirmed(question: str, *, yes: bool) -> None:
    """Ask at a terminal, unless the answer was given. Exits when it is no."""
    import sys

    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(question, err=True):
        raise typer.Exit(EXIT_ERROR)
