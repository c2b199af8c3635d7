"""``greenray discontinue``: for storage providers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access

if TYPE_CHECKING:
    from greenray.client.deletion import Deletion

app = command_app()


@app.command()
@with_access
def discontinue(
    name: Annotated[
        str,
        typer.Argument(metavar="BUCKET[/OBJECT]", help="An object, or a bucket with all in it."),
    ],
    reason: Annotated[str, typer.Option(help="What the chain records; at most 128 bytes.")] = "",
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Stop to serve an object or a bucket, as its primary storage provider: the chain deletes it
    after its confirm period. The key is the primary's gc key."""
    from greenray.client.user import open_access, split_name

    if access.key is None:
        raise typer.BadParameter("name the keystore of the primary's gc key with --key")

    async def run() -> Deletion:
        bucket, object_name = split_name(name) if "/" in name else (name, None)
        async with open_access(access) as client:
            return await client.discontinue(bucket, object_name, reason)

    with reporting_errors(as_json):
        deletion = asyncio.run(run())
        what = "bucket" if deletion.object_id is None else f"object {deletion.object_id}"
        text = f"{deletion.name}: {what}, discontinued by {deletion.tx_hash}"
        print_result(deletion.to_json(), text, as_json)
