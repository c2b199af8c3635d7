"""``greenray cp``: between files and objects, either way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import Quiet
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result
from greenray.client.access import Access

if TYPE_CHECKING:
    from greenray.client.storage_client import PutResult, StorageClient

app = command_app()

_SCHEME = "gnfd://"


@app.command()
@with_access
def cp(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, - for stdin, or BUCKET/OBJECT.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="BUCKET/OBJECT; or a file, a directory, -.")
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All below a directory, or below a prefix.")
    ] = False,
    no_clobber: Annotated[
        bool, typer.Option("--no-clobber", "-n", help="Leave files that are there as they are.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    quiet: Quiet = False,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Copy a file to an object, as 'put' does, or an object to a file, as 'get' does.

    SOURCE is a file if there is one of that name, else an object; TARGET is the other kind. Where
    that is not what is meant, gnfd://BUCKET/OBJECT is always an object; if both are, the object is
    read, verified, and put again.

    Example: greenray cp report.pdf papers/2026/report.pdf
    """
    from greenray.cli.get import GetOrder, run_get
    from greenray.cli.put import PutOrder, run_put

    is_file = not source.startswith(_SCHEME) and (source == "-" or os.path.lexists(source))
    if is_file:
        order = PutOrder((source,), target, recursive=recursive, dry_run=dry_run, quiet=quiet)
        run_put(order, access, as_json=as_json)
    elif target.startswith(_SCHEME):
        if recursive or dry_run:
            raise typer.BadParameter("from object to object one is copied at a time")
        _between(source, target, quiet, access, as_json)
    else:
        run_get(
            GetOrder(source, target, recursive, no_clobber, dry_run, quiet), access, as_json=as_json
        )


def _between(source: str, target: str, quiet: bool, access: Access, as_json: bool) -> None:
    """By way of a temporary file: both providers have to have it."""
    import tempfile
    from pathlib import Path

    from greenray.cli.as_user import as_user
    from greenray.cli.put import put_text
    from greenray.cli.transfer import transfer_display
    from greenray.client.user import split_name

    async def work(client: StorageClient) -> PutResult:
        read_from, written_to = split_name(source), split_name(target)
        with tempfile.TemporaryDirectory(prefix="greenray-cp-") as directory:
            file = Path(directory) / "payload"
            with transfer_display(quiet=quiet) as display:
                await client.get(*read_from, file, on_progress=display.show)
                return await client.put(file, *written_to, on_progress=display.show)

    result = as_user(access, as_json, work)
    if as_json or not quiet:
        print_result({**result.status}, put_text(target, result), as_json)
