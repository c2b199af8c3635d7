"""``greenray mb``: make a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import as_user
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result
from greenray.client.access import Access

if TYPE_CHECKING:
    from greenray.client.storage_client import StorageClient
    from greenray.protocol.objects import BucketInfo

app = command_app()


@app.command()
@with_access
def mb(
    name: Annotated[str, typer.Argument(metavar="BUCKET", help="a-z, 0-9, dots and dashes.")],
    public: Annotated[bool, typer.Option("--public", help="Anybody may read it.")] = False,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Make a bucket, at the provider of --gateway or the first one. 'put' makes one as well, if
    there is none of that name.

    Example: greenray mb photos
    """
    from greenray.client.creation import PutOptions
    from greenray.client.user import split_place
    from greenray.protocol.objects import Visibility

    visibility = (
        Visibility.VISIBILITY_TYPE_PUBLIC_READ if public else Visibility.VISIBILITY_TYPE_PRIVATE
    )

    async def work(client: StorageClient) -> BucketInfo:
        bucket_name, _ = split_place(name)
        return await client.make_bucket(bucket_name, PutOptions(bucket_visibility=visibility))

    info = as_user(access, as_json, work)
    document = {
        "bucket": info.bucket_name,
        "bucket_id": info.id,
        "owner": info.owner,
        "primary": info.primary_sp_address,
        "visibility": info.visibility.name,
    }
    print_result(document, f"{info.bucket_name}: bucket {info.id}, made", as_json)
