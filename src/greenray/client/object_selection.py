"""Which objects of a bucket a user means: one, all below a prefix, or those of a pattern."""

from __future__ import annotations

import glob
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fnmatch import translate

from greenray.client.storage_client import StorageClient
from greenray.client.user import split_place
from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name
from greenray.protocol.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class Selection:
    """``prefix``: of the names that are looked at; ``pattern``: which of them are meant, None: all.
    ``base_size``: how many characters of a name its path below the selection leaves out."""

    bucket_name: str
    prefix: str
    pattern: re.Pattern[str] | None = None
    base_size: int = 0

    @classmethod
    def parse(cls, text: str, *, recursive: bool) -> Selection | None:
        """None: one object is named. ``recursive``: what has no wildcard is a prefix. Raises
        InvalidName."""
        bucket_name, rest = split_place(text)
        check_bucket_name(bucket_name)
        if glob.has_magic(rest):
            prefix = rest[: min(rest.index(c) for c in "*?[" if c in rest)]
            return cls(bucket_name, prefix, re.compile(translate(rest)), _folder_size(prefix))
        if not recursive:
            if not rest:
                raise InvalidName(
                    "names a bucket, not an object", text, "Name BUCKET/OBJECT, or give --recursive"
                )
            return None
        if rest and not rest.endswith("/"):
            # Like a directory: photos is not photos-old.
            rest += "/"
        return cls(bucket_name, rest, None, len(rest))

    def relative(self, object_name: str) -> str:
        """Below the folder that is named, or that the pattern is in."""
        return object_name[self.base_size :]


async def selected(client: StorageClient, selection: Selection) -> AsyncIterator[ObjectInfo]:
    """In the order of names. Raises: what ``StorageClient.list_objects`` raises."""
    async for page in client.list_objects(selection.bucket_name, selection.prefix):
        for meta in page.objects:
            name = meta.info.object_name
            if selection.pattern is None or selection.pattern.match(name):
                yield meta.info


def _folder_size(prefix: str) -> int:
    return prefix.rfind("/") + 1
