"""``greenray cat``: objects to stdout."""

from __future__ import annotations

from typing import Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import command_app
from greenray.client.access import Access

app = command_app()


@app.command()
@with_access
def cat(
    names: Annotated[list[str], typer.Argument(metavar="BUCKET/OBJECT...")],
    *,
    access: Access,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """Write objects to stdout, one behind the other, each once all of it is verified.

    Example: greenray cat photos/list.txt | sort
    """
    from greenray.cli.as_user import as_user
    from greenray.cli.get_to_stdout import get_to_stdout
    from greenray.client.storage_client import StorageClient

    async def work(client: StorageClient) -> None:
        for name in names:
            await get_to_stdout(client, name, quiet=True)

    as_user(access, as_json, work)
