"""Which names of buckets, objects and groups the chain accepts (protocol 04 §10)."""

from __future__ import annotations

import re

from greenray.protocol.errors import InvalidName

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_IPV4_LIKE = re.compile(r"([0-9]+\.){3}[0-9]+")

# What Go's strings.TrimSpace removes. str.strip() also takes U+001C to U+001F, which Go keeps.
_GO_BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def check_bucket_name(name: str) -> None:
    """Raises InvalidName with the chain's own text in ``what``."""
    where = f"bucket name {name[:80]!r}"
    size_bytes = len(_utf8(name, "Bucket", where))
    if not name.strip(_GO_BLANKS):
        raise InvalidName("Bucket name cannot be empty", where)
    if size_bytes < 3:
        raise InvalidName("Bucket name cannot be shorter than 3 characters", where)
    if size_bytes > 63:
        raise InvalidName("Bucket name cannot be longer than 63 characters", where)
    if _IPV4_LIKE.fullmatch(name):
        raise InvalidName("Bucket name cannot be an ip address", where)
    if any(pair in name for pair in ("..", ".-", "-.")) or not _BUCKET_NAME.fullmatch(name):
        raise InvalidName(
            "Bucket name contains invalid characters",
            where,
            "Use a-z, 0-9, single dots and dashes; begin and end with a-z or 0-9",
        )


def check_object_name(name: str) -> None:
    """Raises InvalidName with the chain's own text in ``what``."""
    where = f"object name {name[:80]!r}"
    size_bytes = len(_utf8(name, "Object", where))
    if not name.strip(_GO_BLANKS):
        raise InvalidName("Object name cannot be empty", where)
    if size_bytes > 1024:
        raise InvalidName("Object name cannot be longer than 1024 characters", where)
    if any(part.strip(_GO_BLANKS) in (".", "..") for part in name.split("/")):
        raise InvalidName("Object name with a bad path component is not supported", where)
    if "//" in name:
        raise InvalidName('Object name contains a "//" is not supported', where)


def is_object_prefix(text: str) -> bool:
    """Whether names of objects may begin so, as a list of them is asked for (06 §5.1)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    parts = text.strip(_GO_BLANKS).split("/")
    return "//" not in text and not any(part.strip(_GO_BLANKS) in (".", "..") for part in parts)


def check_group_name(name: str) -> None:
    """Raises InvalidName with the chain's own text in ``what``."""
    where = f"group name {name[:80]!r}"
    size_bytes = len(_utf8(name, "Group", where))
    if not name.strip(_GO_BLANKS):
        raise InvalidName("Group name cannot be empty", where)
    if size_bytes < 3:
        raise InvalidName("Group name cannot be shorter than 3 characters", where)
    if size_bytes > 63:
        raise InvalidName("Group name cannot be longer than 63 characters", where)


def _utf8(name: str, kind: str, where: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise InvalidName(f"{kind} name with non UTF-8 strings is not supported", where) from None
