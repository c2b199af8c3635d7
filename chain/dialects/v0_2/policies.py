"""What MsgPutPolicy says of itself: resource names, principals and statements of v0.2.

The order of the checks and the texts are the chain's (x/permission, types/grn.go).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from greenray.chain.dialect import Fault
from greenray.chain.dialects.v0_2.messages import MsgPutPolicy, Statement
from greenray.chain.dialects.v0_2.resource_patterns import InvalidPattern, check_pattern
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name, check_object_name
from greenray.protocol.objects import ActionType

_RESOURCE_NAME = re.compile(r"grn:([b|o|g]):([^:]*):([^:]*)", re.ASCII)
_ROOT = "Not a standard greenfield resource name format"
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
    "bucket": _OF_OBJECTS | {ActionType.ACTION_UPDATE_BUCKET_INFO, ActionType.ACTION_DELETE_BUCKET},
    "object": _OF_OBJECTS | {ActionType.ACTION_UPDATE_OBJECT_INFO},
}


class InvalidResourceName(ValueError):
    """Worded as the chain's parser words it."""


def parse_resource_name(text: str) -> tuple[str, str]:
    """("bucket", its name) of ``grn:b::bucket``, ("object", ``bucket/object``) of
    ``grn:o::bucket/object``; a bucket's name may have wildcards.

    Raises:
        InvalidResourceName: anything else; groups are out of scope.
    """
    match = _RESOURCE_NAME.fullmatch(text)
    if match is None:
        raise InvalidResourceName(f"regex match error. Res: {text}.")
    kind, owner, name = match.groups()
    if kind not in ("b", "o"):
        raise InvalidResourceName("groups are not supported")
    if owner:
        raise InvalidResourceName("Not allowed acc non-empty in bucket resource name")
    if kind == "b":
        if "/" in name:
            raise InvalidResourceName("Not allowed '/' in bucket resource name")
        return "bucket", name
    bucket_name, slash, object_name = name.partition("/")
    if not slash:
        problem = f"expect bucketName/object, actual {name}: {_ROOT}"
        raise InvalidResourceName(f"invalid name, err : {problem}")
    for check, part, what in (
        (check_bucket_name, bucket_name, "bucket"),
        (check_object_name, object_name, "object"),
    ):
        try:
            check(part)
        except InvalidName as error:
            problem = f"invalid {what}Name, err: {error.what}: Invalid {what} name: {_ROOT}"
            raise InvalidResourceName(f"invalid name, err : {problem}") from error
    return "object", name


def policy_fault(
    message: MsgPutPolicy, address_problem: Callable[[str], str | None]
) -> Fault | None:
    """The first fault of resource, principal and statements; the operator is checked before.

    ``address_problem`` says what is wrong with an address, None when it is one.
    """
    try:
        kind, _ = parse_resource_name(message.resource)
    except InvalidResourceName as error:
        text = f"invalid greenfield resource name ({error}: {_ROOT}): {_ROOT}"
        return Fault("greenfiled", 1008, text)
    if message.principal is None:
        return Fault("greenfiled", 1007, "principal cannot be empty: Invalid principal")
    principal = message.principal
    if principal.type == PrincipalType.PRINCIPAL_TYPE_UNSPECIFIED:
        return Fault("permission", 1100, "Unknown principal type.: Invalid principal")
    if principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        problem = address_problem(principal.value)
        if problem is not None:
            shown = f'type:{principal.type.name} value:"{principal.value}" '
            text = f"Invalid account, principal: {shown}, err: {problem}: Invalid principal"
            return Fault("permission", 1100, text)
    return _statements_fault(message.statements, kind)


def _statements_fault(statements: tuple[Statement, ...], kind: str) -> Fault | None:
    for statement in statements:
        problem = _problem_of(statement, kind)
        if problem is not None:
            return Fault("permission", 1101, f"{problem}: Invalid statement")
    return None


def _problem_of(statement: Statement, kind: str) -> str | None:
    if statement.effect == Effect.EFFECT_UNSPECIFIED:
        return "Please specify the Effect explicitly. Not allowed set EFFECT_UNSPECIFIED"
    for action in statement.actions:
        if action not in _ALLOWED[kind]:
            return f"{action.name} not allowed to be used on {kind}."
    for resource in statement.resources if kind == "bucket" else ():
        try:
            parse_resource_name(resource)
            check_pattern(resource)
        except InvalidResourceName as error:
            return f"GRN parse from string failed, err: {error}: {_ROOT}"
        except InvalidPattern as error:
            return f"regexp compile error. err: {error}"
    return None
