"""What deleted buckets, objects and groups leave behind: policies, and members of groups.

The chain removes it at the end of a block, so much at a time.
"""

from __future__ import annotations

import json
from typing import Any

from greenray.chain.addresses import ADDRESS_SIZE_BYTES
from greenray.chain.dialects.v0_2.local_rules import permission, policies, records
from greenray.chain.local.ledger.context import Context
from greenray.chain.proto_json import ResourceType

_QUEUE = b"stale_policies"


def leave_behind(context: Context, resource_type: ResourceType, resource_id: str) -> None:
    """Remember a deleted resource, if there may be something to remove."""
    is_group = resource_type == ResourceType.RESOURCE_TYPE_GROUP
    if not is_group and not policies.has_policies(context.state, resource_type, resource_id):
        return
    _put(context, [*_queue(context), [int(resource_type), resource_id]])


def end_block(context: Context) -> None:
    """Remove up to a block's measure of what is left behind."""
    queue = _queue(context)
    if not queue:
        return
    left = context.rules.params.storage.stale_policy_cleanup_max
    while queue and left > 0:
        resource_type, resource_id = queue[0]
        found = list(policies.policies_on(context.state, resource_type, resource_id))
        for policy in found[:left]:
            policies.delete_policy(context.state, policy)
            permission.emit_delete(context, policy.id)
        left -= min(left, len(found))
        if resource_type == ResourceType.RESOURCE_TYPE_GROUP:
            members = _members(context, resource_id)
            for key in members[:left]:
                context.state.put(records.GROUP_MEMBER, key, None)
            left -= min(left, len(members))
        if left > 0:
            queue = queue[1:]
    _put(context, queue)


def _members(context: Context, group_id: str) -> list[bytes]:
    prefix = records.number_key(int(group_id))
    found = context.state.scan(records.GROUP_MEMBER, prefix)
    # Numbers have no fixed width: another group's may begin with this one's.
    return [key for key, _ in found if len(key) == len(prefix) + ADDRESS_SIZE_BYTES]


def _queue(context: Context) -> list[Any]:
    value = context.state.get(records.DISCONTINUED, _QUEUE)
    queue: list[Any] = json.loads(value) if value else []
    return queue


def _put(context: Context, queue: list[Any]) -> None:
    value = json.dumps(queue).encode() if queue else None
    context.state.put(records.DISCONTINUED, _QUEUE, value)
