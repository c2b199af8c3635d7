"""abci_query of groups and of policies."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text
from greenray.chain.dialects.v0_2.local_rules import permission, policies
from greenray.chain.dialects.v0_2.local_rules.faults import root_text
from greenray.chain.dialects.v0_2.local_rules.records import (
    GROUP,
    GROUP_NAME,
    get_group,
    get_member,
)
from greenray.chain.dialects.v0_2.policies import (
    InvalidResourceName,
    ResourceName,
    parse_resource_name,
)
from greenray.chain.go_integers import go_integer
from greenray.chain.local.ledger.context import Rules
from greenray.chain.local.ledger.faults import ChainFault
from greenray.chain.local.ledger.reading import (
    INVALID_ARGUMENT,
    UNKNOWN,
    StateAt,
    check_limit,
    fail,
    queried_address,
)
from greenray.chain.proto_json import PrincipalType


def head_group(request: Any, state: StateAt, rules: Rules) -> Any:
    group = _group(state, request.group_owner, request.group_name)
    return wire.storage.QueryHeadGroupResponse(group_info=group)


def list_group(request: Any, state: StateAt, rules: Rules) -> Any:
    check_limit(request.pagination)
    owner = queried_address(request.group_owner)
    keys, page = state.page(GROUP_NAME, owner, request.pagination)
    values = [state.get(GROUP, key) for key in keys]
    return wire.storage.QueryListGroupResponse(
        pagination=page,
        group_infos=[wire.storage.GroupInfo.FromString(v) for v in values if v is not None],
    )


def head_group_member(request: Any, state: StateAt, rules: Rules) -> Any:
    member = queried_address(request.member)
    group = _group(state, request.group_owner, request.group_name)
    found = get_member(state, group.id, member)
    if found is None:
        fail(UNKNOWN, root_text("storage", 1103))
    return wire.storage.QueryHeadGroupMemberResponse(group_member=found)


def policy_for_account(request: Any, state: StateAt, rules: Rules) -> Any:
    principal = wire.permission.Principal(
        type=PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT,
        value=address_text(queried_address(request.principal_address)),
    )
    try:
        name = parse_resource_name(request.resource)
    except InvalidResourceName as error:
        fail(UNKNOWN, error.log)
    policy = _policy(state, name, request.resource, principal)
    return wire.storage.QueryPolicyForAccountResponse(policy=policy)


def policy_for_group(request: Any, state: StateAt, rules: Rules) -> Any:
    principal = wire.permission.Principal(
        type=PrincipalType.PRINCIPAL_TYPE_GNFD_GROUP,
        value=str(_number(request.principal_group_id, "group")),
    )
    try:
        name = parse_resource_name(request.resource)
    except InvalidResourceName as error:
        text = f"failed to parse GRN {request.resource}: {error.log}"
        fail(INVALID_ARGUMENT, text, prefixed=True)
    policy = _policy(state, name, request.resource, principal)
    return wire.storage.QueryPolicyForGroupResponse(policy=policy)


def policy_by_id(request: Any, state: StateAt, rules: Rules) -> Any:
    policy = policies.get_policy(state, _number(request.policy_id, "policy"))
    if policy is None:
        fail(UNKNOWN, root_text("storage", 1120))
    return wire.storage.QueryPolicyByIdResponse(policy=policy)


def permission_params(request: Any, state: StateAt, rules: Rules) -> Any:
    params = wire.permission.Params(
        maximum_statements_num=permission.MAX_STATEMENTS,
        maximum_group_num=permission.MAX_GROUPS_OF_RESOURCE,
    )
    return wire.permission.QueryParamsResponse(params=params)


def _group(state: StateAt, owner: str, group_name: str) -> Any:
    group = get_group(state, queried_address(owner), group_name)
    if group is None:
        fail(UNKNOWN, root_text("storage", 1102))
    return group


def _policy(state: StateAt, name: ResourceName, resource: str, principal: Any) -> Any:
    try:
        policy = permission.find_policy(state, name, principal)
    except ChainFault as error:
        fail(UNKNOWN, error.log)
    if policy is None:
        shown = f'type:{PrincipalType(principal.type).name} value:"{principal.value}" '
        fail(UNKNOWN, f"GRN: {resource}, principal:{shown}: {root_text('storage', 1120)}")
    return policy


def _number(text: str, kind: str) -> int:
    number = go_integer(text)
    if number is None or not 0 <= number < 2**256:
        fail(INVALID_ARGUMENT, f"invalid {kind} id", prefixed=True)
    return number
