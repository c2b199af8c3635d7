"""``greenray delete``."""

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
def delete(
    name: Annotated[
        str, typer.Argument(metavar="BUCKET[/OBJECT]", help="An object, or an empty bucket.")
    ],
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Delete an object (or cancel one that is not sealed yet), or an empty bucket, on chain.

    Storage providers remove what they have stored of it some time later: see greenray collect.
    """
    from greenray.client.user import open_access, split_name

    async def run() -> Deletion:
        async with open_access(access) as client:
            if "/" in name:
                return await client.delete(*split_name(name))
            return await client.delete_bucket(name)

    with reporting_errors(as_json):
        deletion = asyncio.run(run())
        what = "bucket" if deletion.object_id is None else f"object {deletion.object_id}"
        done = "cancelled" if deletion.cancelled else "deleted"
        text = f"{deletion.name}: {what}, {done} by {deletion.tx_hash} in block {deletion.height}"
        print_result(deletion.to_json(), text, as_json)
