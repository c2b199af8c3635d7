"""Approvals of secondary SPs: the P2P messages, what is signed, and the header form
(protocol 03 §3, §6, §7)."""

from __future__ import annotations

import binascii
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeVar

from greenray.protocol.errors import ApprovalError, InvalidHeader, InvalidInput, SignatureError
from greenray.protocol.go_json import dump, replace_surrogates
from greenray.protocol.objects import (
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    Visibility,
)

SIGNATURE_SIZE_BYTES = 65
"""r (32) || s (32) || v (1)."""

Recover = Callable[[bytes, bytes], str]
"""Maps (sign bytes, signature) to the signer's EIP-55 address; raises SignatureError."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A GetApprovalResponse: ``sp_operator_address`` will take a group of this object until
    ``expired_time`` (unix seconds, equality still valid). ``refused_reason`` empty = accepted."""

    object_info: ObjectInfo
    sp_operator_address: str
    expired_time: int
    refused_reason: str = ""
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A GetApprovalRequest of the primary ``sp_operator_address``."""

    object_info: ObjectInfo
    sp_operator_address: str
    signature: bytes = b""


# --- sign bytes: amino JSON, sorted ------------------------------------------------------------


def request_sign_bytes(request: ApprovalRequest) -> bytes:
    """What the primary's operator key signs; the signature itself is left out."""
    return _amino_sign_bytes(
        "p2p/GetApprovalRequest",
        request.object_info,
        {"sp_operator_address": request.sp_operator_address},
    )


def approval_sign_bytes(approval: Approval) -> bytes:
    """What the secondary's operator key signs; the signature itself is left out."""
    return _amino_sign_bytes(
        "p2p/GetApprovalResponse",
        approval.object_info,
        {
            "sp_operator_address": approval.sp_operator_address,
            "expired_time": _amino_int64(approval.expired_time),
            "refused_reason": approval.refused_reason,
        },
    )


def _amino_sign_bytes(type_name: str, info: ObjectInfo, texts: Mapping[str, str]) -> bytes:
    """Of a message with the object and ``texts``; keys are sorted at every level."""
    fields = {name: dump(text, sort_keys=True) for name, text in _without_zeros(texts).items()}
    fields["object_info"] = _amino_object_info(info)
    value = ",".join(f'"{name}":{fields[name]}' for name in sorted(fields))
    return f'{{"type":"{type_name}","value":{{{value}}}}}'.encode()


@lru_cache(maxsize=1024)
def _amino_object_info(info: ObjectInfo) -> str:
    """Remembered: a dozen messages about an object are signed and verified one after the other."""
    values = _object_info_json(info)
    for name in ("payload_size", "create_at"):
        if name in values:
            values[name] = _amino_int64(values[name])
    return dump(values, sort_keys=True)


def _amino_int64(value: int) -> str:
    """64-bit integers are quoted; the empty text marks the zero that is left out."""
    return str(value) if value else ""


def _without_zeros(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in value.items() if field or name == "id"}


def _object_info_json(info: ObjectInfo) -> dict[str, Any]:
    """Fields in the order of the message, zero values left out (``id`` never)."""
    return _without_zeros(
        {
            "owner": info.owner,
            "bucket_name": info.bucket_name,
            "object_name": info.object_name,
            "id": str(info.id),
            "payload_size": info.payload_size,
            "visibility": int(info.visibility),
            "content_type": info.content_type,
            "create_at": info.create_at,
            "object_status": int(info.object_status),
            "redundancy_type": int(info.redundancy_type),
            "source_type": int(info.source_type),
            "checksums": [b64encode(c).decode() for c in info.checksums],
            "secondary_sp_addresses": list(info.secondary_sp_addresses),
        }
    )


# --- the header X-Gnfd-Replicate-Approval: Go encoding/json -------------------------------------


def approval_to_header(approval: Approval) -> str:
    """The header value (protocol 03 §7): send it as UTF-8 bytes.

    U+007F is escaped although Go leaves it raw, because HTTP forbids it in a header; a JSON
    decoder reads both alike.
    """
    value = _without_zeros(
        {
            "object_info": _object_info_json(approval.object_info),
            "sp_operator_address": approval.sp_operator_address,
            "expired_time": approval.expired_time,
            "refused_reason": approval.refused_reason,
            "signature": b64encode(approval.signature).decode(),
        }
    )
    return dump(value, sort_keys=False).replace("\x7f", "\\u007f")


def approval_from_header(text: str) -> Approval:
    """The approval in a header value; missing fields are zero, unknown ones ignored, as in Go.

    Raises:
        InvalidHeader: not JSON, or a field has the wrong type or is out of its range.
    """
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidHeader("the replicate approval is not JSON", _HEADER) from error
    message = _Fields(parsed, _HEADER)
    info = _Fields(message.value("object_info", dict, {}), f"{_HEADER} object_info")
    return Approval(
        ObjectInfo(
            owner=info.text("owner"),
            bucket_name=info.text("bucket_name"),
            object_name=info.text("object_name"),
            id=info.quoted_uint("id"),
            payload_size=info.integer("payload_size", 0, 2**64),
            visibility=info.member("visibility", Visibility),
            content_type=info.text("content_type"),
            create_at=info.integer("create_at", -(2**63), 2**63),
            object_status=info.member("object_status", ObjectStatus),
            redundancy_type=info.member("redundancy_type", RedundancyType),
            source_type=info.member("source_type", SourceType),
            checksums=tuple(info.octets("checksums", c) for c in info.items("checksums")),
            secondary_sp_addresses=tuple(
                replace_surrogates(a) for a in info.items("secondary_sp_addresses")
            ),
        ),
        message.text("sp_operator_address"),
        message.integer("expired_time", -(2**63), 2**63),
        message.text("refused_reason"),
        message.octets("signature", message.text("signature")),
    )


_HEADER = "header X-Gnfd-Replicate-Approval"
_V = TypeVar("_V")
_E = TypeVar("_E", bound=IntEnum)


class _Fields:
    """Typed access to the fields of a JSON object."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidHeader("not a JSON object", where)
        self._value = value
        self._where = where

    def value(self, name: str, kind: type[_V], zero: _V) -> _V:
        found = self._value.get(name)
        if found is None:
            return zero
        # bool is an int to Python, but not to Go.
        if not isinstance(found, kind) or isinstance(found, bool):
            raise self._wrong(name)
        return found

    def text(self, name: str) -> str:
        return replace_surrogates(self.value(name, str, ""))

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer in ``low <= x < high``."""
        number = self.value(name, int, 0)
        if not low <= number < high:
            raise self._wrong(name)
        return number

    def quoted_uint(self, name: str) -> int:
        text = self.value(name, str, "0")
        # 78 digits hold any 256-bit number; more are refused before int() works on them.
        if not (text.isascii() and text.isdigit() and len(text) <= 78):
            raise self._wrong(name)
        return int(text)

    def member(self, name: str, enum: type[_E]) -> _E:
        try:
            return enum(self.value(name, int, 0))
        except ValueError:
            raise self._wrong(name) from None

    def items(self, name: str) -> list[str]:
        items = self.value(name, list, [])
        if not all(isinstance(item, str) for item in items):
            raise self._wrong(name)
        return items

    def octets(self, name: str, text: str) -> bytes:
        try:
            return binascii.a2b_base64(text.encode(), strict_mode=True)
        except ValueError:  # binascii.Error, or a lone surrogate in the text
            raise self._wrong(name) from None

    def _wrong(self, name: str) -> InvalidHeader:
        return InvalidHeader(f"field {name} has a wrong value", self._where)


# --- the check ladder ---------------------------------------------------------------------------


def is_expired(approval: Approval, now_s: float) -> bool:
    """Whether ``expired_time`` has passed; within its last second it is still valid."""
    return int(now_s) > approval.expired_time


def check_approval(
    approval: Approval,
    *,
    own_address: str,
    object_info: ObjectInfo,
    now_s: float,
    recover: Recover,
) -> None:
    """Whether this SP (``own_address``) has itself approved to take a group of ``object_info``.

    Checks shape, identity, expiry, then the signature, which is dearest. ``object_info`` is what
    the chain says; the reference does not compare it, so that an approval of one object served
    for any other (protocol 03 §7.1).

    Raises:
        ApprovalError: and what is wrong with it.
    """
    where = f"approval of {approval.sp_operator_address} for {object_info.name}"
    if approval.refused_reason:
        raise ApprovalError(f"it is a refusal: {approval.refused_reason}", where)
    if len(approval.signature) != SIGNATURE_SIZE_BYTES:
        raise ApprovalError(f"its signature has {len(approval.signature)} bytes, not 65", where)
    if approval.sp_operator_address != own_address:
        raise ApprovalError(f"it is not this provider's own ({own_address})", where)
    for fact in _APPROVED_FACTS:
        approved, actual = getattr(approval.object_info, fact), getattr(object_info, fact)
        if approved != actual:
            raise ApprovalError(f"it is for another object: its {fact} differs", where)
    if is_expired(approval, now_s):
        late_s = int(now_s) - approval.expired_time
        raise ApprovalError(f"it expired {late_s} s ago", where, "Ask for a new approval")
    try:
        signer = recover(approval_sign_bytes(approval), approval.signature)
    except SignatureError as error:
        raise ApprovalError(f"its signature is not valid: {error.what}", where) from error
    if signer != approval.sp_operator_address:
        raise ApprovalError(f"it was signed by {signer}", where)


def verify_answer(
    approval: Approval,
    *,
    sp_address: str,
    object_info: ObjectInfo,
    now_s: float,
    recover: Recover,
) -> Approval:
    """``approval``, if ``sp_address`` has with it approved of ``object_info``, as it was asked.

    Raises:
        SignatureError: it speaks for another SP, or is signed by somebody else.
        InvalidInput: it is about another object, a refusal, or has expired.
    """
    if approval.sp_operator_address != sp_address:
        raise SignatureError("the answer speaks for another SP", sp_address)
    if approval.object_info != object_info:
        raise InvalidInput("the answer is about another object", sp_address)
    if approval.refused_reason:
        raise InvalidInput(f"refused: {approval.refused_reason}", sp_address)
    if approval.expired_time <= now_s:
        raise InvalidInput("the approval has expired already", sp_address)
    if recover(approval_sign_bytes(approval), approval.signature) != sp_address:
        raise SignatureError("the answer is signed by someone else", sp_address)
    return approval


_APPROVED_FACTS = (
    "id",
    "create_at",
    "bucket_name",
    "object_name",
    "payload_size",
    "redundancy_type",
    "checksums",
)
"""What an approval is about. Status and secondaries may change while the approval is valid."""
