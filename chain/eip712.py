"""EIP-712 struct hashing for arbitrary types, the domain included (protocol 04 §4).

eth-account fixes the domain's types; this chain types ``verifyingContract`` and ``salt`` as
string, so the domain is hashed here like every other struct. One rule is the chain's own: the
value of ``bytes`` is base64 text, and that text itself is hashed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from greenray.chain.crypto import keccak256
from greenray.protocol.errors import InvalidInput

Types = Mapping[str, Sequence[Mapping[str, str]]]
"""Struct name to its fields, each ``{"name": ..., "type": ...}``, in order."""

_FrozenTypes = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""The same, to be remembered: (struct name, ((field name, type), ...)) pairs."""

_CHAIN_ID = re.compile(r"[a-z]+_([1-9][0-9]*)-[1-9][0-9]*")
_MAX_CHAIN_ID_CHARACTERS = 48


def numeric_chain_id(chain_id: str) -> int:
    """``greenfield_9000-121`` is 9000 (protocol 04 §4.5).

    Raises:
        InvalidInput: the text is not a chain id.
    """
    match = _CHAIN_ID.fullmatch(chain_id)
    if match is None or len(chain_id) > _MAX_CHAIN_ID_CHARACTERS:
        raise InvalidInput(f"{chain_id[:60]!r} is not a chain id like greenfield_9000-121")
    return int(match[1])


def encode_type(types: Types, primary_type: str) -> str:
    """``Tx(uint256 a,Fee b)Fee(...)``: the primary type, then what it refers to, sorted."""
    others = _referenced(types, primary_type) - {primary_type}
    return "".join(_declaration(types, name) for name in [primary_type, *sorted(others)])


def _declaration(types: Types, name: str) -> str:
    members = ",".join(f"{field['type']} {field['name']}" for field in types[name])
    return f"{name}({members})"


def type_hash(types: Types, primary_type: str) -> bytes:
    return keccak256(encode_type(types, primary_type).encode())


def hash_struct(types: Types, name: str, value: Mapping[str, Any]) -> bytes:
    """keccak256 of the type hash and the 32-byte encodings of the fields.

    Raises:
        InvalidInput: a field is missing, or a value does not fit its type.
    """
    return _hash_struct(_structs(_frozen(types)), name, value)


@dataclass(frozen=True, slots=True)
class _Struct:
    """``fields``: (name, type) pairs."""

    type_hash: bytes
    fields: tuple[tuple[str, str], ...]


def _frozen(types: Types) -> _FrozenTypes:
    return tuple(
        (name, tuple((field["name"], field["type"]) for field in fields))
        for name, fields in types.items()
    )


@lru_cache(maxsize=256)
def _structs(frozen: _FrozenTypes) -> Mapping[str, _Struct]:
    """Transactions of one kind have the same types, whose hashes cost more than their values'."""
    types = {name: [{"name": n, "type": t} for n, t in fields] for name, fields in frozen}
    return {name: _Struct(type_hash(types, name), fields) for name, fields in frozen}


def _hash_struct(structs: Mapping[str, _Struct], name: str, value: Mapping[str, Any]) -> bytes:
    struct = structs[name]
    parts = [struct.type_hash]
    for field, type_name in struct.fields:
        if field not in value:
            raise InvalidInput(f"{name} has no value for {field}")
        parts.append(_encode_value(structs, type_name, value[field]))
    return keccak256(b"".join(parts))


def typed_data_digest(typed_data: Mapping[str, Any]) -> bytes:
    """The 32 bytes that are signed, of a typed-data object with types, primaryType, domain and
    message."""
    types = typed_data["types"]
    domain = hash_struct(types, "EIP712Domain", typed_data["domain"])
    message = hash_struct(types, typed_data["primaryType"], typed_data["message"])
    return keccak256(b"\x19\x01" + domain + message)


def _referenced(types: Types, name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        current = todo.pop()
        if current not in found:
            found.add(current)
            element_types = (f["type"].removesuffix("[]") for f in types[current])
            todo.extend(t for t in element_types if t in types)
    return found


def _encode_value(structs: Mapping[str, _Struct], type_name: str, value: Any) -> bytes:
    if type_name in ("string", "bytes"):
        return keccak256(str(value).encode())
    if type_name.endswith("[]"):
        element = type_name.removesuffix("[]")
        return keccak256(b"".join(_encode_value(structs, element, item) for item in value))
    if type_name in structs:
        return _hash_struct(structs, type_name, value)
    if type_name == "bool":
        return int(bool(value)).to_bytes(32)
    if type_name.startswith("uint"):
        number, bits = int(value), int(type_name.removeprefix("uint"))
        if not 0 <= number < 1 << bits:
            raise InvalidInput(f"{number} does not fit {type_name}")
        return number.to_bytes(32)
    raise InvalidInput(f"the type {type_name} is not part of this chain's typed data")
