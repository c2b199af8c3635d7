"""``greenray stat``: what the chain says of a bucket or an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenray.cli.as_user import as_user, size_text
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result
from greenray.client.access import Access
from greenray.display.units import utc_text

if TYPE_CHECKING:
    from greenray.client.storage_client import StorageClient
    from greenray.protocol.objects import BucketInfo, ObjectInfo

app = command_app()


@dataclass(frozen=True, slots=True)
class _Found:
    bucket: BucketInfo
    object: ObjectInfo | None
    gateway: str


@app.command()
@with_access
def stat(
    name: Annotated[str, typer.Argument(metavar="BUCKET[/OBJECT]")],
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Show what the chain says of a bucket or an object: its size, state, owner, checksums, and
    which gateway serves it. How far an upload is, 'status' says.

    Example: greenray stat photos/cat.jpg
    """
    from greenray.client.user import split_name, split_place

    async def work(client: StorageClient) -> _Found:
        bucket_name, rest = split_place(name)
        info = await client.head_object(*split_name(name)) if rest else None
        bucket = await client.head_bucket(bucket_name)
        return _Found(bucket, info, await client.gateway_of(bucket_name))

    found = as_user(access, as_json, work)
    if found.object is None:
        document = _bucket_document(found.bucket, found.gateway)
    else:
        document = _object_document(found.object, found.bucket, found.gateway)
    print_result(document, "\n".join(_lines(document)), as_json)


def _bucket_document(info: BucketInfo, gateway: str) -> dict[str, Any]:
    return {
        "bucket": info.bucket_name,
        "bucket_id": info.id,
        "owner": info.owner,
        "visibility": info.visibility.name,
        "created_at": info.create_at,
        "primary": info.primary_sp_address,
        "gateway": gateway,
        "read_quota_bytes": info.charged_read_quota,
        "payment_address": info.payment_address,
        "status": info.bucket_status.name,
    }


def _object_document(info: ObjectInfo, bucket: BucketInfo, gateway: str) -> dict[str, Any]:
    return {
        "bucket": info.bucket_name,
        "object": info.object_name,
        "object_id": info.id,
        "size_bytes": info.payload_size,
        "status": info.object_status.name,
        "owner": info.owner,
        "visibility": info.visibility.name,
        "content_type": info.content_type,
        "created_at": info.create_at,
        "redundancy": info.redundancy_type.name,
        "primary": bucket.primary_sp_address,
        "gateway": gateway,
        "integrity_hash": info.checksums[0].hex() if info.checksums else "",
        "secondaries": list(info.secondary_sp_addresses),
    }


def _lines(document: dict[str, Any]) -> list[str]:
    lines = []
    for field, value in document.items():
        if field == "created_at":
            value = utc_text(value)
        elif field.endswith("_bytes"):
            field, value = field.removesuffix("_bytes"), size_text(value, in_bytes=False)
        values = value if isinstance(value, list) else [value]
        lines += [f"{field.replace('_', ' '):15}  {one}" for one in values]
    return lines
