"""Chain state of v0.2 between protobuf and ``greenray.protocol.objects`` (protocol 05 §2, §3).

Decoding refuses what it cannot represent (an enum number or an id that the dialect does not know)
with InvalidInput: a guess about chain state would end in a wrong signature.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeVar

from greenray.chain import wire
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import (
    BucketInfo,
    BucketStatus,
    ObjectInfo,
    ObjectStatus,
    ProviderStatus,
    RedundancyType,
    SourceType,
    StorageParams,
    StorageProvider,
    Visibility,
)

_E = TypeVar("_E", bound=IntEnum)

MAX_UINT_DIGITS = 78
"""A Uint has at most 256 bits."""


def enum_of(enum_type: type[_E], number: int) -> _E:
    """Raises InvalidInput for a number that the enum does not have."""
    try:
        return enum_type(number)
    except ValueError as error:
        raise InvalidInput(f"{number} is not a {enum_type.__name__}") from error


def uint_of(text: str) -> int:
    """The custom type Uint: decimal text; empty counts as 0, as gogoproto's zero value does."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= MAX_UINT_DIGITS):
        raise InvalidInput(f"{text[:80]!r} is not a decimal id")
    return int(text or "0")


def object_info_from_wire(message: Any) -> ObjectInfo:
    return ObjectInfo(
        owner=message.owner,
        bucket_name=message.bucket_name,
        object_name=message.object_name,
        id=uint_of(message.id),
        payload_size=message.payload_size,
        visibility=enum_of(Visibility, message.visibility),
        content_type=message.content_type,
        create_at=message.create_at,
        object_status=enum_of(ObjectStatus, message.object_status),
        redundancy_type=enum_of(RedundancyType, message.redundancy_type),
        source_type=enum_of(SourceType, message.source_type),
        checksums=tuple(message.checksums),
        secondary_sp_addresses=tuple(message.secondary_sp_addresses),
    )


def object_info_to_wire(info: ObjectInfo) -> Any:
    return wire.storage.ObjectInfo(
        owner=info.owner,
        bucket_name=info.bucket_name,
        object_name=info.object_name,
        id=str(info.id),
        payload_size=info.payload_size,
        visibility=info.visibility,
        content_type=info.content_type,
        create_at=info.create_at,
        object_status=info.object_status,
        redundancy_type=info.redundancy_type,
        source_type=info.source_type,
        checksums=info.checksums,
        secondary_sp_addresses=info.secondary_sp_addresses,
    )


def bucket_info_from_wire(message: Any) -> BucketInfo:
    return BucketInfo(
        owner=message.owner,
        bucket_name=message.bucket_name,
        visibility=enum_of(Visibility, message.visibility),
        id=uint_of(message.id),
        create_at=message.create_at,
        payment_address=message.payment_address,
        primary_sp_address=message.primary_sp_address,
        source_type=enum_of(SourceType, message.source_type),
        charged_read_quota=message.charged_read_quota,
        bucket_status=enum_of(BucketStatus, message.bucket_status),
    )


def storage_provider_from_wire(message: Any) -> StorageProvider:
    description = message.description
    return StorageProvider(
        operator_address=message.operator_address,
        funding_address=message.funding_address,
        seal_address=message.seal_address,
        approval_address=message.approval_address,
        gc_address=message.gc_address,
        total_deposit=message.total_deposit,
        status=enum_of(ProviderStatus, message.status),
        endpoint=message.endpoint,
        moniker=description.moniker,
        identity=description.identity,
        website=description.website,
        security_contact=description.security_contact,
        details=description.details,
    )


def storage_provider_to_wire(provider: StorageProvider) -> Any:
    return wire.sp.StorageProvider(
        operator_address=provider.operator_address,
        funding_address=provider.funding_address,
        seal_address=provider.seal_address,
        approval_address=provider.approval_address,
        gc_address=provider.gc_address,
        total_deposit=provider.total_deposit,
        status=provider.status,
        endpoint=provider.endpoint,
        description=wire.sp.Description(
            moniker=provider.moniker,
            identity=provider.identity,
            website=provider.website,
            security_contact=provider.security_contact,
            details=provider.details,
        ),
    )


def storage_params_from_wire(message: Any) -> StorageParams:
    versioned = message.versioned_params
    if not versioned.max_segment_size or not versioned.redundant_data_chunk_num:
        raise InvalidInput("the storage parameters have no segment size or no data chunks")
    return StorageParams(
        max_segment_size_bytes=versioned.max_segment_size,
        redundant_data_chunk_num=versioned.redundant_data_chunk_num,
        redundant_parity_chunk_num=versioned.redundant_parity_chunk_num,
        max_payload_size_bytes=message.max_payload_size,
        min_charge_size_bytes=versioned.min_charge_size,
    )
