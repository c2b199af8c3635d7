"""Groups and their members: CreateGroup, UpdateGroupMember, LeaveGroup, DeleteGroup."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import cleaning, permission, records
from greenray.chain.dialects.v0_2.local_rules.faults import (
    must_be_address,
    storage,
    unregistered,
)
from greenray.chain.local.ledger.accounts import next_number
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.proto_json import ResourceType
from greenray.protocol.objects import ActionType, SourceType


def create_group(context: Context, message: dialect.MsgCreateGroup) -> Any:
    """Raises ChainFault."""
    state, owner = context.state, parse_address(message.creator)
    group_id = str(next_number(state, "group", 1))
    if records.get_group(state, owner, message.group_name) is not None:
        raise storage(1106)
    group = wire.storage.GroupInfo(
        owner=address_text(owner),
        group_name=message.group_name,
        source_type=SourceType.SOURCE_TYPE_ORIGIN,
        id=group_id,
    )
    records.put_group(state, group)
    for member in message.members:
        _add(context, group_id, member)
    context.emit(
        typed_event(
            "greenfield.storage.EventCreateGroup",
            {
                "owner": group.owner,
                "group_name": group.group_name,
                "group_id": group.id,
                "source_type": SourceType(group.source_type).name,
                "members": list(message.members),
            },
        )
    )
    return wire.storage.MsgCreateGroupResponse(group_id=group_id)


def update_group_member(context: Context, message: dialect.MsgUpdateGroupMember) -> Any:
    """Raises ChainFault."""
    operator = parse_address(message.operator)
    group = _group(context, parse_address(message.group_owner), message.group_name)
    action = ActionType.ACTION_UPDATE_GROUP_MEMBER
    if not permission.is_allowed_on_group(context, group, operator, action):
        # The node shows the owner where it says operator.
        raise storage(
            1107,
            f"The operator({address_text(operator)}) has no UpdateGroupMember permission of the"
            f" group({group.group_name}), operator({group.owner})",
        )
    for member in message.members_to_add:
        _add(context, group.id, member)
    for member in message.members_to_delete:
        _remove(context, group.id, parse_address(member))
    context.emit(
        typed_event(
            "greenfield.storage.EventUpdateGroupMember",
            {
                "operator": address_text(operator),
                "owner": group.owner,
                "group_name": group.group_name,
                "group_id": group.id,
                "members_to_add": list(message.members_to_add),
                "members_to_delete": list(message.members_to_delete),
            },
        )
    )
    return wire.storage.MsgUpdateGroupMemberResponse()


def leave_group(context: Context, message: dialect.MsgLeaveGroup) -> Any:
    """Raises ChainFault."""
    owner = must_be_address(message.group_owner)
    group = _group(context, owner, message.group_name)
    _remove(context, group.id, parse_address(message.member))
    # The node emits the event of a deletion.
    _emit_delete(context, group)
    return wire.storage.MsgLeaveGroupResponse()


def delete_group(context: Context, message: dialect.MsgDeleteGroup) -> Any:
    """Of the operator's own; the members need not be gone. Raises ChainFault."""
    group = _group(context, parse_address(message.operator), message.group_name)
    records.delete_group(context.state, group)
    cleaning.leave_behind(context, ResourceType.RESOURCE_TYPE_GROUP, group.id)
    _emit_delete(context, group)
    return wire.storage.MsgDeleteGroupResponse()


def _group(context: Context, owner: bytes, group_name: str) -> Any:
    group = records.get_group(context.state, owner, group_name)
    if group is None:
        raise storage(1102)
    if group.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(1114)
    return group


def _add(context: Context, group_id: str, text: str) -> None:
    try:
        member = parse_address(text)
    except InvalidAddress as error:
        raise unregistered(str(error)) from error
    if records.get_member(context.state, group_id, member) is not None:
        raise storage(1110)
    # The node gives members a number, and keeps it out of what it answers.
    value = wire.permission.GroupMember(id="0", group_id=group_id, member=address_text(member))
    key = records.member_key(group_id, member)
    context.state.put(records.GROUP_MEMBER, key, value.SerializeToString())


def _remove(context: Context, group_id: str, member: bytes) -> None:
    if records.get_member(context.state, group_id, member) is None:
        raise storage(1102)
    context.state.put(records.GROUP_MEMBER, records.member_key(group_id, member), None)


def _emit_delete(context: Context, group: Any) -> None:
    context.emit(
        typed_event(
            "greenfield.storage.EventDeleteGroup",
            {"owner": group.owner, "group_name": group.group_name, "group_id": group.id},
        )
    )
