"""The messages of v0.2 as values, and their protobuf form (protocol 04 §1.1).

Field names are the chain's. The mapping to protobuf walks the descriptor, so the schema in
``greenray.chain.wire`` is written down once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from keyword import iskeyword
from typing import Any, cast, get_args

from greenray.chain import proto_json, wire
from greenray.chain.dialect import Coin, SpApproval
from greenray.chain.dialects.v0_2.state import enum_of, uint_of
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import ActionType, RedundancyType, Visibility

_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


@dataclass(frozen=True, slots=True)
class MsgCreateBucket:
    """``payment_address`` empty: the creator pays."""

    creator: str
    bucket_name: str
    visibility: Visibility
    primary_sp_address: str
    primary_sp_approval: SpApproval | None
    payment_address: str = ""
    charged_read_quota: int = 0


@dataclass(frozen=True, slots=True)
class MsgCreateObject:
    """``expect_checksums``: 1 + k + m integrity hashes of 32 bytes; sizes in bytes."""

    creator: str
    bucket_name: str
    object_name: str
    payload_size: int
    visibility: Visibility
    content_type: str
    primary_sp_approval: SpApproval | None
    expect_checksums: tuple[bytes, ...]
    redundancy_type: RedundancyType = RedundancyType.REDUNDANCY_EC_TYPE
    expect_secondary_sp_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MsgSealObject:
    """``operator`` is the seal address of the primary SP; secondaries in index order."""

    operator: str
    bucket_name: str
    object_name: str
    secondary_sp_addresses: tuple[str, ...]
    secondary_sp_signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MsgRejectSealObject:
    operator: str
    bucket_name: str
    object_name: str


@dataclass(frozen=True, slots=True)
class MsgCancelCreateObject:
    operator: str
    bucket_name: str
    object_name: str


@dataclass(frozen=True, slots=True)
class MsgDeleteObject:
    """Of an object that is sealed or discontinued."""

    operator: str
    bucket_name: str
    object_name: str


@dataclass(frozen=True, slots=True)
class MsgDeleteBucket:
    """Of an empty bucket."""

    operator: str
    bucket_name: str


@dataclass(frozen=True, slots=True)
class MsgDiscontinueObject:
    """``operator`` is the gc address of the primary SP, which stops to serve the objects; the chain
    deletes them after its confirm period."""

    operator: str
    bucket_name: str
    object_ids: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class MsgDiscontinueBucket:
    """As ``MsgDiscontinueObject``, of a bucket with all of its objects."""

    operator: str
    bucket_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class MsgSend:
    from_address: str
    to_address: str
    amount: tuple[Coin, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    type: PrincipalType
    value: str


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A point in time of the years 1 to 9999: unix seconds, and nanoseconds behind them. Raises
    InvalidInput for another one, which the chain could not read either."""

    seconds: int
    nanos: int = 0

    def __post_init__(self) -> None:
        if not _FIRST_SECOND <= self.seconds <= _LAST_SECOND:
            raise InvalidInput(f"timestamp: seconds:{self.seconds} is not in the years 1 to 9999")
        if not 0 <= self.nanos < 1_000_000_000:
            raise InvalidInput(f"timestamp: nanos:{self.nanos} is not in 0 to 999999999")


@dataclass(frozen=True, slots=True)
class UInt64Value:
    """A number that may be absent."""

    value: int


@dataclass(frozen=True, slots=True)
class Statement:
    """``limit_size``: bytes that may be created under the statement, None for any number."""

    effect: Effect
    actions: tuple[ActionType, ...]
    resources: tuple[str, ...] = ()
    expiration_time: Timestamp | None = None
    limit_size: UInt64Value | None = None


@dataclass(frozen=True, slots=True)
class MsgPutPolicy:
    """``resource`` is a Greenfield resource name of a bucket, an object or a group."""

    operator: str
    principal: Principal | None
    resource: str
    statements: tuple[Statement, ...]
    expiration_time: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class MsgDeletePolicy:
    operator: str
    principal: Principal | None
    resource: str


@dataclass(frozen=True, slots=True)
class MsgUpdateBucketInfo:
    """What is None, empty or unspecified stays. Payment address and read quota (bytes) cannot be
    changed at once."""

    operator: str
    bucket_name: str
    charged_read_quota: UInt64Value | None = None
    payment_address: str = ""
    visibility: Visibility = Visibility.VISIBILITY_TYPE_UNSPECIFIED


@dataclass(frozen=True, slots=True)
class MsgUpdateObjectInfo:
    operator: str
    bucket_name: str
    object_name: str
    visibility: Visibility


@dataclass(frozen=True, slots=True)
class MsgCopyObject:
    """The copy belongs to the operator, and has to be uploaded and sealed like a new object."""

    operator: str
    src_bucket_name: str
    dst_bucket_name: str
    src_object_name: str
    dst_object_name: str
    dst_primary_sp_approval: SpApproval | None


@dataclass(frozen=True, slots=True)
class MsgCreateGroup:
    creator: str
    group_name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MsgDeleteGroup:
    """Of a group of the operator's own."""

    operator: str
    group_name: str


@dataclass(frozen=True, slots=True)
class MsgUpdateGroupMember:
    operator: str
    group_owner: str
    group_name: str
    members_to_add: tuple[str, ...] = ()
    members_to_delete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MsgLeaveGroup:
    member: str
    group_owner: str
    group_name: str


@dataclass(frozen=True, slots=True)
class MsgMirrorBucket:
    operator: str
    id: int


@dataclass(frozen=True, slots=True)
class MsgMirrorObject:
    operator: str
    id: int


@dataclass(frozen=True, slots=True)
class MsgMirrorGroup:
    operator: str
    id: int


@dataclass(frozen=True, slots=True)
class MsgCreatePaymentAccount:
    creator: str


@dataclass(frozen=True, slots=True)
class MsgDeposit:
    """``amount`` in BNB wei, from the creator's balance to the payment account ``to``."""

    creator: str
    to: str
    amount: int


@dataclass(frozen=True, slots=True)
class MsgWithdraw:
    """The way back. ``from_`` is the field ``from``."""

    creator: str
    from_: str
    amount: int


@dataclass(frozen=True, slots=True)
class MsgDisableRefund:
    """Nothing can be withdrawn from ``addr`` afterwards."""

    owner: str
    addr: str


@dataclass(frozen=True, slots=True)
class Description:
    """Of a storage provider. ``[do-not-modify]`` keeps what there was."""

    moniker: str = ""
    identity: str = ""
    website: str = ""
    security_contact: str = ""
    details: str = ""


@dataclass(frozen=True, slots=True)
class MsgEditStorageProvider:
    """By the operator, ``sp_address``. What is empty, or None, stays."""

    sp_address: str
    endpoint: str = ""
    description: Description | None = None
    seal_address: str = ""
    approval_address: str = ""
    gc_address: str = ""


Message = (
    MsgCreateBucket
    | MsgCreateObject
    | MsgSealObject
    | MsgRejectSealObject
    | MsgCancelCreateObject
    | MsgDeleteObject
    | MsgDeleteBucket
    | MsgDiscontinueObject
    | MsgDiscontinueBucket
    | MsgSend
    | MsgPutPolicy
    | MsgDeletePolicy
    | MsgUpdateBucketInfo
    | MsgUpdateObjectInfo
    | MsgCopyObject
    | MsgCreateGroup
    | MsgDeleteGroup
    | MsgUpdateGroupMember
    | MsgLeaveGroup
    | MsgMirrorBucket
    | MsgMirrorObject
    | MsgMirrorGroup
    | MsgCreatePaymentAccount
    | MsgDeposit
    | MsgWithdraw
    | MsgDisableRefund
    | MsgEditStorageProvider
)

MESSAGE_TYPES: tuple[type[Message], ...] = get_args(Message)

_FULL_NAMES: dict[type[Any], str] = {
    **{cls: f"greenfield.storage.{cls.__name__}" for cls in MESSAGE_TYPES},
    **{
        cls: f"greenfield.payment.{cls.__name__}"
        for cls in (MsgCreatePaymentAccount, MsgDeposit, MsgWithdraw, MsgDisableRefund)
    },
    MsgSend: "cosmos.bank.v1beta1.MsgSend",
    MsgEditStorageProvider: "greenfield.sp.MsgEditStorageProvider",
    Description: "greenfield.sp.Description",
    Coin: "cosmos.base.v1beta1.Coin",
    SpApproval: "greenfield.storage.Approval",
    Principal: "greenfield.permission.Principal",
    Statement: "greenfield.permission.Statement",
    Timestamp: "google.protobuf.Timestamp",
    UInt64Value: "greenfield.common.UInt64Value",
}
_CLASSES = {name: cls for cls, name in _FULL_NAMES.items()}
_BY_TYPE_URL = {f"/{_FULL_NAMES[cls]}": cls for cls in MESSAGE_TYPES}
_DECIMAL_TEXT = frozenset(
    {
        "cosmos.base.v1beta1.Coin.amount",
        "greenfield.storage.MsgDiscontinueObject.object_ids",
        "greenfield.storage.MsgMirrorBucket.id",
        "greenfield.storage.MsgMirrorObject.id",
        "greenfield.storage.MsgMirrorGroup.id",
    }
)
_SIGNED_DECIMAL_TEXT = frozenset(
    {"greenfield.payment.MsgDeposit.amount", "greenfield.payment.MsgWithdraw.amount"}
)


def _attribute(field_name: str) -> str:
    """Python's name of a field: one that is a keyword of Python's has an underscore behind it."""
    return f"{field_name}_" if iskeyword(field_name) else field_name


def type_url(message: Message | type[Message]) -> str:
    cls = message if isinstance(message, type) else type(message)
    return f"/{_FULL_NAMES[cls]}"


def message_class(url: str) -> type[Message]:
    """Raises InvalidInput for a type URL that this dialect does not know."""
    if url not in _BY_TYPE_URL:
        raise InvalidInput(f"the message type {url[:100]!r} is not supported")
    return _BY_TYPE_URL[url]


def wire_class(cls: type[Any]) -> Any:
    return wire.message_class(_FULL_NAMES[cls])


def to_wire(value: Any) -> Any:
    """The protobuf message of a dataclass of this module.

    Raises:
        InvalidInput: a number is out of range or a text is not Unicode.
    """
    message = wire_class(type(value))()
    descriptor = message.DESCRIPTOR.fields_by_name
    for field in fields(value):
        content = getattr(value, field.name)
        try:
            _set_field(message, descriptor[field.name.removesuffix("_")], content)
        except (ValueError, TypeError) as error:
            raise InvalidInput(
                f"the value does not fit: {error}", f"{type(value).__name__}.{field.name}"
            ) from error
    return message


def _set_field(message: Any, field: Any, content: Any) -> None:
    if content is None:
        return
    if field.is_repeated:
        converted = [_to_wire_value(field, item) for item in content]
        getattr(message, field.name).extend(converted)
    elif proto_json.kind_of(field) == "message":
        getattr(message, field.name).CopyFrom(to_wire(content))
    else:
        setattr(message, field.name, _to_wire_value(field, content))


def _to_wire_value(field: Any, content: Any) -> Any:
    if proto_json.kind_of(field) == "message":
        return to_wire(content)
    is_decimal = field.full_name in _DECIMAL_TEXT | _SIGNED_DECIMAL_TEXT
    return str(content) if is_decimal else content


def from_wire(message: Any) -> Any:
    """The dataclass of a protobuf message.

    Raises:
        InvalidInput: an unknown enum number, or a set field that the dataclass does not have.
    """
    cls = _CLASSES[message.DESCRIPTOR.full_name]
    known = {field.name for field in fields(cls)}
    values = {}
    for field in message.DESCRIPTOR.fields:
        if _attribute(field.name) in known:
            values[_attribute(field.name)] = _get_field(message, field)
        elif message.HasField(field.name):
            raise InvalidInput(f"{field.name} is not supported", cls.__name__)
    return cls(**values)


def _get_field(message: Any, field: Any) -> Any:
    content = getattr(message, field.name)
    if field.is_repeated:
        return tuple(_from_wire_value(field, item) for item in content)
    if proto_json.kind_of(field) == "message" and not message.HasField(field.name):
        return None
    return _from_wire_value(field, content)


def _from_wire_value(field: Any, content: Any) -> Any:
    match proto_json.kind_of(field):
        case "message":
            return from_wire(content)
        case "enum":
            return enum_of(proto_json.ENUM_FIELDS[field.full_name], content)
        case _:
            if field.full_name in _SIGNED_DECIMAL_TEXT:
                return -uint_of(content[1:]) if content[:1] == "-" else uint_of(content)
            return uint_of(content) if field.full_name in _DECIMAL_TEXT else content


def encode_message(message: Message) -> bytes:
    """Protobuf bytes. Raises InvalidInput for values that do not fit."""
    encoded: bytes = to_wire(message).SerializeToString()
    return encoded


def decode_message(url: str, value: bytes) -> Message:
    """The message inside an Any; fields that the schema does not know are ignored.

    Raises:
        InvalidInput: unknown type, not protobuf, or a value that the dialect does not know.
    """
    return cast(Message, from_wire(wire.decode(wire_class(message_class(url)), value)))


def signer_address(message: Message) -> str:
    """The account that must sign, as written in the message."""
    match message:
        case (
            MsgCreateBucket()
            | MsgCreateObject()
            | MsgCreateGroup()
            | MsgCreatePaymentAccount()
            | MsgDeposit()
            | MsgWithdraw()
        ):
            return message.creator
        case MsgSend():
            return message.from_address
        case MsgLeaveGroup():
            return message.member
        case MsgDisableRefund():
            return message.owner
        case MsgEditStorageProvider():
            return message.sp_address
        case _:
            return message.operator
