"""Policies in the chain's state: who got which permission on a bucket, an object or a group.

A policy of an account is found by resource and account; the policies of groups on one resource are
a list, because who asks is looked for in each of the groups.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import ADDRESS_SIZE_BYTES, address_text, parse_address
from greenray.chain.dialects.v0_2.local_rules.records import number_key
from greenray.chain.local.ledger.state import State
from greenray.chain.proto_json import PrincipalType, ResourceType

_POLICY, _POLICY_OF, _POLICIES_OF_GROUPS = "policy_by_id", "policy_of", "policies_of_groups"
_HAS_POLICIES = "has_policies"
"""Resources with policies that are to be cleaned up after them: a look-up where a scan is slow."""
_EARLIER = "policy"
"""How chains of earlier versions have the policies of accounts: id and statements as JSON."""
_KINDS = {
    ResourceType.RESOURCE_TYPE_BUCKET: b"b",
    ResourceType.RESOURCE_TYPE_OBJECT: b"o",
    ResourceType.RESOURCE_TYPE_GROUP: b"g",
}


def get_policy(state: State, policy_id: int) -> Any | None:
    """greenfield.permission.Policy, or None."""
    value = state.get(_POLICY, number_key(policy_id))
    return None if value is None else wire.permission.Policy.FromString(value)


def put_policy(state: State, policy: Any) -> None:
    """A policy whose id and principal are set."""
    state.put(_POLICY, number_key(int(policy.id)), policy.SerializeToString())
    state.put(_HAS_POLICIES, _resource_key(policy.resource_type, policy.resource_id), b"1")
    if policy.principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        key = _account_key(policy, parse_address(policy.principal.value))
        state.put(_POLICY_OF, key, policy.id.encode())
        state.put(_EARLIER, key, None)
        return
    group = group_policies(state, policy.resource_type, policy.resource_id)
    if policy.id not in [item.policy_id for item in group.items]:
        group.items.add(policy_id=policy.id, group_id=policy.principal.value)
        state.put(
            _POLICIES_OF_GROUPS,
            _resource_key(policy.resource_type, policy.resource_id),
            group.SerializeToString(),
        )


def policy_of_account(
    state: State, resource_type: int, resource_id: str, account: bytes
) -> Any | None:
    """What the account itself got on a resource."""
    key = _resource_key(resource_type, resource_id) + account
    policy_id = state.get(_POLICY_OF, key)
    if policy_id is not None:
        return get_policy(state, int(policy_id))
    earlier = state.get(_EARLIER, key)
    return None if earlier is None else _from_earlier(earlier, resource_type, resource_id, account)


def group_policies(state: State, resource_type: int, resource_id: str) -> Any:
    """greenfield.permission.PolicyGroup of a resource, empty when no group got anything."""
    value = state.get(_POLICIES_OF_GROUPS, _resource_key(resource_type, resource_id))
    return wire.permission.PolicyGroup.FromString(value or b"")


def policy_of_group(
    state: State, resource_type: int, resource_id: str, group_id: int
) -> Any | None:
    for item in group_policies(state, resource_type, resource_id).items:
        if int(item.group_id) == group_id:
            return get_policy(state, int(item.policy_id))
    return None


def has_policies(state: State, resource_type: int, resource_id: str) -> bool:
    """Whether there may be policies on a resource, those of earlier versions aside."""
    return state.get(_HAS_POLICIES, _resource_key(resource_type, resource_id)) is not None


def policies_on(state: State, resource_type: int, resource_id: str) -> Iterator[Any]:
    """Every policy on a resource: of accounts, then of groups."""
    prefix = _resource_key(resource_type, resource_id)
    accounts = {
        key[len(prefix) :]
        for kind in (_POLICY_OF, _EARLIER)
        for key, _ in state.scan(kind, prefix)
        # Numbers have no fixed width: another resource's may begin with this one's.
        if len(key) == len(prefix) + ADDRESS_SIZE_BYTES
    }
    for account in sorted(accounts):
        yield policy_of_account(state, resource_type, resource_id, account)
    for item in group_policies(state, resource_type, resource_id).items:
        yield get_policy(state, int(item.policy_id))


def delete_policy(state: State, policy: Any) -> None:
    state.put(_POLICY, number_key(int(policy.id)), None)
    if policy.principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        key = _account_key(policy, parse_address(policy.principal.value))
        state.put(_POLICY_OF, key, None)
        state.put(_EARLIER, key, None)
        return
    group = group_policies(state, policy.resource_type, policy.resource_id)
    left = [item for item in group.items if item.policy_id != policy.id]
    kept = wire.permission.PolicyGroup(items=left).SerializeToString() if left else None
    state.put(_POLICIES_OF_GROUPS, _resource_key(policy.resource_type, policy.resource_id), kept)


def _resource_key(resource_type: int, resource_id: str) -> bytes:
    return _KINDS[ResourceType(resource_type)] + number_key(int(resource_id))


def _account_key(policy: Any, account: bytes) -> bytes:
    return _resource_key(policy.resource_type, policy.resource_id) + account


def _from_earlier(value: bytes, resource_type: int, resource_id: str, account: bytes) -> Any:
    document = json.loads(value)
    statements = [
        wire.permission.Statement(effect=effect, actions=actions, resources=resources)
        for effect, actions, resources in document["statements"]
    ]
    principal = wire.permission.Principal(
        type=PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, value=address_text(account)
    )
    return wire.permission.Policy(
        id=str(document["id"]),
        principal=principal,
        resource_type=resource_type,
        resource_id=resource_id,
        statements=statements,
    )
