"""Transaction bytes to a transaction, refusing what a node refuses (04 §3, §12)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from greenray.chain import wire
from greenray.chain.dialect import Message
from greenray.chain.local.gogoproto import wire_type_of
from greenray.chain.local.ledger.faults import ChainFault, sdk
from greenray.chain.local.ledger.local_dialect import LocalDialect
from greenray.protocol.errors import InvalidInput

_WIRE_TYPES = {0: "varint", 1: "fixed64", 2: "bytes", 3: "start_group", 4: "end_group"}
_WIRE_TYPES |= {5: "fixed32"}
_BYTES_WIRE_TYPE = 2
_NON_CRITICAL_BIT = 1024


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """``public_key`` is None when the transaction does not carry it; ``mode`` None when unset."""

    public_key: bytes | None
    mode: int | None
    sequence: int


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    """``messages``: (type URL, message of the dialect) pairs."""

    hash: bytes
    size_bytes: int
    messages: tuple[tuple[str, Message], ...]
    memo: str
    timeout_height: int
    signers: tuple[SignerInfo, ...]
    signatures: tuple[bytes, ...]
    fee: tuple[tuple[str, int], ...]
    gas_limit: int
    fee_payer: str
    fee_granter: str
    has_tip: bool

    def __hash__(self) -> int:
        return hash(self.hash)


def decode_transaction(tx_bytes: bytes, local_dialect: LocalDialect) -> DecodedTransaction:
    """Raises ChainFault: sdk/2, or what the dialect says of a name that is not UTF-8."""
    _check_canonical(tx_bytes)
    raw = _parse(wire.tx.TxRaw, tx_bytes)
    _check_known_fields(raw, "tx", local_dialect, allow_non_critical=False)
    body = _parse(wire.tx.TxBody, raw.body_bytes)
    _check_known_fields(body, "tx", local_dialect, allow_non_critical=True)
    if len(body.extension_options) or len(body.non_critical_extension_options):
        kind = "ExtensionOptionI" if len(body.extension_options) else "TxExtensionOptionI"
        raise sdk(2, f"no registered implementations of type tx.{kind}")
    auth_info = _parse(wire.tx.AuthInfo, raw.auth_info_bytes)
    _check_known_fields(auth_info, "tx", local_dialect, allow_non_critical=False)
    return DecodedTransaction(
        hash=hashlib.sha256(tx_bytes).digest(),
        size_bytes=len(tx_bytes),
        messages=tuple((any_.type_url, _message(any_, local_dialect)) for any_ in body.messages),
        memo=body.memo,
        timeout_height=body.timeout_height,
        signers=tuple(_signer(info, local_dialect) for info in auth_info.signer_infos),
        signatures=tuple(raw.signatures),
        fee=tuple((coin.denom, _amount(coin.amount)) for coin in auth_info.fee.amount),
        gas_limit=auth_info.fee.gas_limit,
        fee_payer=auth_info.fee.payer,
        fee_granter=auth_info.fee.granter,
        has_tip=auth_info.HasField("tip"),
    )


def _signer(info: Any, local_dialect: LocalDialect) -> SignerInfo:
    public_key = None
    if info.HasField("public_key") and info.public_key.type_url:
        public_key = _unpack(info.public_key, local_dialect).key
    mode = None
    if info.HasField("mode_info") and info.mode_info.HasField("single"):
        mode = info.mode_info.single.mode
    return SignerInfo(public_key, mode, info.sequence)


def _message(any_: Any, local_dialect: LocalDialect) -> Message:
    try:
        return local_dialect.dialect.decode_message(any_.type_url, any_.value)
    except InvalidInput as error:
        raise sdk(2, str(error)) from error


def _amount(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise sdk(2, f'math/big: cannot unmarshal "{text}" into a *big.Int')
    return int(text)


def _unpack(any_: Any, local_dialect: LocalDialect) -> Any:
    cls = _class_of(any_.type_url, local_dialect)
    try:
        return cls.FromString(any_.value)
    except DecodeError as error:
        raise _name_fault(cls, any_.value, local_dialect) or sdk(2, "unexpected EOF") from error


def _name_fault(cls: Any, value: bytes, local_dialect: LocalDialect) -> ChainFault | None:
    """The node decodes text that is not UTF-8, and refuses such a name when it looks at it."""
    try:
        fields: Iterable[Any] = UnknownFieldSet(Empty.FromString(value))  # type: ignore[assignment]
    except DecodeError:
        return None
    for field in fields:
        known = cls.DESCRIPTOR.fields_by_number.get(field.field_number)
        fault = None if known is None else local_dialect.name_faults.get(known.name)
        if fault is None or not isinstance(field.data, bytes):
            continue
        if "\ufffd" in field.data.decode(errors="replace"):
            return ChainFault(*fault)
    return None


def _class_of(type_url: str, local_dialect: LocalDialect) -> Any:
    if type_url == wire.PUBLIC_KEY_TYPE_URL:
        return wire.ethsecp256k1.PubKey
    rule = local_dialect.messages.get(type_url)
    if rule is None:
        raise sdk(2, f"unable to resolve type URL {type_url}")
    return rule.wire_class


def _parse(cls: Any, data: bytes) -> Any:
    try:
        return cls.FromString(data)
    except DecodeError as error:
        raise sdk(2, "unexpected EOF") from error


# --- unknown fields ----------------------------------------------------------------------------


def _check_known_fields(
    message: Any, package: str, local_dialect: LocalDialect, *, allow_non_critical: bool
) -> None:
    """Unknown fields are refused at every level; with ``allow_non_critical``, numbers that have
    the 1024 bit set pass."""
    unknown_fields: Iterable[Any] = UnknownFieldSet(message)  # type: ignore[assignment]
    for unknown in unknown_fields:
        number = unknown.field_number
        is_known = number in message.DESCRIPTOR.fields_by_number
        if allow_non_critical and number & _NON_CRITICAL_BIT and not is_known:
            continue
        name = f"*{package}.{message.DESCRIPTOR.name}"
        kind = _WIRE_TYPES[unknown.wire_type]
        known = message.DESCRIPTOR.fields_by_number.get(number)
        if known is not None:
            wanted = _WIRE_TYPES[wire_type_of(known)]
            raise sdk(
                2,
                f'Mismatched "{name}": {{TagNum: {number}, GotWireType: "{kind}"'
                f' != WantWireType: "{wanted}"}}',
            )
        raise sdk(2, f'errUnknownField "{name}": {{TagNum: {number}, WireType:"{kind}"}}')
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if field.is_repeated else (value,):
            inner, inner_package = child, _go_package(child)
            if child.DESCRIPTOR.full_name == "google.protobuf.Any":
                if field.name.endswith("extension_options"):
                    continue
                inner = _unpack(child, local_dialect)
                inner_package = _go_package(inner)
            _check_known_fields(
                inner, inner_package, local_dialect, allow_non_critical=allow_non_critical
            )


def _go_package(message: Any) -> str:
    """The Go package that the node's error texts show."""
    full_name = message.DESCRIPTOR.full_name
    if full_name.startswith("cosmos.tx."):
        return "tx"
    if full_name.startswith("cosmos.crypto."):
        return "ethsecp256k1"
    if full_name.startswith("greenfield.common."):
        return "common"
    return "types"


# --- ADR-027 -----------------------------------------------------------------------------------


def _check_canonical(data: bytes) -> None:
    """TxRaw must be canonical: only byte fields, ascending, shortest length prefixes."""
    position, previous = 0, 0
    while position < len(data):
        tag, length = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type != _BYTES_WIRE_TYPE:
            raise sdk(2, f"expected {_BYTES_WIRE_TYPE} wire type, got {wire_type}")
        if number < previous:
            raise sdk(2, f"txRaw must follow ADR-027, got tagNum {number} after tagNum {previous}")
        previous = number
        position += length
        size, length = _varint(data, position)
        shortest = max(1, -(-size.bit_length() // 7))
        if length != shortest:
            raise sdk(
                2,
                f"length prefix varint for tagNum {number} is not as short as possible,"
                f" read {length}, only need {shortest}",
            )
        position += length + size
        if position > len(data):
            raise _invalid_length("unexpected EOF")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, length in bytes)."""
    value = 0
    for length in range(10):
        if position + length >= len(data):
            raise _invalid_length("unexpected EOF")
        byte = data[position + length]
        value |= (byte & 0x7F) << (7 * length)
        if byte < 0x80:
            return value, length + 1
    raise _invalid_length("variable length integer overflow")


def _invalid_length(reason: str) -> ChainFault:
    return sdk(2, f"invalid length; {reason}")
