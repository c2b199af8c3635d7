"""The dialect of chain v0.2.0 and v0.2.1: messages, proto-JSON, approvals, EIP-712.

Protocol 04 §1.1, §2, §4. This module is a ``greenray.chain.dialect.Dialect``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar, cast

from greenray.chain import proto_json
from greenray.chain.crypto import to_checksum_address
from greenray.chain.dialect import (
    NEVER_EXPIRES,
    Coin,
    Fault,
    Queries,
    Secondaries,
    SpApproval,
    TransactionTerms,
)
from greenray.chain.dialects.v0_2 import queries as _queries
from greenray.chain.dialects.v0_2 import secondaries as _secondaries
from greenray.chain.dialects.v0_2.events import block_news
from greenray.chain.dialects.v0_2.index_events import index_change
from greenray.chain.dialects.v0_2.messages import (
    Description,
    Message,
    MsgCancelCreateObject,
    MsgCopyObject,
    MsgCreateBucket,
    MsgCreateGroup,
    MsgCreateObject,
    MsgCreatePaymentAccount,
    MsgDeleteBucket,
    MsgDeleteGroup,
    MsgDeleteObject,
    MsgDeletePolicy,
    MsgDeposit,
    MsgDisableRefund,
    MsgDiscontinueBucket,
    MsgDiscontinueObject,
    MsgEditStorageProvider,
    MsgLeaveGroup,
    MsgMirrorBucket,
    MsgMirrorGroup,
    MsgMirrorObject,
    MsgPutPolicy,
    MsgRejectSealObject,
    MsgSealObject,
    MsgSend,
    MsgUpdateBucketInfo,
    MsgUpdateGroupMember,
    MsgUpdateObjectInfo,
    MsgWithdraw,
    Principal,
    Statement,
    Timestamp,
    UInt64Value,
    decode_message,
    encode_message,
    from_wire,
    message_class,
    signer_address,
    to_wire,
    type_url,
    wire_class,
)
from greenray.chain.dialects.v0_2.validation import validate_basic
from greenray.chain.eip712 import numeric_chain_id, typed_data_digest
from greenray.protocol.errors import InvalidInput
from greenray.protocol.go_json import sorted_compact
from greenray.protocol.job import SecondaryReceipt
from greenray.protocol.objects import ObjectInfo, RedundancyType, Visibility

__all__ = [
    "NEVER_EXPIRES",
    "Coin",
    "Description",
    "Fault",
    "Message",
    "MsgCancelCreateObject",
    "MsgCopyObject",
    "MsgCreateBucket",
    "MsgCreateGroup",
    "MsgCreateObject",
    "MsgCreatePaymentAccount",
    "MsgDeleteBucket",
    "MsgDeleteGroup",
    "MsgDeleteObject",
    "MsgDeletePolicy",
    "MsgDeposit",
    "MsgDisableRefund",
    "MsgDiscontinueBucket",
    "MsgDiscontinueObject",
    "MsgEditStorageProvider",
    "MsgLeaveGroup",
    "MsgMirrorBucket",
    "MsgMirrorGroup",
    "MsgMirrorObject",
    "MsgPutPolicy",
    "MsgRejectSealObject",
    "MsgSealObject",
    "MsgSend",
    "MsgUpdateBucketInfo",
    "MsgUpdateGroupMember",
    "MsgUpdateObjectInfo",
    "MsgWithdraw",
    "Principal",
    "SpApproval",
    "Statement",
    "Timestamp",
    "TransactionTerms",
    "UInt64Value",
    "approval_actions",
    "approval_of",
    "approval_sign_bytes",
    "block_news",
    "cancel_create_object_message",
    "create_bucket_message",
    "create_object_message",
    "decode_message",
    "delete_bucket_message",
    "delete_object_message",
    "discontinue_bucket_message",
    "discontinue_object_message",
    "eip712_digest",
    "eip712_typed_data",
    "encode_message",
    "fee_denom",
    "index_change",
    "message_from_json",
    "message_to_json",
    "must_be_sealed",
    "queries",
    "reject_seal_message",
    "seal_cost",
    "seal_message",
    "secondaries",
    "send_message",
    "signer_address",
    "type_url",
    "update_object_info_message",
    "validate_basic",
    "with_approval",
]

fee_denom = "BNB"
seal_cost = Coin(fee_denom, 1200 * 5_000_000_000)
# The types make the type checker compare these modules with what is asked of them.
queries: Queries = _queries
secondaries: Secondaries = _secondaries
approval_actions: Mapping[str, type[Message]] = MappingProxyType(
    {"CreateBucket": MsgCreateBucket, "CreateObject": MsgCreateObject}
)

_Approved = TypeVar("_Approved", bound=MsgCreateBucket | MsgCreateObject | MsgCopyObject)

# --- making messages ---------------------------------------------------------------------------


def create_bucket_message(
    creator: str,
    bucket_name: str,
    primary_sp_address: str,
    visibility: Visibility,
    *,
    payment_address: str = "",
    charged_read_quota: int = 0,
) -> MsgCreateBucket:
    """With an unsigned approval that never expires, as get-approval wants to see it."""
    return MsgCreateBucket(
        creator=creator,
        bucket_name=bucket_name,
        visibility=visibility,
        primary_sp_address=primary_sp_address,
        primary_sp_approval=SpApproval(NEVER_EXPIRES),
        payment_address=payment_address,
        charged_read_quota=charged_read_quota,
    )


def create_object_message(
    creator: str,
    bucket_name: str,
    object_name: str,
    *,
    payload_size: int,
    visibility: Visibility,
    content_type: str,
    expect_checksums: Sequence[bytes],
    redundancy_type: RedundancyType,
) -> MsgCreateObject:
    """As ``create_bucket_message``; ``payload_size`` in bytes, 1 + k + m checksums."""
    return MsgCreateObject(
        creator=creator,
        bucket_name=bucket_name,
        object_name=object_name,
        payload_size=payload_size,
        visibility=visibility,
        content_type=content_type,
        primary_sp_approval=SpApproval(NEVER_EXPIRES),
        expect_checksums=tuple(expect_checksums),
        redundancy_type=redundancy_type,
    )


def seal_message(
    operator: str, object_info: ObjectInfo, receipts: Sequence[SecondaryReceipt]
) -> MsgSealObject:
    """``operator``: the seal address of the primary; ``receipts`` in index order (03 §8).

    Raises:
        InvalidInput: an index is missing, double or out of order.
    """
    indices = [receipt.redundancy_index for receipt in receipts]
    if indices != list(range(len(indices))):
        raise InvalidInput(f"the receipts are of indices {indices}", object_info.name)
    return MsgSealObject(
        operator=operator,
        bucket_name=object_info.bucket_name,
        object_name=object_info.object_name,
        secondary_sp_addresses=tuple(receipt.operator_address for receipt in receipts),
        secondary_sp_signatures=tuple(receipt.signature for receipt in receipts),
    )


def must_be_sealed(message: Message) -> bool:
    """An object without payload is sealed by the chain itself."""
    return isinstance(message, MsgCreateObject) and message.payload_size > 0


def reject_seal_message(operator: str, object_info: ObjectInfo) -> MsgRejectSealObject:
    """``operator``: the seal address of the primary."""
    return MsgRejectSealObject(operator, object_info.bucket_name, object_info.object_name)


def cancel_create_object_message(
    operator: str, bucket_name: str, object_name: str
) -> MsgCancelCreateObject:
    return MsgCancelCreateObject(operator, bucket_name, object_name)


def update_object_info_message(
    operator: str, bucket_name: str, object_name: str, visibility: Visibility
) -> MsgUpdateObjectInfo:
    return MsgUpdateObjectInfo(operator, bucket_name, object_name, visibility)


def send_message(sender: str, receiver: str, amount: int) -> MsgSend:
    """``amount`` in BNB wei."""
    return MsgSend(sender, receiver, (Coin(fee_denom, amount),))


def delete_object_message(operator: str, bucket_name: str, object_name: str) -> MsgDeleteObject:
    return MsgDeleteObject(operator, bucket_name, object_name)


def delete_bucket_message(operator: str, bucket_name: str) -> MsgDeleteBucket:
    return MsgDeleteBucket(operator, bucket_name)


def discontinue_object_message(
    operator: str, bucket_name: str, object_ids: Sequence[int], reason: str
) -> MsgDiscontinueObject:
    """``operator``: the gc address of the primary."""
    return MsgDiscontinueObject(operator, bucket_name, tuple(object_ids), reason)


def discontinue_bucket_message(
    operator: str, bucket_name: str, reason: str
) -> MsgDiscontinueBucket:
    """``operator``: the gc address of the primary."""
    return MsgDiscontinueBucket(operator, bucket_name, reason)


# --- proto-JSON ----------------------------------------------------------------------------------


def message_to_json(message: Message) -> dict[str, Any]:
    """Proto-JSON of the message's fields, in declaration order, without ``@type``."""
    return proto_json.to_json(to_wire(message))


def message_from_json(
    value: Mapping[str, Any], message_type: type[Message] | None = None
) -> Message:
    """Read proto-JSON. The type is ``message_type``, else what ``@type`` says.

    Raises:
        InvalidInput: no or unknown type, an unknown field, a wrong kind or range.
    """
    content = dict(value)
    if message_type is None:
        url = content.pop("@type", None)
        if not isinstance(url, str):
            raise InvalidInput("the message has no @type")
        message_type = message_class(url)
    return cast(Message, from_wire(proto_json.from_json(wire_class(message_type), content)))


# --- approvals of the primary SP (04 §2) ---------------------------------------------------------


def approval_sign_bytes(message: MsgCreateBucket | MsgCreateObject | MsgCopyObject) -> bytes:
    """What the primary SP signs: the message with an empty ``sig``, sorted and compact.

    Raises:
        InvalidInput: the message has no approval to take the expiry height from.
    """
    approval = approval_of(message)
    if approval is None:
        raise InvalidInput("the message has no approval of a primary SP")
    unsigned = with_approval(message, approval.expired_height, b"")
    return sorted_compact(message_to_json(unsigned))


def approval_of(message: MsgCreateBucket | MsgCreateObject | MsgCopyObject) -> SpApproval | None:
    if isinstance(message, MsgCopyObject):
        return message.dst_primary_sp_approval
    return message.primary_sp_approval


def with_approval(message: _Approved, expired_height: int, sig: bytes) -> _Approved:
    """The message with its whole approval replaced."""
    approval = SpApproval(expired_height, sig)
    if isinstance(message, MsgCopyObject):
        return replace(message, dst_primary_sp_approval=approval)
    return replace(message, primary_sp_approval=approval)


# --- EIP-712 (04 §4) -----------------------------------------------------------------------------

_FIXED_TYPES: dict[str, list[dict[str, str]]] = {
    name: [dict(zip(("type", "name"), part.split(), strict=True)) for part in text.split(",")]
    for name, text in {
        "EIP712Domain": (
            "string name,string version,uint256 chainId,string verifyingContract,string salt"
        ),
        "Tx": (
            "uint256 account_number,uint256 chain_id,Fee fee,string memo,Msg msg,"
            "uint256 sequence,uint256 timeout_height"
        ),
        "Fee": "Coin[] amount,uint256 gas_limit,string payer,string granter",
        "Coin": "string denom,uint256 amount",
    }.items()
}


def eip712_typed_data(message: Message, terms: TransactionTerms) -> dict[str, Any]:
    """The typed data that a wallet would show; 64-bit integers as decimal text.

    Raises:
        InvalidInput: the chain id or the signer's address is malformed, a value does not fit.
    """
    types = dict(_FIXED_TYPES)
    content = to_wire(message)
    chain_number = numeric_chain_id(terms.chain_id)
    types["Msg"] = [{"name": "type", "type": "string"}]
    msg = {"type": type_url(message)} | _derive(types, "Msg", "Type", content)
    return {
        "types": types,
        "primaryType": "Tx",
        "domain": {
            "name": "Greenfield Tx",
            "version": "1.0.0",
            "chainId": chain_number,
            "verifyingContract": "greenfield",
            "salt": "0",
        },
        "message": {
            "account_number": str(terms.account_number),
            "chain_id": str(chain_number),
            "fee": {
                "amount": [{"denom": c.denom, "amount": str(c.amount)} for c in terms.fee],
                "gas_limit": str(terms.gas_limit),
                "payer": terms.fee_payer or to_checksum_address(signer_address(message)),
                "granter": terms.fee_granter,
            },
            "memo": terms.memo,
            "msg": msg,
            "sequence": str(terms.sequence),
            "timeout_height": str(terms.timeout_height),
        },
    }


def eip712_digest(message: Message, terms: TransactionTerms) -> bytes:
    """The 32 bytes that the transaction's signature is over."""
    return typed_data_digest(eip712_typed_data(message, terms))


def _derive(types: dict[str, Any], type_name: str, prefix: str, content: Any) -> dict[str, Any]:
    """Add the struct type of ``content`` to ``types`` and return its value (04 §4.3).

    The type follows from the value: empty lists and bytes, and absent messages, leave both. Of a
    list of messages the first one decides.
    """
    # A type may be extended (Msg starts with its ``type`` field), and is registered before its
    # nested types, whose names all differ: they carry the path.
    declared = types.setdefault(type_name, [])
    value: dict[str, Any] = {}
    for field, item in zip(
        content.DESCRIPTOR.fields, proto_json.to_json(content).values(), strict=True
    ):
        kind = proto_json.kind_of(field)
        if kind == "message":
            derived = _derive_nested(types, prefix, field, getattr(content, field.name), content)
            if derived is None:
                continue
            kind, item = derived
        elif item in ([], "") and (field.is_repeated or kind == "bytes"):
            continue
        else:
            # 32- and 64-bit signed integers are caught by the rules for enums and durations.
            kind = "string" if kind in ("enum", "int32", "int64") else kind
            kind += "[]" if field.is_repeated else ""
        declared.append({"name": field.name, "type": kind})
        value[field.name] = item
    return value


def _derive_nested(
    types: dict[str, Any], prefix: str, field: Any, nested: Any, parent: Any
) -> tuple[str, Any] | None:
    if not field.is_repeated and proto_json.is_time(field):
        # An absent time stays in, as empty text.
        is_set = parent.HasField(field.name)
        return "string", proto_json.time_text(nested) if is_set else ""
    name = prefix + "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
    if field.is_repeated:
        if not nested:
            return None
        first, *others = nested
        items = [_derive(types, name, name, first)]
        items.extend(_fitted(types, name, other) for other in others)
        return f"{name}[]", items
    if not parent.HasField(field.name):
        return None
    return name, _derive(types, name, name, nested)


def _fitted(types: dict[str, Any], type_name: str, content: Any) -> dict[str, Any]:
    """The value of a list's later element: it keeps only what the first one's type has.

    Raises:
        InvalidInput: a message that the first element has and this one lacks: such a list can never
            be signed, because the chain forgets the type on its way.
    """
    whole = proto_json.to_json(content)
    value: dict[str, Any] = {}
    for declared in types[type_name]:
        name, kind = declared["name"], declared["type"]
        item = whole[name]
        if kind in types:
            if item is None:
                raise InvalidInput(
                    f"{name} is in the first element of the list only",
                    content.DESCRIPTOR.name,
                    "Send elements with and without it in messages of their own",
                )
            item = _fitted(types, kind, getattr(content, name))
        value[name] = "" if item is None else item
    return value
