"""Links to public objects, for whoever has no key (protocol 06 §1)."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.client.storage_client import StorageClient
from greenray.protocol.errors import AccessDenied
from greenray.protocol.http_auth import encode_path
from greenray.protocol.objects import Visibility

_PUBLIC = Visibility.VISIBILITY_TYPE_PUBLIC_READ


@dataclass(frozen=True, slots=True)
class Links:
    """``view``: shown by a browser; ``download``: saved."""

    view: str
    download: str


async def links_of(client: StorageClient, bucket_name: str, object_name: str) -> Links:
    """Raises: AccessDenied (it is not public), NoSuchBucket, NoSuchObject, ChainError."""
    info = await client.head_object(bucket_name, object_name)
    bucket = await client.head_bucket(bucket_name)
    inherits = info.visibility is Visibility.VISIBILITY_TYPE_INHERIT
    if (bucket.visibility if inherits else info.visibility) is not _PUBLIC:
        raise AccessDenied(
            "the object is private, a link to it would open for nobody",
            info.name,
            "Make it public with --public",
        )
    gateway = await client.gateway_of(bucket_name)
    path = encode_path(f"/{info.name}")
    return Links(f"{gateway}/view{path}", f"{gateway}/download{path}")
