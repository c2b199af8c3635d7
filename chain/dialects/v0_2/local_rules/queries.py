"""abci_query of a v0.2 chain: the methods of its storage, sp and payment modules (protocol 05)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, parse_address
from greenray.chain.dialects.v0_2.local_rules import group_queries, payment_queries, permission
from greenray.chain.dialects.v0_2.local_rules.faults import root_text
from greenray.chain.dialects.v0_2.local_rules.payment_queries import decimal_wire
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
    number_key,
)
from greenray.chain.go_integers import go_integer
from greenray.chain.local.ledger.context import Rules
from greenray.chain.local.ledger.faults import SDK_TEXTS
from greenray.chain.local.ledger.local_dialect import QueryRule
from greenray.chain.local.ledger.reading import (
    DEFAULT_LIST_LIMIT,
    INVALID_ARGUMENT,
    UNKNOWN,
    StateAt,
    check_limit,
    check_place,
    fail,
    queried_address,
)
from greenray.chain.proto_json import Effect


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
        secondary_sp_store_price_ratio=decimal_wire(params.secondary_sp_store_price_ratio),
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
    check_limit(request.pagination)
    values, page = state.page(BUCKET, b"", request.pagination)
    return wire.storage.QueryListBucketsResponse(
        bucket_infos=[wire.storage.BucketInfo.FromString(value) for value in values],
        pagination=page,
    )


def _list_objects(request: Any, state: StateAt, rules: Rules) -> Any:
    check_limit(request.pagination)
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


def _id_key(text: str, kind: str) -> bytes:
    number = go_integer(text)
    if number is None or not 0 <= number < 2**256:
        fail(INVALID_ARGUMENT, f"invalid {kind} id", prefixed=True)
    return number_key(number)


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
    "HeadGroup": (wire.storage.QueryHeadGroupRequest, group_queries.head_group),
    "ListGroup": (wire.storage.QueryListGroupRequest, group_queries.list_group),
    "HeadGroupMember": (wire.storage.QueryHeadGroupMemberRequest, group_queries.head_group_member),
    "QueryPolicyForAccount": (
        wire.storage.QueryPolicyForAccountRequest,
        group_queries.policy_for_account,
    ),
    "QueryPolicyForGroup": (
        wire.storage.QueryPolicyForGroupRequest,
        group_queries.policy_for_group,
    ),
    "QueryPolicyById": (wire.storage.QueryPolicyByIdRequest, group_queries.policy_by_id),
}
_PERMISSION = {
    "Params": (wire.permission.QueryParamsRequest, group_queries.permission_params),
}
_SP = {
    "Params": (wire.sp.QueryParamsRequest, _sp_params),
    "StorageProviders": (wire.sp.QueryStorageProvidersRequest, _storage_providers),
    "StorageProvider": (wire.sp.QueryStorageProviderRequest, _storage_provider),
    "QueryGetSpStoragePriceByTime": (
        wire.sp.QueryGetSpStoragePriceByTimeRequest,
        payment_queries.sp_storage_price,
    ),
    "QueryGetSecondarySpStorePriceByTime": (
        wire.sp.QueryGetSecondarySpStorePriceByTimeRequest,
        payment_queries.secondary_store_price,
    ),
}
_PAYMENT = {
    "Params": (wire.payment.QueryParamsRequest, payment_queries.params),
    "StreamRecord": (wire.payment.QueryGetStreamRecordRequest, payment_queries.stream_record),
    "PaymentAccount": (
        wire.payment.QueryGetPaymentAccountRequest,
        payment_queries.payment_account,
    ),
    "PaymentAccountCount": (
        wire.payment.QueryGetPaymentAccountCountRequest,
        payment_queries.payment_account_count,
    ),
    "GetPaymentAccountsByOwner": (
        wire.payment.QueryGetPaymentAccountsByOwnerRequest,
        payment_queries.payment_accounts_by_owner,
    ),
    "DynamicBalance": (
        wire.payment.QueryDynamicBalanceRequest,
        payment_queries.dynamic_balance,
    ),
}

QUERIES: Mapping[str, QueryRule] = MappingProxyType(
    {
        f"/greenfield.{module}.Query/{name}": QueryRule(*rule)
        for module, rules in (
            ("storage", _STORAGE),
            ("permission", _PERMISSION),
            ("sp", _SP),
            ("payment", _PAYMENT),
        )
        for name, rule in rules.items()
    }
)
