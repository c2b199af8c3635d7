"""``greenray cancel``: take back the creation of an object that waits for its payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import as_user
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result
from greenray.client.access import Access

if TYPE_CHECKING:
    from greenray.client.deletion import Deletion
    from greenray.client.storage_client import StorageClient

app = command_app()


@app.command()
@with_access
def cancel(
    name: Annotated[str, typer.Argument(metavar="BUCKET/OBJECT")],
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Take back an object that was created and is not sealed, so that its name is free again and
    what was locked for it is paid back: of a file that changed before it was sent whole, or one
    that nobody will send any more. A sealed object is refused; 'rm' deletes it.

    Example: greenray cancel photos/grew.log
    """
    from greenray.client.user import split_name

    async def work(client: StorageClient) -> Deletion:
        return await client.cancel(*split_name(name))

    done = as_user(access, as_json, work)
    text = f"{done.name}: object {done.object_id}, cancelled by {done.tx_hash}"
    print_result(done.to_json(), f"{text} in block {done.height}", as_json)
