"""What takes objects and buckets off the chain again: DeleteObject and DeleteBucket of who may, and
DiscontinueObject and DiscontinueBucket of the primary SP, after which the chain deletes by itself.

Corrected, because the recorded rules lose count: what is given back for a discontinued object
follows from the status that it had before, also when its owner or the end of its bucket is faster
than the confirm period; and a bucket with more objects than a block may delete stays in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import cleaning, payment, permission, records
from greenray.chain.dialects.v0_2.local_rules.faults import fault, storage
from greenray.chain.dialects.v0_2.local_rules.providers import get_provider_by_gc
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.genesis import GenesisProvider
from greenray.chain.proto_json import ResourceType
from greenray.protocol.objects import (
    ActionType,
    BucketStatus,
    ObjectStatus,
    ProviderStatus,
    SourceType,
)

_OBJECTS, _BUCKETS = b"objects", b"buckets"
"""Queues of what is discontinued, and counters of such requests."""
_STATUS = b"status"

# --- by who may ----------------------------------------------------------------------------------


def delete_object(context: Context, message: dialect.MsgDeleteObject) -> Any:
    """Raises ChainFault."""
    bucket = _bucket(context, message.bucket_name)
    info = records.get_object(context.state, message.bucket_name, message.object_name)
    if info is None:
        raise storage(1101)
    if info.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(1114)
    if info.object_status == ObjectStatus.OBJECT_STATUS_CREATED:
        raise storage(1113)
    operator = parse_address(message.operator)
    if not permission.is_allowed_on_object(
        context, bucket, info, operator, ActionType.ACTION_DELETE_OBJECT
    ):
        raise storage(
            1107,
            f"The operator({address_text(operator)}) has no DeleteObject permission of the"
            f" bucket({message.bucket_name}), object({message.object_name})",
        )
    _delete_object(context, address_text(operator), bucket, info)
    return wire.storage.MsgDeleteObjectResponse()


def delete_bucket(context: Context, message: dialect.MsgDeleteBucket) -> Any:
    """Raises ChainFault."""
    bucket = _bucket(context, message.bucket_name)
    if bucket.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(1114)
    operator = parse_address(message.operator)
    if not permission.is_allowed_in_bucket(
        context, bucket, operator, ActionType.ACTION_DELETE_BUCKET
    ):
        raise storage(
            1107,
            f"The operator({address_text(operator)}) has no DeleteBucket permission of the"
            f" bucket({message.bucket_name})",
        )
    if not records.is_empty_bucket(context.state, message.bucket_name):
        raise storage(1109)
    _delete_bucket(context, address_text(operator), bucket)
    return wire.storage.MsgDeleteBucketResponse()


# --- by the primary SP ---------------------------------------------------------------------------


def discontinue_object(context: Context, message: dialect.MsgDiscontinueObject) -> Any:
    """Raises ChainFault."""
    params = context.rules.params.storage
    bucket = _own_bucket(context, message.operator, message.bucket_name, "objects")
    count = _requests_in_window(context, _OBJECTS, message.operator)
    if count + len(message.object_ids) > params.discontinue_object_max:
        left = params.discontinue_object_max - count
        raise storage(3103, f"only {left} objects can be requested in this window")
    for object_id in message.object_ids:
        info = records.get_object_by_id(context.state, records.number_key(object_id))
        if info is None:
            raise storage(3101, f"object not found, id: {object_id}")
        if info.bucket_name != bucket.bucket_name:
            raise storage(3101, f"object {object_id} should in bucket: {bucket.bucket_name}")
        if info.object_status == ObjectStatus.OBJECT_STATUS_DISCONTINUED:
            raise storage(3101, f"object {object_id} should in created or sealed status")
        _put(context, _STATUS + records.number_key(object_id), info.object_status)
        info.object_status = ObjectStatus.OBJECT_STATUS_DISCONTINUED
        records.put_object(context.state, info)
    delete_at_s = _discontinue(context, _OBJECTS, message.object_ids)
    _count_requests(context, _OBJECTS, message.operator, count + len(message.object_ids))
    for object_id in message.object_ids:
        context.emit(
            typed_event(
                "greenfield.storage.EventDiscontinueObject",
                {
                    "bucket_name": bucket.bucket_name,
                    "object_id": str(object_id),
                    "reason": message.reason,
                    "delete_at": str(delete_at_s),
                },
            )
        )
    return wire.storage.MsgDiscontinueObjectResponse()


def discontinue_bucket(context: Context, message: dialect.MsgDiscontinueBucket) -> Any:
    """Raises ChainFault."""
    bucket = _own_bucket(context, message.operator, message.bucket_name, "bucket")
    count = _requests_in_window(context, _BUCKETS, message.operator)
    if count + 1 > context.rules.params.storage.discontinue_bucket_max:
        raise storage(3103, "no more buckets can be requested in this window")
    bucket.bucket_status = BucketStatus.BUCKET_STATUS_DISCONTINUED
    records.put_bucket(context.state, bucket)
    delete_at_s = _discontinue(context, _BUCKETS, [int(bucket.id)])
    _count_requests(context, _BUCKETS, message.operator, count + 1)
    context.emit(
        typed_event(
            "greenfield.storage.EventDiscontinueBucket",
            {
                "bucket_id": bucket.id,
                "bucket_name": bucket.bucket_name,
                "reason": message.reason,
                "delete_at": str(delete_at_s),
            },
        )
    )
    return wire.storage.MsgDiscontinueBucketResponse()


# --- by the chain itself -------------------------------------------------------------------------


def end_block(context: Context) -> None:
    """Delete what was discontinued and whose confirm period has ended, up to a block's measure."""
    left = context.rules.params.storage.discontinue_deletion_max
    for object_id in _take_due(context, _OBJECTS, left):
        info = records.get_object_by_id(context.state, records.number_key(object_id))
        left -= 1
        if info is not None:
            bucket = _bucket(context, info.bucket_name)
            _delete_object(context, bucket.primary_sp_address, bucket, info)
    for bucket_id in _take_due(context, _BUCKETS, left):
        left = _end_bucket(context, bucket_id, left)
    cleaning.end_block(context)


def _end_bucket(context: Context, bucket_id: int, left: int) -> int:
    """Delete a bucket with up to ``left`` of its objects; returns how many more may be deleted."""
    bucket = records.get_bucket_by_id(context.state, records.number_key(bucket_id))
    if bucket is None:
        return left
    for info in list(records.objects_of(context.state, bucket.bucket_name))[:left]:
        _delete_object(context, bucket.primary_sp_address, bucket, info)
        left -= 1
    if records.is_empty_bucket(context.state, bucket.bucket_name):
        _delete_bucket(context, bucket.primary_sp_address, bucket)
    else:
        _put(context, _BUCKETS, [[context.time_s, bucket_id], *_queue(context, _BUCKETS)])
    return left


# --- parts ---------------------------------------------------------------------------------------


def _bucket(context: Context, bucket_name: str) -> Any:
    bucket = records.get_bucket(context.state, bucket_name)
    if bucket is None:
        raise storage(1100)
    return bucket


def _own_bucket(context: Context, gc_address: str, bucket_name: str, what: str) -> Any:
    """The bucket, which the gc address must be that of the primary SP of."""
    provider = _provider_by_gc(context, gc_address)
    bucket = _bucket(context, bucket_name)
    if bucket.bucket_status == BucketStatus.BUCKET_STATUS_DISCONTINUED:
        raise storage(3106)
    if provider.operator_address != bucket.primary_sp_address:
        raise storage(1107, f"only primary sp is allowed to do discontinue {what}")
    return bucket


def _provider_by_gc(context: Context, gc_address: str) -> GenesisProvider:
    operator = parse_address(gc_address)
    provider = get_provider_by_gc(context.state, context.rules, operator)
    if provider is None:
        raise storage(1111, f"SP operator address: {address_text(operator)}")
    if provider.status != ProviderStatus.STATUS_IN_SERVICE:
        raise fault("sp", 2)
    return provider


def _delete_object(context: Context, operator: str, bucket: Any, info: Any) -> None:
    status = info.object_status
    if status == ObjectStatus.OBJECT_STATUS_DISCONTINUED:
        key = _STATUS + records.number_key(int(info.id))
        status = _get(context, key)
        context.state.put(records.DISCONTINUED, key, None)
    if status == ObjectStatus.OBJECT_STATUS_CREATED:
        payment.unlock_store_fee(context, bucket, info)
    else:
        payment.stop_store_fee(context, bucket, info)
    records.put_bucket(context.state, bucket)
    records.delete_object(context.state, info)
    cleaning.leave_behind(context, ResourceType.RESOURCE_TYPE_OBJECT, info.id)
    context.emit(
        typed_event(
            "greenfield.storage.EventDeleteObject",
            {
                "operator": operator,
                "bucket_name": info.bucket_name,
                "object_name": info.object_name,
                "object_id": info.id,
                "primary_sp_address": bucket.primary_sp_address,
                "secondary_sp_addresses": list(info.secondary_sp_addresses),
            },
        )
    )


def _delete_bucket(context: Context, operator: str, bucket: Any) -> None:
    payment.stop_read_quota(context, bucket)
    records.delete_bucket(context.state, bucket)
    cleaning.leave_behind(context, ResourceType.RESOURCE_TYPE_BUCKET, bucket.id)
    context.emit(
        typed_event(
            "greenfield.storage.EventDeleteBucket",
            {
                "operator": operator,
                "owner": bucket.owner,
                "bucket_name": bucket.bucket_name,
                "bucket_id": bucket.id,
                "primary_sp_address": bucket.primary_sp_address,
            },
        )
    )


def _discontinue(context: Context, queue: bytes, ids: Sequence[int]) -> int:
    """Queue the ids; returns when they will be deleted (unix seconds)."""
    delete_at_s = context.time_s + context.rules.params.storage.discontinue_confirm_period
    _put(context, queue, [*_queue(context, queue), *([delete_at_s, one] for one in ids)])
    return delete_at_s


def _queue(context: Context, queue: bytes) -> list[list[int]]:
    """(when it is due in unix seconds, id) pairs, the first due first."""
    entries: list[list[int]] = _get(context, queue) or []
    return entries


def _take_due(context: Context, queue: bytes, limit: int) -> list[int]:
    entries = _queue(context, queue)
    due = [one for at_s, one in entries if at_s <= context.time_s][:limit]
    if due:
        _put(context, queue, entries[len(due) :])
    return due


def _requests_in_window(context: Context, queue: bytes, gc_address: str) -> int:
    window, count = _get(context, _counter(queue, gc_address)) or (0, 0)
    return int(count) if window == _window(context) else 0


def _count_requests(context: Context, queue: bytes, gc_address: str, count: int) -> None:
    _put(context, _counter(queue, gc_address), [_window(context), count])


def _counter(queue: bytes, gc_address: str) -> bytes:
    return queue + parse_address(gc_address)


def _window(context: Context) -> int:
    """Which counting window it is; with blocks of its first height the counters begin anew."""
    blocks = context.rules.params.storage.discontinue_counting_window
    return context.height // blocks if blocks else 0


def _get(context: Context, key: bytes) -> Any:
    value = context.state.get(records.DISCONTINUED, key)
    return None if value is None else json.loads(value)


def _put(context: Context, key: bytes, value: Any) -> None:
    context.state.put(records.DISCONTINUED, key, json.dumps(value).encode())
