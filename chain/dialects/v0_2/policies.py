"""What MsgPutPolicy and MsgDeletePolicy say of themselves: resource names, principals, statements.

The order of the checks and the texts are the chain's (x/permission, types/grn.go).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from greenray.chain.addresses import address_problem as _address_problem
from greenray.chain.dialect import Fault
from greenray.chain.dialects.v0_2.messages import (
    MsgDeletePolicy,
    MsgPutPolicy,
    Principal,
    Statement,
)
from greenray.chain.dialects.v0_2.resource_patterns import InvalidPattern, check_pattern
from greenray.chain.go_integers import go_integer
from greenray.chain.proto_json import Effect, PrincipalType, ResourceType
from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name, check_group_name, check_object_name
from greenray.protocol.objects import ActionType

_RESOURCE_NAME = re.compile(r"grn:([b|o|g]):([^:]*):([^:]*)", re.ASCII)
_WITHOUT_WILDCARDS = re.compile(r"grn:([b|o|g]):([^:]*):([^:*]*)", re.ASCII)
_ROOT = "Not a standard greenfield resource name format"
_LIMIT_TEXT = (
    "The LimitSize option can only be used with CreateObject actions at the bucket level. "
)
_OF_OBJECTS = {
    ActionType.ACTION_CREATE_OBJECT,
    ActionType.ACTION_DELETE_OBJECT,
    ActionType.ACTION_COPY_OBJECT,
    ActionType.ACTION_GET_OBJECT,
    ActionType.ACTION_EXECUTE_OBJECT,
    ActionType.ACTION_LIST_OBJECT,
    ActionType.ACTION_TYPE_ALL,
}
_ALLOWED = {
    ResourceType.RESOURCE_TYPE_BUCKET: _OF_OBJECTS
    | {ActionType.ACTION_UPDATE_BUCKET_INFO, ActionType.ACTION_DELETE_BUCKET},
    # Not ACTION_UPDATE_OBJECT_INFO: it came with v0.2.3.
    ResourceType.RESOURCE_TYPE_OBJECT: _OF_OBJECTS,
    ResourceType.RESOURCE_TYPE_GROUP: {
        ActionType.ACTION_UPDATE_GROUP_MEMBER,
        ActionType.ACTION_DELETE_GROUP,
        ActionType.ACTION_TYPE_ALL,
    },
}
_KINDS = {
    ResourceType.RESOURCE_TYPE_BUCKET: "bucket",
    ResourceType.RESOURCE_TYPE_OBJECT: "object",
    ResourceType.RESOURCE_TYPE_GROUP: "group",
}


class InvalidResourceName(ValueError):
    """Worded as the chain's parser words it."""

    @property
    def log(self) -> str:
        return f"{self}: {_ROOT}"


@dataclass(frozen=True, slots=True)
class ResourceName:
    """``name``: of a bucket; of an object ``bucket/object``; of a group, whose ``owner`` is an
    address (else empty)."""

    type: ResourceType
    name: str
    owner: str = ""


def parse_resource_name(text: str, *, wildcards: bool = False) -> ResourceName:
    """``grn:b::bucket``, ``grn:o::bucket/object`` or ``grn:g:owner:group``; with ``wildcards`` the
    names of buckets and groups may be patterns.

    Raises:
        InvalidResourceName: anything else.
    """
    match = (_RESOURCE_NAME if wildcards else _WITHOUT_WILDCARDS).fullmatch(text)
    if match is None:
        raise InvalidResourceName(f"regex match error. Res: {text}.")
    kind, owner, name = match.groups()
    if kind == "g":
        return _parse_group(owner, name, wildcards=wildcards)
    if owner:
        raise InvalidResourceName("Not allowed acc non-empty in bucket resource name")
    if kind == "b":
        if "/" in name:
            raise InvalidResourceName("Not allowed '/' in bucket resource name")
        if not wildcards:
            _check(check_bucket_name, name, f"invalid bucketName: {name}, err: {{}}", "bucket")
        return ResourceName(ResourceType.RESOURCE_TYPE_BUCKET, name)
    parts = name.split("/")
    if kind != "o" or len(parts) != 2:
        problem = f"expect bucketName/object, actual {name}: {_ROOT}"
        raise InvalidResourceName(f"invalid name, err : {problem}")
    for check, part, what in (
        (check_bucket_name, parts[0], "bucket"),
        (check_object_name, parts[1], "object"),
    ):
        text = f"invalid name, err : invalid {what}Name, err: {{}}: {_ROOT}"
        _check(check, part, text, what)
    return ResourceName(ResourceType.RESOURCE_TYPE_OBJECT, name)


def _parse_group(owner: str, name: str, *, wildcards: bool) -> ResourceName:
    problem = _address_problem(owner)
    if problem is not None:
        raise InvalidResourceName(f"invalid group owner account, err : {problem}")
    if not wildcards:
        _check(check_group_name, name, "invalid group name, err : {}", "group")
    return ResourceName(ResourceType.RESOURCE_TYPE_GROUP, name, owner)


def _check(check: Callable[[str], None], name: str, template: str, what: str) -> None:
    try:
        check(name)
    except InvalidName as error:
        problem = template.format(f"{error.what}: Invalid {what} name")
        raise InvalidResourceName(problem) from error


def policy_fault(
    message: MsgPutPolicy | MsgDeletePolicy, address_problem: Callable[[str], str | None]
) -> Fault | None:
    """The first fault of resource, principal and statements; the operator is checked before.

    ``address_problem`` says what is wrong with a principal's address, None when it is one.
    """
    try:
        resource = parse_resource_name(message.resource)
    except InvalidResourceName as error:
        text = f"invalid greenfield resource name ({error.log}): {_ROOT}"
        return Fault("greenfiled", 1008, text)
    if message.principal is None:
        return Fault("greenfiled", 1007, "principal cannot be empty: Invalid principal")
    is_group = message.principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_GROUP
    if is_group and resource.type == ResourceType.RESOURCE_TYPE_GROUP:
        text = "Not allow grant group's permission to another group: Invalid principal"
        return Fault("greenfiled", 1007, text)
    if isinstance(message, MsgDeletePolicy):
        return None
    return _principal_fault(message.principal, address_problem) or _statements_fault(
        message.statements, resource.type
    )


def _principal_fault(
    principal: Principal, address_problem: Callable[[str], str | None]
) -> Fault | None:
    shown = f'type:{principal.type.name} value:"{principal.value}" '
    match principal.type:
        case PrincipalType.PRINCIPAL_TYPE_UNSPECIFIED:
            text = "Not allowed empty principal type."
        case PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
            problem = address_problem(principal.value)
            if problem is None:
                return None
            text = f"Invalid account, principal: {shown}, err: {problem}"
        case PrincipalType.PRINCIPAL_TYPE_GNFD_GROUP:
            number = go_integer(principal.value)
            if number is not None and 0 < number < 2**256:
                return None
            if number is None:
                problem = f'cannot convert "{principal.value}" to big.Int'
                text = f"Invalid groupID, principal: {shown}, err: {problem}"
            elif number == 0:
                text = f"Zero groupID, principal {shown}"
            else:
                size = f"integer out of range; got: {number.bit_length()}, max: 256"
                problem = "non-positive integer" if number < 0 else size
                text = f"Invalid groupID, principal: {shown}, err: {problem}"
    return Fault("permission", 1100, f"{text}: Invalid principal")


def _statements_fault(statements: tuple[Statement, ...], kind: ResourceType) -> Fault | None:
    for statement in statements:
        try:
            problem = _problem_of(statement, kind)
        except InvalidResourceName as error:
            return Fault("greenfiled", 1008, error.log)
        if problem is not None:
            return Fault("permission", 1101, f"{problem}: Invalid statement")
    return None


def _problem_of(statement: Statement, kind: ResourceType) -> str | None:
    """Raises InvalidResourceName for a resource of the statement."""
    if statement.effect == Effect.EFFECT_UNSPECIFIED:
        return "Please specify the Effect explicitly. Not allowed set EFFECT_UNSPECIFIED"
    for action in statement.actions:
        if action not in _ALLOWED[kind]:
            return f"{action.name} not allowed to be used on {_KINDS[kind]}."
    if kind != ResourceType.RESOURCE_TYPE_BUCKET:
        return _LIMIT_TEXT if statement.limit_size is not None else None
    for resource in statement.resources:
        parse_resource_name(resource, wildcards=True)
        try:
            check_pattern(resource)
        except InvalidPattern as error:
            return f"regexp compile error. err: {error}"
    limits_nothing = ActionType.ACTION_CREATE_OBJECT not in statement.actions
    return f"{_LIMIT_TEXT}." if limits_nothing and statement.limit_size is not None else None
