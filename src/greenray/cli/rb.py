"""``greenray rb``: remove a bucket."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import Quiet, Yes, as_user, confirmed
from greenray.cli.options import with_access
from greenray.cli.output import EXIT_ERROR, Json, command_app, note, print_result
from greenray.client.access import Access

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from greenray.client.deletion import Deletion
    from greenray.client.storage_client import StorageClient

app = command_app()


@app.command()
@with_access
def rb(
    name: Annotated[str, typer.Argument(metavar="BUCKET")],
    force: Annotated[
        bool, typer.Option("--force", help="Delete all that is in it first; it asks before.")
    ] = False,
    yes: Yes = False,
    quiet: Quiet = False,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Remove a bucket that is empty; with --force one that is not.

    Example: greenray rb photos
    """
    from greenray.client.user import split_place

    bucket_name, rest = split_place(name)
    if rest:
        raise typer.BadParameter(f"{name!r} is an object: greenray rm deletes it")
    if force and not (yes or sys.stdin.isatty()):
        raise typer.BadParameter("nobody can be asked here: --force wants --yes")
    if force:
        confirmed(f"Delete {bucket_name} and all that is in it?", yes=yes)

    async def work(client: StorageClient) -> Deletion | None:
        if force and await _emptied(client, bucket_name):
            return None
        return await client.delete_bucket(bucket_name)

    done = as_user(access, as_json, work)
    if done is None:
        note(f"{bucket_name} stays: not all of it could be deleted")
        raise typer.Exit(EXIT_ERROR)
    if as_json or not quiet:
        text = f"{done.name}: bucket, removed by {done.tx_hash} in block {done.height}"
        print_result(done.to_json(), text, as_json)


async def _emptied(client: StorageClient, bucket_name: str) -> int:
    """How many objects stay."""
    from greenray.cli.deleting import delete_all
    from greenray.client.object_selection import Selection, selected

    async def everything() -> AsyncIterator[tuple[str, str]]:
        async for info in selected(client, Selection(bucket_name, "")):
            yield info.bucket_name, info.object_name

    _, failed = await delete_all(client, everything(), as_json=False, quiet=True)
    return failed
