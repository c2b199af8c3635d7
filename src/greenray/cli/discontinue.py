"""``greenray discontinue``: for storage providers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.client.deletion import Deletion

app = command_app()


@app.command()
def discontinue(
    name: Annotated[
        str,
        typer.Argument(metavar="BUCKET[/OBJECT]", help="An object, or a bucket with all in it."),
    ],
    key: Annotated[
        Path,
        typer.Option(
            "--key", help="Keystore of the primary's gc key (password in GREENRAY_KEY_PASSWORD)."
        ),
    ],
    reason: Annotated[str, typer.Option(help="What the chain records; at most 128 bytes.")] = "",
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Stop to serve an object or a bucket, as its primary storage provider: the chain deletes it
    after its confirm period."""
    from greenray.client.network_file import read_network
    from greenray.client.user import open_client, split_name

    async def run() -> Deletion:
        bucket, object_name = split_name(name) if "/" in name else (name, None)
        async with open_client(read_network(state_dir), key) as client:
            return await client.discontinue(bucket, object_name, reason)

    with reporting_errors(as_json):
        deletion = asyncio.run(run())
        what = "bucket" if deletion.object_id is None else f"object {deletion.object_id}"
        text = f"{deletion.name}: {what}, discontinued by {deletion.tx_hash}"
        print_result(deletion.to_json(), text, as_json)
