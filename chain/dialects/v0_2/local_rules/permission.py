"""Who may do what: visibility, ownership and policies (protocol 05 §2.4), and MsgPutPolicy.

Policies of accounts on buckets and objects; groups, expiry and size limits are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from greenray.chain import proto_json, wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.faults import greenfiled, storage
from greenray.chain.dialects.v0_2.local_rules.records import (
    POLICY,
    get_bucket,
    get_object,
    number_key,
)
from greenray.chain.dialects.v0_2.policies import parse_resource_name
from greenray.chain.dialects.v0_2.resource_patterns import matches
from greenray.chain.local.ledger.accounts import next_number
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.state import State
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.objects import ActionType, Visibility

_BUCKET, _OBJECT = b"b", b"o"
_RESOURCE_TYPES = {_BUCKET: "RESOURCE_TYPE_BUCKET", _OBJECT: "RESOURCE_TYPE_OBJECT"}
_PUBLIC_OBJECT_ACTIONS = frozenset(
    {
        ActionType.ACTION_GET_OBJECT,
        ActionType.ACTION_COPY_OBJECT,
        ActionType.ACTION_EXECUTE_OBJECT,
    }
)
_PUBLIC_BUCKET_ACTIONS = _PUBLIC_OBJECT_ACTIONS | {ActionType.ACTION_LIST_OBJECT}


@dataclass(frozen=True, slots=True)
class Policy:
    """``statements``: (effect, actions, resource patterns) triples."""

    id: int
    statements: tuple[tuple[int, tuple[int, ...], tuple[str, ...]], ...]


def is_allowed_in_bucket(state: State, bucket: Any, operator: bytes, action: int) -> bool:
    """The bucket rule; ``operator`` empty means anonymous."""
    public = bucket.visibility == Visibility.VISIBILITY_TYPE_PUBLIC_READ
    if public and action in _PUBLIC_BUCKET_ACTIONS:
        return True
    if not operator:
        return False
    if operator == parse_address(bucket.owner):
        return True
    policy = _get_policy(state, _BUCKET, bucket.id, operator)
    return _evaluate(policy, action, None) == Effect.EFFECT_ALLOW


def is_allowed_on_object(
    state: State, bucket: Any, info: Any, operator: bytes, action: int
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
    resource = f"grn:o::{info.bucket_name}/{info.object_name}"
    by_bucket = _evaluate(_get_policy(state, _BUCKET, bucket.id, operator), action, resource)
    if by_bucket == Effect.EFFECT_DENY:
        return False
    by_object = _evaluate(_get_policy(state, _OBJECT, info.id, operator), action, None)
    if by_object == Effect.EFFECT_DENY:
        return False
    return Effect.EFFECT_ALLOW in (by_bucket, by_object)


def put_policy(context: Context, message: dialect.MsgPutPolicy) -> Any:
    """Raises ChainFault."""
    operator = parse_address(message.operator)
    kind, resource_id, owner = _resource(context.state, message.resource)
    if operator != owner:
        raise storage(
            1107,
            f"Only resource owner can put bucket policy, operator ({address_text(operator)}),"
            f" owner({address_text(owner)})",
        )
    principal = _principal(message)
    if principal == owner:
        raise greenfiled(1007, "principal account can not be the bucket owner")
    previous = _get_policy(context.state, kind, resource_id, principal)
    policy_id = next_number(context.state, "policy", 1) if previous is None else previous.id
    document = {
        "id": policy_id,
        "statements": [[s.effect, list(s.actions), list(s.resources)] for s in message.statements],
    }
    key = _policy_key(kind, resource_id, principal)
    context.state.put(POLICY, key, json.dumps(document).encode())
    content = proto_json.to_json(_to_wire(message))
    context.emit(
        typed_event(
            "greenfield.permission.EventPutPolicy",
            {
                "policy_id": str(policy_id),
                "principal": content["principal"],
                "resource_type": _RESOURCE_TYPES[kind],
                "resource_id": resource_id,
                "statements": content["statements"],
                "expiration_time": None,
            },
        )
    )
    return wire.storage.MsgPutPolicyResponse(policy_id=str(policy_id))


def _to_wire(message: dialect.MsgPutPolicy) -> Any:
    return wire.storage.MsgPutPolicy.FromString(dialect.encode_message(message))


def _principal(message: dialect.MsgPutPolicy) -> bytes:
    principal = message.principal
    if principal is None or principal.type != PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT:
        raise greenfiled(1009, "only accounts can be principals here")
    return parse_address(principal.value)


def _resource(state: State, name: str) -> tuple[bytes, str, bytes]:
    """(kind, id, owner) of a Greenfield resource name: ``grn:b::bucket`` or
    ``grn:o::bucket/object``."""
    kind, path = parse_resource_name(name)
    if kind == "bucket":
        bucket = get_bucket(state, path)
        if bucket is None:
            raise storage(1100, f"bucketName: {path}")
        return _BUCKET, bucket.id, parse_address(bucket.owner)
    bucket_name, _, object_name = path.partition("/")
    info = get_object(state, bucket_name, object_name)
    if info is None:
        raise storage(1101, f"BucketName: {bucket_name}, objectName: {object_name}")
    return _OBJECT, info.id, parse_address(info.owner)


def _policy_key(kind: bytes, resource_id: str, principal: bytes) -> bytes:
    return kind + number_key(int(resource_id)) + principal


def _get_policy(state: State, kind: bytes, resource_id: str, principal: bytes) -> Policy | None:
    value = state.get(POLICY, _policy_key(kind, resource_id, principal))
    if value is None:
        return None
    document = json.loads(value)
    return Policy(
        document["id"],
        tuple((effect, tuple(a), tuple(r)) for effect, a, r in document["statements"]),
    )


def _evaluate(policy: Policy | None, action: int, resource: str | None) -> int:
    """DENY wins over ALLOW; EFFECT_UNSPECIFIED when no statement speaks of the action."""
    allowed = False
    for effect, actions, patterns in policy.statements if policy else ():
        if action not in actions and ActionType.ACTION_TYPE_ALL not in actions:
            continue
        # A statement of a bucket speaks of objects only where it names them.
        if resource is not None and not any(matches(one, resource) for one in patterns):
            continue
        if effect == Effect.EFFECT_DENY:
            return Effect.EFFECT_DENY
        allowed = allowed or effect == Effect.EFFECT_ALLOW
    return Effect.EFFECT_ALLOW if allowed else Effect.EFFECT_UNSPECIFIED
