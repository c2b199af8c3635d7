"""MirrorBucket, MirrorObject and MirrorGroup: refused, as by a node that has no bridge.

The checks before are the node's. What would send a package to the other chain says that its channel
is closed.
"""

from __future__ import annotations

from typing import Any, NoReturn

from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import records
from greenray.chain.dialects.v0_2.local_rules.faults import storage, unregistered
from greenray.chain.local.ledger.context import Context
from greenray.protocol.objects import ObjectStatus, SourceType

_BUCKETS, _OBJECTS, _GROUPS = 4, 5, 6
"""Channels."""


def mirror_bucket(context: Context, message: dialect.MsgMirrorBucket) -> NoReturn:
    """Raises ChainFault."""
    bucket = records.get_bucket_by_id(context.state, records.number_key(message.id))
    if bucket is None:
        raise storage(1100)
    _check_source(bucket)
    _refuse(bucket, message.operator, _BUCKETS)


def mirror_object(context: Context, message: dialect.MsgMirrorObject) -> NoReturn:
    """Raises ChainFault."""
    info = records.get_object_by_id(context.state, records.number_key(message.id))
    if info is None:
        raise storage(1101)
    _check_source(info)
    if info.object_status != ObjectStatus.OBJECT_STATUS_SEALED:
        raise storage(1113)
    _refuse(info, message.operator, _OBJECTS)


def mirror_group(context: Context, message: dialect.MsgMirrorGroup) -> NoReturn:
    """Raises ChainFault."""
    group = records.get_group_by_id(context.state, records.number_key(message.id))
    if group is None:
        raise storage(1102)
    _check_source(group)
    _refuse(group, message.operator, _GROUPS)


def _check_source(resource: Any) -> None:
    if resource.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(3001)


def _refuse(resource: Any, operator: str, channel: int) -> NoReturn:
    if address_text(parse_address(operator)) != resource.owner:
        raise storage(1107)
    raise unregistered(f"channel {channel} is not allowed to write syn package")
