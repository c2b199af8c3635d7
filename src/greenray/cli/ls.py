"""``greenray ls``: buckets, and what is in one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenray.cli.as_user import Bytes, as_user, size_text
from greenray.cli.options import with_access
from greenray.cli.output import command_app, note
from greenray.client.access import Access
from greenray.display.units import utc_text
from greenray.protocol.foreign_text import printable

if TYPE_CHECKING:
    from greenray.client.storage_client import StorageClient
    from greenray.protocol.objects import BucketInfo, ObjectInfo

app = command_app()


@app.command()
@with_access
def ls(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[BUCKET[/PREFIX]]", help="A bucket, or names that begin so."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All names, not folders.")
    ] = False,
    in_bytes: Bytes = False,
    *,
    access: Access,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON document on each line.")] = False,
) -> None:
    """List your buckets, or the objects and folders of a bucket.

    A folder is what names have in common up to the next slash.

    Example: greenray ls photos/2026/
    """
    from greenray.client.user import split_place

    async def work(client: StorageClient) -> int:
        if name is None:
            return await _buckets(client, as_json)
        bucket_name, prefix = split_place(name)
        return await _objects(client, bucket_name, prefix, recursive, in_bytes, as_json)

    if as_user(access, as_json, work) == 0 and not as_json:
        note("there is nothing")


async def _buckets(client: StorageClient, as_json: bool) -> int:
    count = 0
    async for page in client.list_buckets():
        for meta in page:
            if not meta.removed:
                count += 1
                _say(as_json, _bucket_document(meta.info), _bucket_line(meta.info))
    return count


async def _objects(
    client: StorageClient,
    bucket_name: str,
    prefix: str,
    recursive: bool,
    in_bytes: bool,
    as_json: bool,
) -> int:
    count = 0
    pages = client.list_objects(bucket_name, prefix, delimiter="" if recursive else "/")
    async for page in pages:
        found: list[tuple[str, ObjectInfo | None]] = [(p, None) for p in page.common_prefixes]
        found += [(meta.info.object_name, meta.info) for meta in page.objects if not meta.removed]
        count += len(found)
        for object_name, info in sorted(found, key=lambda one: one[0].encode()):
            if info is None:
                text = f"{'':23}  {'folder':>10}  {object_name}"
                _say(as_json, {"bucket": bucket_name, "prefix": object_name}, text)
            else:
                _say(as_json, _object_document(info), _object_line(info, in_bytes))
    return count


def _say(as_json: bool, document: dict[str, Any], text: str) -> None:
    typer.echo(json.dumps(document) if as_json else printable(text))


def _bucket_document(info: BucketInfo) -> dict[str, Any]:
    return {
        "bucket": info.bucket_name,
        "bucket_id": info.id,
        "created_at": info.create_at,
        "visibility": info.visibility.name,
        "primary": info.primary_sp_address,
    }


def _bucket_line(info: BucketInfo) -> str:
    return f"{utc_text(info.create_at)}  {info.bucket_name}"


def _object_document(info: ObjectInfo) -> dict[str, Any]:
    return {
        "bucket": info.bucket_name,
        "object": info.object_name,
        "object_id": info.id,
        "size_bytes": info.payload_size,
        "created_at": info.create_at,
        "status": info.object_status.name,
        "content_type": info.content_type,
    }


def _object_line(info: ObjectInfo, in_bytes: bool) -> str:
    """What is not sealed says so: it cannot be read."""
    status = info.object_status.name.removeprefix("OBJECT_STATUS_").lower()
    mark = "" if status == "sealed" else f"  ({status})"
    size = size_text(info.payload_size, in_bytes)
    return f"{utc_text(info.create_at)}  {size:>10}  {info.object_name}{mark}"
