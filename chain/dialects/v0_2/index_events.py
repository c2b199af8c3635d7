"""What events of a v0.2 block do to an index of buckets and objects (protocol 04 §8).

Their attributes are JSON: 64-bit integers and ids are text in quotes, enums their names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, TypeVar

from greenray.chain.dialects.v0_2.state import uint_of
from greenray.protocol.errors import InvalidInput
from greenray.protocol.index_changes import (
    BucketCreated,
    BucketDeleted,
    BucketDiscontinued,
    BucketUpdated,
    IndexChange,
    ObjectCopied,
    ObjectCreated,
    ObjectDeleted,
    ObjectDiscontinued,
    ObjectSealed,
    ObjectUpdated,
)
from greenray.protocol.objects import (
    BucketInfo,
    BucketStatus,
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    Visibility,
)

_E = TypeVar("_E", bound=IntEnum)
_PACKAGE = "greenfield.storage."


def index_change(name: str, attributes: Mapping[str, str]) -> IndexChange | None:
    """See ``greenray.chain.dialect.Dialect.index_change``."""
    read = _READERS.get(name)
    return read(_Fields(name, attributes)) if read is not None else None


class _Fields:
    """Of one event. All methods raise InvalidInput."""

    def __init__(self, event: str, attributes: Mapping[str, str]) -> None:
        self._event = event
        self._attributes = attributes

    def text(self, name: str) -> str:
        value = self._value(name)
        if not isinstance(value, str):
            raise InvalidInput(f"{name} of {self._event} is no text")
        return value

    def number(self, name: str) -> int:
        return uint_of(self.text(name))

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._value(name)
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise InvalidInput(f"{name} of {self._event} is no list of texts")
        return tuple(values)

    def hashes(self, name: str) -> tuple[bytes, ...]:
        try:
            return tuple(base64.b64decode(one, validate=True) for one in self.texts(name))
        except ValueError as error:
            raise InvalidInput(f"{name} of {self._event} is not base64") from error

    def one_of(self, name: str, kind: type[_E]) -> _E:
        try:
            return kind[self.text(name)]
        except KeyError as error:
            raise InvalidInput(f"{name} of {self._event} is no {kind.__name__}") from error

    def place(self, prefix: str = "") -> tuple[str, str]:
        return self.text(f"{prefix}bucket_name"), self.text(f"{prefix}object_name")

    def _value(self, name: str) -> Any:
        try:
            return json.loads(self._attributes[name])
        except (KeyError, ValueError) as error:
            raise InvalidInput(f"{self._event} has no {name}") from error


def _bucket_created(event: _Fields) -> BucketCreated:
    return BucketCreated(
        BucketInfo(
            owner=event.text("owner"),
            bucket_name=event.text("bucket_name"),
            visibility=event.one_of("visibility", Visibility),
            id=event.number("bucket_id"),
            create_at=event.number("create_at"),
            payment_address=event.text("payment_address"),
            primary_sp_address=event.text("primary_sp_address"),
            source_type=event.one_of("source_type", SourceType),
            charged_read_quota=event.number("charged_read_quota"),
            bucket_status=event.one_of("status", BucketStatus),
        )
    )


def _bucket_updated(event: _Fields) -> BucketUpdated:
    return BucketUpdated(
        event.text("bucket_name"),
        event.number("bucket_id"),
        event.text("operator"),
        event.number("charged_read_quota_after"),
        event.text("payment_address_after"),
        event.one_of("visibility", Visibility),
    )


def _bucket_discontinued(event: _Fields) -> BucketDiscontinued:
    return BucketDiscontinued(
        event.text("bucket_name"),
        event.number("bucket_id"),
        event.text("reason"),
        event.number("delete_at"),
    )


def _bucket_removed(event: _Fields) -> BucketDeleted:
    return BucketDeleted(
        event.text("bucket_name"), event.number("bucket_id"), event.text("operator")
    )


def _object_created(event: _Fields) -> ObjectCreated:
    bucket_name, object_name = event.place()
    return ObjectCreated(
        ObjectInfo(
            owner=event.text("owner"),
            bucket_name=bucket_name,
            object_name=object_name,
            id=event.number("object_id"),
            payload_size=event.number("payload_size"),
            visibility=event.one_of("visibility", Visibility),
            content_type=event.text("content_type"),
            create_at=event.number("create_at"),
            object_status=event.one_of("status", ObjectStatus),
            redundancy_type=event.one_of("redundancy_type", RedundancyType),
            source_type=event.one_of("source_type", SourceType),
            checksums=event.hashes("checksums"),
        )
    )


def _object_copied(event: _Fields) -> ObjectCopied:
    return ObjectCopied(
        source=event.place("src_"),
        source_id=event.number("src_object_id"),
        place=event.place("dst_"),
        object_id=event.number("dst_object_id"),
        operator=event.text("operator"),
    )


def _object_sealed(event: _Fields) -> ObjectSealed:
    return ObjectSealed(
        event.place(),
        event.number("object_id"),
        event.text("operator"),
        event.one_of("status", ObjectStatus),
        event.texts("secondary_sp_addresses"),
    )


def _object_updated(event: _Fields) -> ObjectUpdated:
    return ObjectUpdated(
        event.place(), event.text("operator"), event.one_of("visibility", Visibility)
    )


def _object_discontinued(event: _Fields) -> ObjectDiscontinued:
    return ObjectDiscontinued(
        event.number("object_id"), event.text("reason"), event.number("delete_at")
    )


def _object_withdrawn(event: _Fields) -> ObjectDeleted:
    """Cancelled or rejected."""
    return ObjectDeleted(event.place(), event.number("object_id"), event.text("operator"))


def _object_deleted(event: _Fields) -> ObjectDeleted:
    """The provider keeps the operator of before."""
    return ObjectDeleted(
        event.place(),
        event.number("object_id"),
        secondary_sp_addresses=event.texts("secondary_sp_addresses"),
    )


_READERS: Mapping[str, Callable[[_Fields], IndexChange]] = MappingProxyType(
    {
        f"{_PACKAGE}EventCreateBucket": _bucket_created,
        f"{_PACKAGE}EventUpdateBucketInfo": _bucket_updated,
        f"{_PACKAGE}EventDiscontinueBucket": _bucket_discontinued,
        f"{_PACKAGE}EventDeleteBucket": _bucket_removed,
        f"{_PACKAGE}EventCreateObject": _object_created,
        f"{_PACKAGE}EventCopyObject": _object_copied,
        f"{_PACKAGE}EventSealObject": _object_sealed,
        f"{_PACKAGE}EventUpdateObjectInfo": _object_updated,
        f"{_PACKAGE}EventDiscontinueObject": _object_discontinued,
        f"{_PACKAGE}EventCancelCreateObject": _object_withdrawn,
        f"{_PACKAGE}EventRejectSealObject": _object_withdrawn,
        f"{_PACKAGE}EventDeleteObject": _object_deleted,
    }
)
