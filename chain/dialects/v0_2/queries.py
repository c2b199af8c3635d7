"""Questions to a v0.2 chain about storage (protocol 05 §2, §3): path, request bytes, decoder."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.dialect import Page, Query
from greenray.chain.dialects.v0_2.state import (
    bucket_info_from_wire,
    object_info_from_wire,
    storage_params_from_wire,
    storage_provider_from_wire,
)
from greenray.chain.proto_json import Effect
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import (
    ActionType,
    BucketInfo,
    ObjectInfo,
    StorageParams,
    StorageProvider,
)


def storage_params() -> Query[StorageParams]:
    def decode(data: bytes) -> StorageParams:
        answer = wire.decode(wire.storage.QueryParamsResponse, data)
        return storage_params_from_wire(_present(answer, "params"))

    return Query("/greenfield.storage.Query/Params", b"", decode)


def storage_providers(page_key: bytes, limit: int) -> Query[Page[StorageProvider]]:
    """One page; ``page_key`` empty for the first."""
    request = wire.sp.QueryStorageProvidersRequest(
        pagination=wire.query.PageRequest(key=page_key, limit=limit)
    )

    def decode(data: bytes) -> Page[StorageProvider]:
        answer = wire.decode(wire.sp.QueryStorageProvidersResponse, data)
        providers = tuple(storage_provider_from_wire(sp) for sp in answer.sps)
        return Page(providers, answer.pagination.next_key)

    return Query("/greenfield.sp.Query/StorageProviders", request.SerializeToString(), decode)


def head_bucket(bucket_name: str) -> Query[BucketInfo]:
    request = wire.storage.QueryHeadBucketRequest(bucket_name=bucket_name)

    def decode(data: bytes) -> BucketInfo:
        answer = wire.decode(wire.storage.QueryHeadBucketResponse, data)
        return bucket_info_from_wire(_present(answer, "bucket_info"))

    return Query("/greenfield.storage.Query/HeadBucket", request.SerializeToString(), decode)


def head_object(bucket_name: str, object_name: str) -> Query[ObjectInfo]:
    request = wire.storage.QueryHeadObjectRequest(bucket_name=bucket_name, object_name=object_name)
    path = "/greenfield.storage.Query/HeadObject"
    return Query(path, request.SerializeToString(), _decode_object)


def head_object_by_id(object_id: int) -> Query[ObjectInfo]:
    request = wire.storage.QueryHeadObjectByIdRequest(object_id=str(object_id))
    path = "/greenfield.storage.Query/HeadObjectById"
    return Query(path, request.SerializeToString(), _decode_object)


def verify_permission(
    operator: str, bucket_name: str, object_name: str, action: ActionType
) -> Query[bool]:
    """Whether the effect is ALLOW."""
    request = wire.storage.QueryVerifyPermissionRequest(
        operator=operator, bucket_name=bucket_name, object_name=object_name, action_type=action
    )

    def decode(data: bytes) -> bool:
        answer = wire.decode(wire.storage.QueryVerifyPermissionResponse, data)
        return bool(answer.effect == Effect.EFFECT_ALLOW)

    return Query("/greenfield.storage.Query/VerifyPermission", request.SerializeToString(), decode)


def list_buckets(page_key: bytes, limit: int) -> Query[Page[BucketInfo]]:
    """One page; ``page_key`` empty for the first."""
    request = wire.storage.QueryListBucketsRequest(
        pagination=wire.query.PageRequest(key=page_key, limit=limit)
    )

    def decode(data: bytes) -> Page[BucketInfo]:
        answer = wire.decode(wire.storage.QueryListBucketsResponse, data)
        buckets = tuple(map(bucket_info_from_wire, answer.bucket_infos))
        return Page(buckets, answer.pagination.next_key)

    return Query("/greenfield.storage.Query/ListBuckets", request.SerializeToString(), decode)


def list_objects(bucket_name: str, page_key: bytes, limit: int) -> Query[Page[ObjectInfo]]:
    """As ``list_buckets``."""
    request = wire.storage.QueryListObjectsRequest(
        pagination=wire.query.PageRequest(key=page_key, limit=limit), bucket_name=bucket_name
    )

    def decode(data: bytes) -> Page[ObjectInfo]:
        answer = wire.decode(wire.storage.QueryListObjectsResponse, data)
        objects = tuple(map(object_info_from_wire, answer.object_infos))
        return Page(objects, answer.pagination.next_key)

    return Query("/greenfield.storage.Query/ListObjects", request.SerializeToString(), decode)


def _decode_object(data: bytes) -> ObjectInfo:
    answer = wire.decode(wire.storage.QueryHeadObjectResponse, data)
    return object_info_from_wire(_present(answer, "object_info"))


def _present(answer: Any, field: str) -> Any:
    if not answer.HasField(field):
        raise InvalidInput(f"the answer has no {field}", answer.DESCRIPTOR.name)
    return getattr(answer, field)
