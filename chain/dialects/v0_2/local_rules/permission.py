"""Who may do what: visibility, ownership and policies (protocol 05 §2.4), MsgPutPolicy and
MsgDeletePolicy.

Corrected: a policy that a group lost leaves the list of its resource too, where the recorded rules
stumble over it the next time; and a pattern that is none matches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from greenray.chain import proto_json, wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import policies
from greenray.chain.dialects.v0_2.local_rules.faults import (
    fault,
    greenfiled,
    must_be_address,
    storage,
)
from greenray.chain.dialects.v0_2.local_rules.records import (
    get_bucket,
    get_group,
    get_group_by_id,
    get_member,
    get_object,
    number_key,
)
from greenray.chain.dialects.v0_2.policies import ResourceName, parse_resource_name
from greenray.chain.dialects.v0_2.resource_patterns import matches
from greenray.chain.go_integers import go_integer
from greenray.chain.local.ledger.accounts import next_number
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.state import State
from greenray.chain.proto_json import Effect, PrincipalType, ResourceType
from greenray.protocol.objects import ActionType, Visibility

MAX_GROUPS_OF_RESOURCE = 10
MAX_STATEMENTS = 10
"""Told by the module's parameters; v0.2.0 never looks at it."""

_PUBLIC_OBJECT_ACTIONS = frozenset(
    {
        ActionType.ACTION_GET_OBJECT,
        ActionType.ACTION_COPY_OBJECT,
        ActionType.ACTION_EXECUTE_OBJECT,
    }
)
_PUBLIC_BUCKET_ACTIONS = _PUBLIC_OBJECT_ACTIONS | {ActionType.ACTION_LIST_OBJECT}


class StateOfBlock(Protocol):
    """State as of a block, and that block's time (nanoseconds since the Unix epoch)."""

    @property
    def state(self) -> State: ...

    @property
    def time_ns(self) -> int: ...


# --- questions -----------------------------------------------------------------------------------


def is_allowed_in_bucket(at: StateOfBlock, bucket: Any, operator: bytes, action: int) -> bool:
    """The bucket rule; ``operator`` empty means anonymous."""
    public = bucket.visibility == Visibility.VISIBILITY_TYPE_PUBLIC_READ
    if public and action in _PUBLIC_BUCKET_ACTIONS:
        return True
    if not operator:
        return False
    if operator == parse_address(bucket.owner):
        return True
    resource = ResourceType.RESOURCE_TYPE_BUCKET
    return _verify(at, resource, bucket.id, operator, action) == Effect.EFFECT_ALLOW


def may_create(context: Context, bucket: Any, operator: bytes, payload_size: int) -> bool:
    """Whether the operator may create an object of so many bytes; what a policy limits is counted
    down."""
    if operator == parse_address(bucket.owner):
        return True
    action, resource = ActionType.ACTION_CREATE_OBJECT, ResourceType.RESOURCE_TYPE_BUCKET
    evaluation = _Evaluation(context, action, wanted_size=payload_size)
    effect, policy = evaluation.of_resource(resource, bucket.id, operator)
    if policy is not None:
        policies.put_policy(context.state, policy)
        _emit_put(context, policy)
    return effect == Effect.EFFECT_ALLOW


def is_allowed_on_object(
    at: StateOfBlock, bucket: Any, info: Any, operator: bytes, action: int
) -> bool:
    """The object rule; ``operator`` empty means anonymous."""
    public = info.visibility == Visibility.VISIBILITY_TYPE_PUBLIC_READ or (
        info.visibility == Visibility.VISIBILITY_TYPE_INHERIT
        and bucket.visibility == Visibility.VISIBILITY_TYPE_PUBLIC_READ
    )
    if public and action in _PUBLIC_OBJECT_ACTIONS:
        return True
    if not operator:
        return False
    if operator == parse_address(info.owner):
        return True
    name = f"grn:o::{info.bucket_name}/{info.object_name}"
    bucket_type, object_type = ResourceType.RESOURCE_TYPE_BUCKET, ResourceType.RESOURCE_TYPE_OBJECT
    by_bucket = _verify(at, bucket_type, bucket.id, operator, action, name)
    if by_bucket == Effect.EFFECT_DENY:
        return False
    by_object = _verify(at, object_type, info.id, operator, action)
    if by_object == Effect.EFFECT_DENY:
        return False
    return Effect.EFFECT_ALLOW in (by_bucket, by_object)


def is_allowed_on_group(at: StateOfBlock, group: Any, operator: bytes, action: int) -> bool:
    """The group rule."""
    if operator == parse_address(group.owner):
        return True
    resource = ResourceType.RESOURCE_TYPE_GROUP
    return _verify(at, resource, group.id, operator, action) == Effect.EFFECT_ALLOW


def find_policy(state: State, name: ResourceName, principal: Any) -> Any | None:
    """The policy of a principal on a resource, or None. Raises ChainFault: there is no resource."""
    resource_id, _ = _resource(state, name)
    if principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        account = parse_address(principal.value)
        return policies.policy_of_account(state, name.type, resource_id, account)
    return policies.policy_of_group(state, name.type, resource_id, int(principal.value))


# --- messages ------------------------------------------------------------------------------------


def put_policy(context: Context, message: dialect.MsgPutPolicy) -> Any:
    """Raises ChainFault."""
    name = parse_resource_name(message.resource)
    wanted = wire.storage.MsgPutPolicy.FromString(dialect.encode_message(message))
    _check_expiry(context, "policy", [wanted])
    _check_expiry(context, "statement", wanted.statements)
    resource_id, owner = _resource(context.state, name)
    _check_owner(parse_address(message.operator), owner, "put")
    _check_principal(context.state, wanted.principal, owner)
    _check_group_count(context.state, name, resource_id, wanted.principal)
    policy = find_policy(context.state, name, wanted.principal)
    policy_id = "0"  # which is what the node answers when it overwrites
    if policy is None:
        policy_id = str(next_number(context.state, "policy", 1))
        policy = wire.permission.Policy(
            id=policy_id,
            principal=wanted.principal,
            resource_type=name.type,
            resource_id=resource_id,
        )
    del policy.statements[:]
    policy.statements.extend(wanted.statements)
    policy.ClearField("expiration_time")
    if wanted.HasField("expiration_time"):
        policy.expiration_time.CopyFrom(wanted.expiration_time)
    policies.put_policy(context.state, policy)
    _emit_put(context, policy)
    return wire.storage.MsgPutPolicyResponse(policy_id=policy_id)


def delete_policy(context: Context, message: dialect.MsgDeletePolicy) -> Any:
    """Raises ChainFault."""
    name = parse_resource_name(message.resource)
    _, owner = _resource(context.state, name)
    _check_owner(parse_address(message.operator), owner, "delete")
    principal = message.principal
    if principal is None or principal.type == PrincipalType.PRINCIPAL_TYPE_UNSPECIFIED:
        raise fault("permission", 1100, "Unknown principal type.")
    policy = find_policy(context.state, name, _normal(principal))
    policy_id = "0" if policy is None else policy.id
    if policy is not None:
        policies.delete_policy(context.state, policy)
    emit_delete(context, policy_id)
    return wire.storage.MsgDeletePolicyResponse(policy_id=policy_id)


def emit_delete(context: Context, policy_id: str) -> None:
    event = typed_event("greenfield.permission.EventDeletePolicy", {"policy_id": policy_id})
    context.emit(event)


def _emit_put(context: Context, policy: Any) -> None:
    content = proto_json.to_json(policy)
    context.emit(
        typed_event(
            "greenfield.permission.EventPutPolicy",
            {
                "policy_id": policy.id,
                "principal": content["principal"],
                "resource_type": content["resource_type"],
                "resource_id": policy.resource_id,
                "statements": content["statements"],
                "expiration_time": content["expiration_time"],
            },
        )
    )


def _check_expiry(context: Context, what: str, items: Iterable[Any]) -> None:
    for item in items:
        if _is_over(item, context.time_ns):
            raise fault(
                "permission",
                1103,
                f"The specified {what} expiration time is less than the current block time,"
                f" block time: {_go_time(context.time_ns)}",
            )


def _check_owner(operator: bytes, owner: bytes, verb: str) -> None:
    if operator != owner:
        raise storage(
            1107,
            f"Only resource owner can {verb} bucket policy, operator ({address_text(operator)}),"
            f" owner({address_text(owner)})",
        )


def _check_principal(state: State, principal: Any, owner: bytes) -> None:
    if principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        if parse_address(principal.value) == owner:
            raise greenfiled(1007, "principal account can not be the bucket owner")
        return
    principal.CopyFrom(_normal(principal))
    if get_group_by_id(state, number_key(int(principal.value))) is None:
        raise storage(1102)


def _normal(principal: Any) -> Any:
    """The principal; of a group with its number in decimal digits.

    Raises:
        ChainFault: permission/1100; what becomes of the node for an account that is no address.
    """
    value = principal.value
    if principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        must_be_address(value)
    if principal.type == PrincipalType.PRINCIPAL_TYPE_GNFD_GROUP:
        number = go_integer(value)
        if number is None or not 0 <= number < 2**256:
            shown = f'type:{principal.type.name} value:"{value}" '
            problem = f'cannot convert "{value}" to big.Int'
            raise fault("permission", 1100, f"Invalid groupID, principal: {shown}, err: {problem}")
        value = str(number)
    return wire.permission.Principal(type=principal.type, value=value)


def _check_group_count(state: State, name: ResourceName, resource_id: str, principal: Any) -> None:
    if principal.type != PrincipalType.PRINCIPAL_TYPE_GNFD_GROUP:
        return
    count = len(policies.group_policies(state, name.type, resource_id).items)
    if count >= MAX_GROUPS_OF_RESOURCE:
        text = f"group number limit to {MAX_GROUPS_OF_RESOURCE}, actual {count}"
        raise fault("permission", 1102, text)


def _resource(state: State, name: ResourceName) -> tuple[str, bytes]:
    """Id and owner. Raises ChainFault."""
    if name.type == ResourceType.RESOURCE_TYPE_BUCKET:
        bucket = get_bucket(state, name.name)
        if bucket is None:
            raise storage(1100, f"bucketName: {name.name}")
        return bucket.id, parse_address(bucket.owner)
    if name.type == ResourceType.RESOURCE_TYPE_GROUP:
        owner = parse_address(name.owner)
        group = get_group(state, owner, name.name)
        if group is None:
            # The node says "bucket" of a group, too.
            raise storage(1100, f"groupOwner: {address_text(owner)}, groupName: {name.name}")
        return group.id, owner
    bucket_name, _, object_name = name.name.partition("/")
    info = get_object(state, bucket_name, object_name)
    if info is None:
        raise storage(1101, f"BucketName: {bucket_name}, objectName: {object_name}")
    return info.id, parse_address(info.owner)


# --- evaluation ----------------------------------------------------------------------------------


def _verify(
    at: StateOfBlock,
    resource_type: ResourceType,
    resource_id: str,
    operator: bytes,
    action: int,
    name: str = "",
) -> int:
    evaluation = _Evaluation(at, action, name=name)
    return evaluation.of_resource(resource_type, resource_id, operator)[0]


class _Evaluation:
    """Of policies for one action: on objects in a bucket that have a ``name``, or with so many
    bytes that somebody wants to create."""

    def __init__(
        self, at: StateOfBlock, action: int, *, name: str = "", wanted_size: int | None = None
    ) -> None:
        self._at = at
        self._action = action
        self._name = name
        self._wanted_size = wanted_size

    def of_resource(
        self, resource_type: ResourceType, resource_id: str, operator: bytes
    ) -> tuple[int, Any | None]:
        """The effect of the operator's own policy, else of those of the operator's groups; and the
        policy that is to be written because it counts bytes. DENY wins over ALLOW;
        EFFECT_UNSPECIFIED when no statement speaks of the action."""
        state = self._at.state
        policy = policies.policy_of_account(state, resource_type, resource_id, operator)
        if policy is not None:
            effect, counted = self._of_policy(policy)
            if effect != Effect.EFFECT_UNSPECIFIED:
                return effect, counted
        allowed, last = False, (int(Effect.EFFECT_UNSPECIFIED), None)
        for item in policies.group_policies(state, resource_type, resource_id).items:
            last = self._of_policy(policies.get_policy(state, int(item.policy_id)))
            if last[0] == Effect.EFFECT_UNSPECIFIED:
                continue
            if get_member(state, item.group_id, operator) is None:
                continue
            if last[0] == Effect.EFFECT_DENY:
                return last[0], None
            allowed = True
        if not allowed:
            return Effect.EFFECT_UNSPECIFIED, None
        # The node writes what the last of the policies counted, whoever it belongs to.
        return Effect.EFFECT_ALLOW, last[1] if last[0] == Effect.EFFECT_ALLOW else None

    def _of_policy(self, policy: Any) -> tuple[int, Any | None]:
        if self._has_expired(policy):
            return Effect.EFFECT_UNSPECIFIED, None
        allowed = counted = False
        for statement in policy.statements:
            if self._has_expired(statement):
                continue
            effect, is_counted = self._of_statement(statement)
            if effect == Effect.EFFECT_DENY:
                return effect, None
            allowed = allowed or effect == Effect.EFFECT_ALLOW
            counted = counted or is_counted
        if not allowed:
            return Effect.EFFECT_UNSPECIFIED, None
        return Effect.EFFECT_ALLOW, policy if counted else None

    def _has_expired(self, item: Any) -> bool:
        # The time of a committed block is read from the database: only where there is an expiry.
        return item.HasField("expiration_time") and _is_over(item, self._at.time_ns)

    def _of_statement(self, statement: Any) -> tuple[int, bool]:
        """The effect, and whether the statement's limit was counted down."""
        # A statement of a bucket speaks of objects only where it names them.
        if self._name and not any(matches(one, self._name) for one in statement.resources):
            return Effect.EFFECT_UNSPECIFIED, False
        if not {self._action, ActionType.ACTION_TYPE_ALL} & set(statement.actions):
            return Effect.EFFECT_UNSPECIFIED, False
        is_limited = statement.HasField("limit_size") and self._wanted_size is not None
        if statement.effect != Effect.EFFECT_DENY and is_limited:
            left = statement.limit_size.value - (self._wanted_size or 0)
            if left < 0:
                return Effect.EFFECT_DENY, False
            statement.limit_size.value = left
            return Effect.EFFECT_ALLOW, True
        return statement.effect, False


def _is_over(item: Any, time_ns: int) -> bool:
    """Whether the expiration time of a policy or statement, if it has one, is before that."""
    if not item.HasField("expiration_time"):
        return False
    expires = item.expiration_time
    return bool(expires.seconds * 1_000_000_000 + expires.nanos < time_ns)


def _go_time(time_ns: int) -> str:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
