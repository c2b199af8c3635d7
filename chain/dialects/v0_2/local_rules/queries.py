"""abci_query of a v0.2 chain: the methods of its storage, sp and payment modules (protocol 05)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, parse_address
from greenray.chain.dialects.v0_2.local_rules import permission
from greenray.chain.dialects.v0_2.local_rules.faults import root_text
from greenray.chain.dialects.v0_2.local_rules.providers import (
    all_providers,
    get_provider,
    provider_to_wire,
)
from greenray.chain.dialects.v0_2.local_rules.records import (
    BUCKET,
    OBJECT,
    OBJECT_PLACE,
    bucket_key,
    get_bucket,
    get_bucket_by_id,
    get_object,
    get_object_by_id,
    get_stream,
    number_key,
)
from greenray.chain.local.ledger.context import Rules
from greenray.chain.local.ledger.faults import SDK_TEXTS
from greenray.chain.local.ledger.local_dialect import QueryRule
from greenray.chain.local.ledger.reading import (
    DEFAULT_LIST_LIMIT,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNKNOWN,
    StateAt,
    check_place,
    fail,
    go_integer,
    queried_address,
)
from greenray.chain.proto_json import Effect

MAX_LIST_LIMIT = 200


def _storage_params(request: Any, state: StateAt, rules: Rules) -> Any:
    params = rules.params.storage
    message = wire.storage.Params()
    for field in message.DESCRIPTOR.fields:
        if field.name != "versioned_params":
            setattr(message, field.name, getattr(params, field.name))
    for field in message.versioned_params.DESCRIPTOR.fields:
        setattr(message.versioned_params, field.name, getattr(params, field.name))
    return wire.storage.QueryParamsResponse(params=message)


def _sp_params(request: Any, state: StateAt, rules: Rules) -> Any:
    params = rules.params
    message = wire.sp.Params(
        deposit_denom=params.deposit_denom,
        min_deposit=str(params.min_deposit),
        secondary_sp_store_price_ratio=_decimal_wire(params.secondary_sp_store_price_ratio),
    )
    return wire.sp.QueryParamsResponse(params=message)


def _storage_providers(request: Any, state: StateAt, rules: Rules) -> Any:
    page = request.pagination
    check_place(page)
    limit = page.limit or DEFAULT_LIST_LIMIT
    items = list(all_providers(state, rules).items())
    if page.reverse:
        items.reverse()
    first = page.offset
    if page.key:
        before = [key > page.key if page.reverse else key < page.key for key, _ in items]
        first = sum(before)
    response = wire.sp.QueryStorageProvidersResponse()
    response.sps.extend(provider_to_wire(p) for _, p in items[first : first + limit])
    response.pagination.SetInParent()
    if first + limit < len(items):
        response.pagination.next_key = items[first + limit][0]
    if not page.key and (page.count_total or not page.limit):
        response.pagination.total = len(items)
    return response


def _storage_provider(request: Any, state: StateAt, rules: Rules) -> Any:
    provider = get_provider(state, rules, queried_address(request.spAddress))
    if provider is None:
        fail(UNKNOWN, root_text("sp", 1))
    return wire.sp.QueryStorageProviderResponse(storageProvider=provider_to_wire(provider))


def _head_bucket(request: Any, state: StateAt, rules: Rules) -> Any:
    return _bucket_response(get_bucket(state, request.bucket_name))


def _head_bucket_by_id(request: Any, state: StateAt, rules: Rules) -> Any:
    return _bucket_response(get_bucket_by_id(state, _id_key(request.bucket_id, "bucket")))


def _bucket_response(bucket: Any | None) -> Any:
    if bucket is None:
        fail(UNKNOWN, root_text("storage", 1100))
    return wire.storage.QueryHeadBucketResponse(bucket_info=bucket)


def _head_object(request: Any, state: StateAt, rules: Rules) -> Any:
    return _object_response(get_object(state, request.bucket_name, request.object_name))


def _head_object_by_id(request: Any, state: StateAt, rules: Rules) -> Any:
    return _object_response(get_object_by_id(state, _id_key(request.object_id, "object")))


def _object_response(info: Any | None) -> Any:
    if info is None:
        fail(UNKNOWN, root_text("storage", 1101))
    return wire.storage.QueryHeadObjectResponse(object_info=info)


def _list_buckets(request: Any, state: StateAt, rules: Rules) -> Any:
    _check_limit(request.pagination)
    values, page = state.page(BUCKET, b"", request.pagination)
    return wire.storage.QueryListBucketsResponse(
        bucket_infos=[wire.storage.BucketInfo.FromString(value) for value in values],
        pagination=page,
    )


def _list_objects(request: Any, state: StateAt, rules: Rules) -> Any:
    _check_limit(request.pagination)
    keys, page = state.page(OBJECT_PLACE, bucket_key(request.bucket_name), request.pagination)
    values = [state.get(OBJECT, key) for key in keys]
    return wire.storage.QueryListObjectsResponse(
        object_infos=[wire.storage.ObjectInfo.FromString(v) for v in values if v is not None],
        pagination=page,
    )


def _list_objects_by_bucket_id(request: Any, state: StateAt, rules: Rules) -> Any:
    bucket = get_bucket_by_id(state, _id_key(request.bucket_id, "bucket"))
    if bucket is None:
        fail(UNKNOWN, root_text("storage", 1100))
    by_name = wire.storage.QueryListObjectsRequest(
        pagination=request.pagination, bucket_name=bucket.bucket_name
    )
    return _list_objects(by_name, state, rules)


def _verify_permission(request: Any, state: StateAt, rules: Rules) -> Any:
    operator = b""
    if request.operator:
        try:
            operator = parse_address(request.operator)
        except InvalidAddress as error:
            fail(UNKNOWN, f"invalid operator address ({error}): {SDK_TEXTS[7]}")
    if not request.bucket_name:
        fail(UNKNOWN, "No bucket specified: Invalid parameter")
    bucket = get_bucket(state, request.bucket_name)
    if bucket is None:
        fail(UNKNOWN, root_text("storage", 1100))
    if not request.object_name:
        allowed = permission.is_allowed_in_bucket(state, bucket, operator, request.action_type)
    else:
        info = get_object(state, request.bucket_name, request.object_name)
        if info is None:
            fail(UNKNOWN, root_text("storage", 1101))
        allowed = permission.is_allowed_on_object(
            state, bucket, info, operator, request.action_type
        )
    return wire.storage.QueryVerifyPermissionResponse(
        effect=Effect.EFFECT_ALLOW if allowed else Effect.EFFECT_DENY
    )


def _stream_record(request: Any, state: StateAt, rules: Rules) -> Any:
    try:
        address = parse_address(request.account)
    except InvalidAddress:
        fail(INVALID_ARGUMENT, "invalid account", prefixed=True)
    record = get_stream(state, address)
    if record is None:
        fail(NOT_FOUND, "not found", prefixed=True)
    return wire.payment.QueryGetStreamRecordResponse(stream_record=record)


def _id_key(text: str, kind: str) -> bytes:
    number = go_integer(text)
    if number is None or not 0 <= number < 2**256:
        fail(INVALID_ARGUMENT, f"invalid {kind} id", prefixed=True)
    return number_key(number)


def _check_limit(page: Any) -> None:
    if page.limit > MAX_LIST_LIMIT:
        fail(INVALID_ARGUMENT, f"exceed pagination limit {MAX_LIST_LIMIT}", prefixed=True)


def _decimal_wire(text: str) -> str:
    """A Dec on the wire is its value times 10^18."""
    whole, _, fraction = text.partition(".")
    return str(int(whole + fraction.ljust(18, "0")[:18]))


_STORAGE = {
    "Params": (wire.storage.QueryParamsRequest, _storage_params),
    "HeadBucket": (wire.storage.QueryHeadBucketRequest, _head_bucket),
    "HeadBucketById": (wire.storage.QueryHeadBucketByIdRequest, _head_bucket_by_id),
    "HeadObject": (wire.storage.QueryHeadObjectRequest, _head_object),
    "HeadObjectById": (wire.storage.QueryHeadObjectByIdRequest, _head_object_by_id),
    "ListBuckets": (wire.storage.QueryListBucketsRequest, _list_buckets),
    "ListObjects": (wire.storage.QueryListObjectsRequest, _list_objects),
    "ListObjectsByBucketId": (
        wire.storage.QueryListObjectsByBucketIdRequest,
        _list_objects_by_bucket_id,
    ),
    "VerifyPermission": (wire.storage.QueryVerifyPermissionRequest, _verify_permission),
}
_SP = {
    "Params": (wire.sp.QueryParamsRequest, _sp_params),
    "StorageProviders": (wire.sp.QueryStorageProvidersRequest, _storage_providers),
    "StorageProvider": (wire.sp.QueryStorageProviderRequest, _storage_provider),
}
_PAYMENT = {"StreamRecord": (wire.payment.QueryGetStreamRecordRequest, _stream_record)}

QUERIES: Mapping[str, QueryRule] = MappingProxyType(
    {
        f"/greenfield.{module}.Query/{name}": QueryRule(*rule)
        for module, rules in (("storage", _STORAGE), ("sp", _SP), ("payment", _PAYMENT))
        for name, rule in rules.items()
    }
)
