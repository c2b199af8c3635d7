"""``greenray rm``: delete objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import DryRun, Quiet, Yes, as_user, confirmed
from greenray.cli.options import with_access
from greenray.cli.output import EXIT_ERROR, command_app, note, reporting_errors
from greenray.client.access import Access
from greenray.protocol.foreign_text import printable_lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from greenray.client.object_selection import Selection
    from greenray.client.storage_client import StorageClient

app = command_app()


@app.command()
@with_access
def rm(
    names: Annotated[
        list[str],
        typer.Argument(metavar="BUCKET/OBJECT...", help="Objects, or patterns in quotes."),
    ],
    recursive: Annotated[
        bool,
        typer.Option("--recursive", "-r", help="All objects of BUCKET or of BUCKET/PREFIX/."),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    quiet: Quiet = False,
    *,
    access: Access,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON document on each line.")] = False,
) -> None:
    """Delete objects; those that are not sealed yet are cancelled.

    At a terminal it asks before; elsewhere --recursive and patterns want --yes. One that cannot be
    deleted does not stop the others; the exit code is 1 then.

    Example: greenray rm 'photos/2025/*.jpg' --dry-run
    """
    import sys

    from greenray.client.object_selection import Selection

    with reporting_errors(as_json):
        chosen = [(name, Selection.parse(name, recursive=recursive)) for name in names]
    is_many = any(selection is not None for _, selection in chosen)
    if is_many and not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter("nobody can be asked here: give --yes, or look with --dry-run")

    async def work(client: StorageClient) -> int:
        if dry_run:
            async for bucket_name, object_name in _meant(client, chosen):
                _would_delete(bucket_name, object_name, as_json)
            return 0
        from greenray.cli.deleting import delete_all

        deleted, failed = await delete_all(
            client, _meant(client, chosen), as_json=as_json, quiet=quiet
        )
        if is_many and not quiet:
            note(f"{deleted} deleted" + (f", {failed} could not be" if failed else ""))
        return failed

    if not dry_run:
        what = "all that is named by " if is_many else ""
        confirmed(f"Delete {what}{printable_lines(', '.join(names))}?", yes=yes)
    if as_user(access, as_json, work):
        raise typer.Exit(EXIT_ERROR)


async def _meant(
    client: StorageClient, chosen: list[tuple[str, Selection | None]]
) -> AsyncIterator[tuple[str, str]]:
    from greenray.client.object_selection import selected
    from greenray.client.user import split_name

    for name, selection in chosen:
        if selection is None:
            yield split_name(name)
            continue
        async for info in selected(client, selection):
            yield info.bucket_name, info.object_name


def _would_delete(bucket_name: str, object_name: str, as_json: bool) -> None:
    document = {"bucket": bucket_name, "object": object_name, "dry_run": True}
    text = printable_lines(f"would delete {bucket_name}/{object_name}")
    typer.echo(json.dumps(document) if as_json else text)
