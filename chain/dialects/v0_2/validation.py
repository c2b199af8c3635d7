"""ValidateBasic of v0.2: what the chain checks in a message before it looks at any state.

The order of the checks and every letter of the texts are the chain's (protocol 04 §10, §12).
"""

from __future__ import annotations

import re
from itertools import pairwise
from urllib.parse import urlsplit

from greenray.chain.addresses import address_problem
from greenray.chain.dialect import Coin, Fault, SpApproval
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
)
from greenray.chain.dialects.v0_2.policies import policy_fault
from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name, check_group_name, check_object_name
from greenray.protocol.objects import Visibility

CHECKSUM_SIZE_BYTES = 32
MAX_DISCONTINUED_OBJECTS = 128
MAX_REASON_BYTES = 128
MAX_MEMBERS_AT_ONCE = 20

_DENOM = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._\-]{2,127}", re.ASCII)


def validate_basic(message: Message) -> Fault | None:
    """The first fault of the message, or None. Shared by the embedded chain and get-approval."""
    match message:
        case MsgCreateBucket():
            return _validate_create_bucket(message)
        case MsgCreateObject():
            return _validate_create_object(message)
        case MsgCopyObject():
            return _validate_copy_object(message)
        case MsgUpdateBucketInfo():
            return (
                _creator_fault(message.operator)
                or bucket_name_fault(message.bucket_name)
                or _given_address_fault("invalid payment address ({})", message.payment_address)
            )
        case MsgSend():
            return _validate_send(message)
        case MsgPutPolicy() | MsgDeletePolicy():
            operator_fault = _address_fault("invalid operator address ({})", message.operator)
            return operator_fault or policy_fault(message, address_problem)
        case MsgDeleteBucket():
            return _creator_fault(message.operator) or bucket_name_fault(message.bucket_name)
        case MsgDiscontinueObject() | MsgDiscontinueBucket():
            return _validate_discontinue(message)
        case MsgEditStorageProvider():
            return _validate_edit_provider(message)
        case MsgMirrorBucket() | MsgMirrorObject() | MsgMirrorGroup():
            return _creator_fault(message.operator)
        case MsgCreateGroup() | MsgDeleteGroup() | MsgLeaveGroup() | MsgUpdateGroupMember():
            return _validate_group(message)
        case MsgCreatePaymentAccount() | MsgDeposit() | MsgWithdraw() | MsgDisableRefund():
            return _validate_payment(message)
        case _:
            return _validate_of_object(message)


def _validate_of_object(
    message: MsgSealObject
    | MsgRejectSealObject
    | MsgCancelCreateObject
    | MsgDeleteObject
    | MsgUpdateObjectInfo,
) -> Fault | None:
    fault = (
        _creator_fault(message.operator)
        or bucket_name_fault(message.bucket_name)
        or object_name_fault(message.object_name)
    )
    if fault is None and isinstance(message, MsgSealObject):
        fault = _first_address_fault(
            "invalid secondary sp address ({})", message.secondary_sp_addresses
        )
    if fault is None and isinstance(message, MsgUpdateObjectInfo):
        fault = _visibility_fault(message.visibility)
    return fault


def _validate_create_bucket(message: MsgCreateBucket) -> Fault | None:
    return (
        _creator_fault(message.creator)
        or _address_fault("invalid primary sp address ({})", message.primary_sp_address)
        or _approval_fault(message.primary_sp_approval)
        or _first_address_fault(
            "invalid store payment address ({})",
            (message.payment_address,) if message.payment_address else (),
        )
        or _visibility_fault(message.visibility)
        or bucket_name_fault(message.bucket_name)
    )


def _validate_create_object(message: MsgCreateObject) -> Fault | None:
    return (
        _creator_fault(message.creator)
        or _approval_fault(message.primary_sp_approval)
        or bucket_name_fault(message.bucket_name)
        or object_name_fault(message.object_name)
        or _checksum_fault(message.expect_checksums)
        or _first_address_fault(
            "invalid sp address ({}) in expect secondary SPs",
            message.expect_secondary_sp_addresses,
        )
        or _visibility_fault(message.visibility)
    )


def _validate_copy_object(message: MsgCopyObject) -> Fault | None:
    return (
        _creator_fault(message.operator)
        or _approval_fault(message.dst_primary_sp_approval)
        or bucket_name_fault(message.src_bucket_name)
        or object_name_fault(message.src_object_name)
        or bucket_name_fault(message.dst_bucket_name)
        or object_name_fault(message.dst_object_name)
    )


def _validate_group(
    message: MsgCreateGroup | MsgDeleteGroup | MsgLeaveGroup | MsgUpdateGroupMember,
) -> Fault | None:
    name_fault = group_name_fault(message.group_name)
    # Two of the messages wrap the text once more.
    wrapped_fault = name_fault and Fault(
        name_fault.codespace,
        name_fault.code,
        f"invalid groupName ({name_fault.log}): Invalid group name",
    )
    match message:
        case MsgCreateGroup():
            fault = _creator_fault(message.creator) or wrapped_fault
            return fault or _member_count_fault(message.members)
        case MsgDeleteGroup():
            return _creator_fault(message.operator) or wrapped_fault
        case MsgLeaveGroup():
            return _creator_fault(message.member) or name_fault
        case MsgUpdateGroupMember():
            members = message.members_to_add + message.members_to_delete
            return (
                _address_fault("invalid operator address ({})", message.operator)
                or _address_fault("invalid group owner address ({})", message.group_owner)
                or name_fault
                or _member_count_fault(members)
                or _first_address_fault("invalid member address ({})", members)
            )


def _member_count_fault(members: tuple[str, ...]) -> Fault | None:
    if len(members) <= MAX_MEMBERS_AT_ONCE:
        return None
    text = "Once update group member limit exceeded: Invalid parameter"
    return Fault("greenfiled", 1009, text)


def _validate_payment(
    message: MsgCreatePaymentAccount | MsgDeposit | MsgWithdraw | MsgDisableRefund,
) -> Fault | None:
    match message:
        case MsgCreatePaymentAccount():
            return _creator_fault(message.creator)
        case MsgDisableRefund():
            return _creator_fault(message.owner) or _address_fault(
                "invalid payment address ({})", message.addr
            )
        case MsgDeposit():
            fault = _creator_fault(message.creator) or _address_fault(
                "invalid to address ({})", message.to
            )
        case MsgWithdraw():
            fault = _creator_fault(message.creator) or _address_fault(
                "invalid from address ({})", message.from_
            )
    if fault is None and message.amount <= 0:
        fault = Fault("sdk", 10, f"invalid amount ({message.amount}): invalid coins")
    return fault


def _validate_edit_provider(message: MsgEditStorageProvider) -> Fault | None:
    empty = Fault("sdk", 18, "empty description: invalid request")
    return (
        _creator_fault(message.sp_address)
        or (empty if message.description == Description() else None)
        or _endpoint_fault(message.endpoint)
        or _given_address_fault("invalid seal address ({})", message.seal_address)
        or _given_address_fault("invalid approval address ({})", message.approval_address)
        or _given_address_fault("invalid gc address ({})", message.gc_address)
    )


def _endpoint_fault(endpoint: str) -> Fault | None:
    try:
        has_path = urlsplit(endpoint).path not in ("", "/")
    except ValueError:
        text = "Endpoint url cannot be parsed."
    else:
        if not has_path:
            return None
        text = "Endpoint url cannot have fully qualified paths."
    return Fault("sdk", 18, f"invalid endpoint ({text}: Invalid endpoint url): invalid request")


def _given_address_fault(template: str, address: str) -> Fault | None:
    return _address_fault(template, address) if address else None


def _validate_send(message: MsgSend) -> Fault | None:
    return (
        _address_fault("invalid from address: {}", message.from_address)
        or _address_fault("invalid to address: {}", message.to_address)
        or _coins_fault(message.amount)
    )


def _validate_discontinue(message: MsgDiscontinueObject | MsgDiscontinueBucket) -> Fault | None:
    fault = _address_fault("invalid operator address ({})", message.operator) or bucket_name_fault(
        message.bucket_name
    )
    if fault is None and isinstance(message, MsgDiscontinueObject):
        count = len(message.object_ids)
        if not 0 < count <= MAX_DISCONTINUED_OBJECTS:
            fault = Fault("storage", 3101, f"length of ids is {count}: object ids are invalid")
    size_bytes = len(message.reason.encode())
    if fault is None and size_bytes > MAX_REASON_BYTES:
        fault = Fault(
            "storage", 3102, f"reason is too long with length {size_bytes}: reason is invalid"
        )
    return fault


def bucket_name_fault(name: str) -> Fault | None:
    """The chain's text for a bucket name, None when it is valid."""
    try:
        check_bucket_name(name)
    except InvalidName as error:
        return Fault("greenfiled", 1000, f"{error.what}: Invalid bucket name")
    return None


def object_name_fault(name: str) -> Fault | None:
    """The chain's text for an object name, None when it is valid."""
    try:
        check_object_name(name)
    except InvalidName as error:
        return Fault("greenfiled", 1001, f"{error.what}: Invalid object name")
    return None


def group_name_fault(name: str) -> Fault | None:
    """The chain's text for a group name, None when it is valid."""
    try:
        check_group_name(name)
    except InvalidName as error:
        return Fault("greenfiled", 1002, f"{error.what}: Invalid group name")
    return None


def _creator_fault(address: str) -> Fault | None:
    return _address_fault("invalid creator address ({})", address)


def _address_fault(template: str, address: str) -> Fault | None:
    problem = address_problem(address)
    if problem is None:
        return None
    return Fault("sdk", 7, f"{template.format(problem)}: invalid address")


def _first_address_fault(template: str, addresses: tuple[str, ...]) -> Fault | None:
    faults = (_address_fault(template, address) for address in addresses)
    return next((fault for fault in faults if fault), None)


def _approval_fault(approval: SpApproval | None) -> Fault | None:
    if approval is not None:
        return None
    return Fault("storage", 1116, "Empty approvals are not allowed.: Invalid approval of sp")


def _visibility_fault(visibility: Visibility) -> Fault | None:
    if visibility is not Visibility.VISIBILITY_TYPE_UNSPECIFIED:
        return None
    return Fault(
        "storage", 1118, "Unspecified visibility is not allowed.: Invalid type of visibility"
    )


def _checksum_fault(checksums: tuple[bytes, ...]) -> Fault | None:
    if all(len(checksum) == CHECKSUM_SIZE_BYTES for checksum in checksums):
        return None
    return Fault("greenfiled", 1003, "Invalid SHA256 checksum size.: Invalid checksum")


def _coins_fault(coins: tuple[Coin, ...]) -> Fault | None:
    denoms = [coin.denom for coin in coins]
    valid = (
        bool(coins)
        and all(_DENOM.fullmatch(denom) for denom in denoms)
        and all(coin.amount > 0 for coin in coins)
        and all(first < second for first, second in pairwise(denoms))
    )
    if valid:
        return None
    shown = ",".join(f"{coin.amount}{coin.denom}" for coin in coins)
    return Fault("sdk", 10, f"{shown}: invalid coins")
