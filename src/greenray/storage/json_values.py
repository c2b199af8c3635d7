"""Frozen dataclasses as JSON values and back, exactly.

The encoder and decoder of a class are derived from its field types once: int, float, str, bool,
bytes (hex), enums (their value), ``X | None``, ``tuple[X, ...]`` and dataclasses of these. A field
that is missing takes its default (the document is older than the field); one that is unknown is an
error (it is newer).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
Convert = Callable[[Any], Any]


def to_json_value(value: Any) -> Any:
    """The JSON value of a dataclass instance."""
    kind: Any = type(value)
    return _encoder(kind)(value)


def from_json_value(kind: type[T], value: Any) -> T:
    """Raises: ValueError, when ``value`` is not the JSON value of a ``kind``."""
    decode: Convert = _decoder(typing.cast(Any, kind))
    try:
        decoded: T = decode(value)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error
    return decoded


def fields_to_json(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The JSON values of some fields of a dataclass instance."""
    kind: Any = type(value)
    encoders = _field_encoders(kind)
    return {name: encoders[name](getattr(value, name)) for name in names}


def fields_from_json(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of a ``kind`` that are in ``values``, as its constructor takes them.

    Raises: ValueError.
    """
    decoders = _field_decoders(kind)
    unknown = values.keys() - decoders.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} does not know {sorted(unknown)}")
    try:
        return {name: decoders[name](value) for name, value in values.items()}
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not of a {kind.__name__}: {error}") from error


@cache
def _encoder(kind: Any) -> Convert:
    if is_dataclass(kind):
        return _dataclass_encoder(kind)
    item, is_tuple = _item_type(kind)
    if item is not None:
        encode = _encoder(item)
        if is_tuple:
            return lambda values: [encode(v) for v in values]
        return lambda value: None if value is None else encode(value)
    if kind is bytes:
        return bytes.hex
    if issubclass(kind, Enum):
        return lambda value: value.value
    if kind in (int, float, str, bool):
        return lambda value: value
    raise TypeError(f"{kind} has no JSON form")


@cache
def _decoder(kind: Any) -> Convert:
    if is_dataclass(kind):
        return _dataclass_decoder(kind)
    item, is_tuple = _item_type(kind)
    if item is not None:
        decode = _decoder(item)
        if is_tuple:
            return lambda values: tuple([decode(v) for v in values])
        return lambda value: None if value is None else decode(value)
    if kind is bytes:
        return bytes.fromhex
    if issubclass(kind, Enum):
        return lambda value: kind(value)
    if kind in (int, float, str, bool):
        return _checked(kind)
    raise TypeError(f"{kind} has no JSON form")


def _item_type(kind: Any) -> tuple[Any, bool]:
    """X and whether a tuple, for ``tuple[X, ...]`` and ``X | None``; else None."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0], True
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2:
        rest = [a for a in arguments if a is not types.NoneType]
        if len(rest) == 1:
            return rest[0], False
    return None, False


def _checked(kind: type) -> Convert:
    accepted = (int, float) if kind is float else (kind,)

    def decode(value: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"{value!r} is not of type {kind.__name__}")
        return kind(value)

    return decode


@cache
def _field_encoders(kind: Any) -> Mapping[str, Convert]:
    hints = typing.get_type_hints(kind)
    return {f.name: _encoder(hints[f.name]) for f in fields(kind)}


@cache
def _field_decoders(kind: Any) -> Mapping[str, Convert]:
    hints = typing.get_type_hints(kind)
    return {f.name: _decoder(hints[f.name]) for f in fields(kind)}


def _dataclass_encoder(kind: Any) -> Convert:
    names = tuple(f.name for f in fields(kind))
    return lambda value: fields_to_json(value, names)


def _dataclass_decoder(kind: Any) -> Convert:
    def decode(values: Any) -> Any:
        return kind(**fields_from_json(kind, values))

    return decode
