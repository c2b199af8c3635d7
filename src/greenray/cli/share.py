"""``greenray share``: links by which anybody reads an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import as_user
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result
from greenray.client.access import Access

if TYPE_CHECKING:
    from greenray.client.storage_client import StorageClient

app = command_app()


@app.command()
@with_access
def share(
    name: Annotated[str, typer.Argument(metavar="BUCKET/OBJECT")],
    public: Annotated[
        bool, typer.Option("--public", help="Let anybody read it from now on, then show the links.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Let nobody but you read it any more.")
    ] = False,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Show the links of a public object: one that browsers show, one that they save.

    An object that is not public has none; --public makes it so, on chain and for everybody.

    Example: greenray share photos/cat.jpg --public
    """
    from greenray.client.shared_links import Links, links_of
    from greenray.client.user import split_name
    from greenray.protocol.objects import Visibility

    if public and private:
        raise typer.BadParameter("an object is public or private: give one of them")
    wanted = None
    if public or private:
        wanted = (
            Visibility.VISIBILITY_TYPE_PUBLIC_READ if public else Visibility.VISIBILITY_TYPE_PRIVATE
        )

    async def work(client: StorageClient) -> Links | None:
        bucket, object_name = split_name(name)
        if wanted is not None:
            await client.set_visibility(bucket, object_name, wanted)
        return None if private else await links_of(client, bucket, object_name)

    links = as_user(access, as_json, work)
    if links is None:
        print_result({"object": name, "public": False}, f"{name}: private", as_json)
        return
    document = {"object": name, "public": True, "view": links.view, "download": links.download}
    print_result(document, f"{links.view}\n{links.download}", as_json)
