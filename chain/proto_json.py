"""Proto-JSON of wire messages in the chain's flavour (protocol 04 §2).

Original field names in declaration order, defaults emitted, 64-bit integers quoted, enums by
name, bytes base64. Reading follows gogoproto's jsonpb: original or lowerCamel names, numbers
quoted or bare, enums by name or number, null for "not set", unknown fields refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import (
    ActionType,
    BucketStatus,
    ObjectStatus,
    ProviderStatus,
    RedundancyType,
    SourceType,
    Visibility,
)


class PrincipalType(IntEnum):
    PRINCIPAL_TYPE_UNSPECIFIED = 0
    PRINCIPAL_TYPE_GNFD_ACCOUNT = 1
    PRINCIPAL_TYPE_GNFD_GROUP = 2


class Effect(IntEnum):
    EFFECT_UNSPECIFIED = 0
    EFFECT_ALLOW = 1
    EFFECT_DENY = 2


class ResourceType(IntEnum):
    RESOURCE_TYPE_UNSPECIFIED = 0
    RESOURCE_TYPE_BUCKET = 1
    RESOURCE_TYPE_OBJECT = 2
    RESOURCE_TYPE_GROUP = 3


class StreamAccountStatus(IntEnum):
    STREAM_ACCOUNT_STATUS_ACTIVE = 0
    STREAM_ACCOUNT_STATUS_FROZEN = 1


ENUM_FIELDS: Mapping[str, type[IntEnum]] = {
    "greenfield.storage.MsgCreateBucket.visibility": Visibility,
    "greenfield.storage.MsgCreateObject.visibility": Visibility,
    "greenfield.storage.MsgCreateObject.redundancy_type": RedundancyType,
    "greenfield.storage.MsgUpdateBucketInfo.visibility": Visibility,
    "greenfield.storage.MsgUpdateObjectInfo.visibility": Visibility,
    "greenfield.storage.GroupInfo.source_type": SourceType,
    "greenfield.storage.BucketInfo.visibility": Visibility,
    "greenfield.storage.BucketInfo.source_type": SourceType,
    "greenfield.storage.BucketInfo.bucket_status": BucketStatus,
    "greenfield.storage.ObjectInfo.visibility": Visibility,
    "greenfield.storage.ObjectInfo.object_status": ObjectStatus,
    "greenfield.storage.ObjectInfo.redundancy_type": RedundancyType,
    "greenfield.storage.ObjectInfo.source_type": SourceType,
    "greenfield.storage.QueryVerifyPermissionRequest.action_type": ActionType,
    "greenfield.storage.QueryVerifyPermissionResponse.effect": Effect,
    "greenfield.permission.Principal.type": PrincipalType,
    "greenfield.permission.Statement.effect": Effect,
    "greenfield.permission.Statement.actions": ActionType,
    "greenfield.permission.Policy.resource_type": ResourceType,
    "greenfield.sp.StorageProvider.status": ProviderStatus,
    "greenfield.payment.StreamRecord.status": StreamAccountStatus,
}
"""The int32 fields of ``greenray.chain.wire`` that are enums, by full name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_BITS = {"int32": (32, True), "int64": (64, True), "uint32": (32, False), "uint64": (64, False)}


@lru_cache(maxsize=4096)
def kind_of(field: Any) -> str:
    """``string``, ``bytes``, ``bool``, ``enum``, ``message``, ``int32`` ... of a descriptor."""
    if field.full_name in ENUM_FIELDS:
        return "enum"
    kinds = {
        field.TYPE_STRING: "string",
        field.TYPE_BYTES: "bytes",
        field.TYPE_BOOL: "bool",
        field.TYPE_INT32: "int32",
        field.TYPE_INT64: "int64",
        field.TYPE_UINT32: "uint32",
        field.TYPE_UINT64: "uint64",
        field.TYPE_MESSAGE: "message",
    }
    return kinds[field.type]


def is_time(field: Any) -> bool:
    """Whether a message field is a point in time, which JSON has as text."""
    return bool(field.message_type.full_name == "google.protobuf.Timestamp")


# --- writing -----------------------------------------------------------------------------------


def to_json(message: Any) -> dict[str, Any]:
    """The proto-JSON object of a wire message. Empty bytes are written as ``""``."""
    return {field.name: _field_to_json(message, field) for field in message.DESCRIPTOR.fields}


def _field_to_json(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_value_to_json(field, item) for item in value]
    if kind_of(field) == "message" and not message.HasField(field.name):
        return None
    return _value_to_json(field, value)


def _value_to_json(field: Any, value: Any) -> Any:
    match kind_of(field):
        case "message":
            return time_text(value) if is_time(field) else to_json(value)
        case "bytes":
            return base64.b64encode(value).decode()
        case "int64" | "uint64":
            return str(value)
        case "enum":
            return _enum_name(field, value)
        case _:
            return value


def time_text(timestamp: Any) -> str:
    """RFC 3339 in UTC, with no, 3, 6 or 9 digits behind the second. Raises InvalidInput for what is
    no time of the years 1 to 9999."""
    try:
        moment = _EPOCH + timedelta(seconds=timestamp.seconds)
    except OverflowError:
        raise InvalidInput(f"{timestamp.seconds} s is not in the years 1 to 9999") from None
    digits = f"{timestamp.nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    fraction = f".{digits}" if digits else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{fraction}Z"


def _enum_name(field: Any, number: int) -> str | int:
    # gogoproto prints a number that has no name as a number.
    enum_type = ENUM_FIELDS[field.full_name]
    return enum_type(number).name if number in enum_type.__members__.values() else number


# --- reading -----------------------------------------------------------------------------------


def from_json(cls: Any, value: Any, where: str = "") -> Any:
    """The wire message of class ``cls`` that ``value`` (a parsed JSON object) describes.

    Raises:
        InvalidInput: an unknown field, a value of the wrong kind or range; ``where`` is the path.
    """
    name = where or cls.DESCRIPTOR.name
    if not isinstance(value, dict):
        raise InvalidInput(f"expected a JSON object, got {_shown(value)}", name)
    fields = {}
    for field in cls.DESCRIPTOR.fields:
        fields[field.name] = field
        fields[field.json_name] = field
    message = cls()
    for key, item in value.items():
        if key not in fields:
            raise InvalidInput(f"unknown field {key!r}", name)
        if item is not None:
            _read_field(message, fields[key], item, f"{name}.{key}")
    return message


def _read_field(message: Any, field: Any, value: Any, where: str) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise InvalidInput(f"expected a JSON array, got {_shown(value)}", where)
        target = getattr(message, field.name)
        for index, item in enumerate(value):
            target.append(_read_value(field, item, f"{where}[{index}]"))
    elif kind_of(field) == "message":
        getattr(message, field.name).CopyFrom(_read_value(field, value, where))
    else:
        setattr(message, field.name, _read_value(field, value, where))


def _read_value(field: Any, value: Any, where: str) -> Any:
    match kind_of(field):
        case "message" if is_time(field):
            return _read_time(value, where)
        case "message":
            return from_json(wire.message_class(field.message_type.full_name), value, where)
        case "string":
            return _read_string(value, where)
        case "bytes":
            return _read_bytes(value, where)
        case "bool":
            if not isinstance(value, bool):
                raise InvalidInput(f"expected true or false, got {_shown(value)}", where)
            return value
        case "enum":
            return _read_enum(ENUM_FIELDS[field.full_name], value, where)
        case kind:
            return _read_integer(value, *_BITS[kind], where)


def _read_string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"expected a string, got {_shown(value)}", where)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("the text is not valid Unicode", where) from error
    return value


def _read_bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidInput(f"expected base64 text, got {_shown(value)}", where)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("the text is not base64", where) from error


def _read_integer(value: Any, bits: int, signed: bool, where: str) -> int:
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, bool) or len(text) > 20 or not _INTEGER.fullmatch(text):
        raise InvalidInput(f"expected an integer, got {_shown(value)}", where)
    number = int(text)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise InvalidInput(f"{number} is outside {low}..{high}", where)
    return number


def _read_time(value: Any, where: str) -> Any:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInput(f"expected a time like 2023-06-01T12:00:00Z, got {_shown(value)}", where)
    whole, fraction, zone = match.groups(default="")
    try:
        moment = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    except ValueError as error:
        raise InvalidInput(f"{_shown(value)} is not a time: {error}", where) from error
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return wire.protobuf.Timestamp(seconds=seconds, nanos=int(fraction.ljust(9, "0")))


def _read_enum(enum_type: type[IntEnum], value: Any, where: str) -> int:
    if isinstance(value, str):
        if value not in enum_type.__members__:
            raise InvalidInput(f"{_shown(value)} is not a {enum_type.__name__}", where)
        return enum_type[value].value
    return _read_integer(value, 32, True, where)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
