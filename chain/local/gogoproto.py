"""What gogoproto's generated decoders refuse, in their words.

Python's protobuf reads a known field of another wire type as an unknown one, and refuses text that
is not UTF-8; the node does neither. Requests are walked here before they are decoded.
"""

from __future__ import annotations

from typing import Any

_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """Worded as the node's decoder words it."""


def check(descriptor: Any, data: bytes) -> None:
    """Walk a message of text, byte, varint and message fields. Raises WireError."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3 & 0xFFFFFFFF, tag & 7
        if wire_type == _END_GROUP:
            raise WireError(f"proto: {descriptor.name}: wiretype end group for non-group")
        if not 0 < number < 2**31:
            shown = number - 2**32 if number else 0
            raise WireError(f"proto: {descriptor.name}: illegal tag {shown} (wire type {tag})")
        field = descriptor.fields_by_number.get(number)
        if field is None:
            position = _skip(data, position, wire_type)
        else:
            position = _field(data, position, wire_type, field)


def wire_type_of(field: Any) -> int:
    """How a single value of the field is encoded."""
    is_delimited = field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE)
    return _BYTES if is_delimited else _VARINT


def _field(data: bytes, position: int, wire_type: int, field: Any) -> int:
    if wire_type != wire_type_of(field):
        go_name = "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
        raise WireError(f"proto: wrong wireType = {wire_type} for field {go_name}")
    if wire_type == _VARINT:
        return _varint(data, position)[1]
    start, end = _delimited(data, position)
    if field.message_type is not None:
        check(field.message_type, data[start:end])
    return end


def _skip(data: bytes, position: int, wire_type: int) -> int:
    if wire_type == _VARINT:
        return _varint(data, position)[1]
    if wire_type == _BYTES:
        return _delimited(data, position)[1]
    if wire_type in (_FIXED64, _FIXED32):
        end = position + (8 if wire_type == _FIXED64 else 4)
        if end > len(data):
            raise WireError("unexpected EOF")
        return end
    if wire_type != _START_GROUP:
        raise WireError(f"proto: illegal wireType {wire_type}")
    while True:
        tag, position = _varint(data, position)
        if tag & 7 == _END_GROUP:
            return position
        position = _skip(data, position, tag & 7)


def _delimited(data: bytes, position: int) -> tuple[int, int]:
    size, start = _varint(data, position)
    if size >= 2**63:
        raise WireError("proto: negative length found during unmarshaling")
    if start + size > len(data):
        raise WireError("unexpected EOF")
    return start, start + size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position behind it)."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(data):
            raise WireError("unexpected EOF")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), position + index + 1
    raise WireError("proto: integer overflow")
