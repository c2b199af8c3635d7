"""The kinds of PieceStore, by the scheme of their URLs.

A new kind is a module with a ``PieceLocation`` and one line here: its options become settings, the
settings accept its URLs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from greenray.protocol.errors import InvalidSetting
from greenray.storage.file_location import FileLocation
from greenray.storage.memory_location import MemoryLocation
from greenray.storage.piece_location import PieceLocation
from greenray.storage.s3_location import S3Location

_KINDS: tuple[type[PieceLocation], ...] = (
    FileLocation,
    S3Location,
    MemoryLocation,
)
PIECE_KINDS: Mapping[str, type[PieceLocation]] = MappingProxyType({k.scheme: k for k in _KINDS})


def piece_location(
    url: str, options: Mapping[str, Any] | None = None, *, durable: bool = True
) -> PieceLocation:
    """``options``: fields of the kind's options; what is absent has its default.

    Raises InvalidSetting about ``pieces.url`` or an option that the kind does not have. The URL is
    never repeated as a whole: it may have credentials in it.
    """
    kind, split = _split(url)
    given = options or {}
    foreign = [name for name in given if name not in {f.name for f in fields(kind.options_type)}]
    if foreign:
        raise InvalidSetting(
            f"a PieceStore of kind {kind.scheme} has no {', '.join(foreign)}",
            "pieces",
            "Remove it, or correct pieces.url",
        )
    return kind.at(split, kind.options_type(**given), durable)


def location_to_json(location: PieceLocation) -> dict[str, Any]:
    options = asdict(location.options)
    return {"url": location.url, "durable": location.durable, "options": options}


def location_from_json(document: Mapping[str, Any]) -> PieceLocation:
    return piece_location(document["url"], document["options"], durable=document["durable"])


def _split(url: str) -> tuple[type[PieceLocation], Any]:
    examples = " or ".join(kind.example for kind in _KINDS)
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise InvalidSetting(f"not a URL ({error})", "pieces.url", f"Write {examples}") from None
    if split.scheme not in PIECE_KINDS:
        what = f"no PieceStore is of kind {split.scheme!r}" if split.scheme else "not a URL"
        raise InvalidSetting(what, "pieces.url", f"Write {examples}")
    if split.query or split.fragment:
        raise InvalidSetting(
            "options do not belong into the URL",
            "pieces.url",
            "Write them beside it, as pieces.NAME; ? and # in a name are %3F and %23",
        )
    return PIECE_KINDS[split.scheme], split
