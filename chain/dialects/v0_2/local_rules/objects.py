"""CreateObject, SealObject, RejectSealObject and CancelCreateObject (protocol 04 §10.2-10.5),
CopyObject and UpdateObjectInfo."""

from __future__ import annotations

import base64
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.crypto import keccak256
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import payment, permission
from greenray.chain.dialects.v0_2.local_rules.buckets import check_approval, provider_in_service
from greenray.chain.dialects.v0_2.local_rules.faults import fault, greenfiled, storage
from greenray.chain.dialects.v0_2.local_rules.providers import get_provider, get_provider_by_seal
from greenray.chain.dialects.v0_2.local_rules.records import (
    delete_object,
    get_bucket,
    get_object,
    put_bucket,
    put_object,
)
from greenray.chain.dialects.v0_2.local_rules.signatures import check_approval_signature
from greenray.chain.local.ledger.accounts import next_number
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.faults import NilPointer
from greenray.chain.local.ledger.genesis import GenesisProvider
from greenray.protocol.integrity import secondary_sign_bytes
from greenray.protocol.objects import (
    ActionType,
    BucketStatus,
    ObjectStatus,
    ProviderStatus,
    RedundancyType,
    SourceType,
    Visibility,
)


def create_object(context: Context, message: dialect.MsgCreateObject) -> Any:
    """Raises ChainFault."""
    params = context.rules.params.storage
    creator = parse_address(message.creator)
    if len(message.expect_checksums) != 1 + params.secondary_count:
        # The node says 1 + k and needs 1 + k + m.
        raise greenfiled(
            1003,
            f"ExpectChecksums missing, expect: {1 + params.redundant_data_chunk_num},"
            f" actual: {len(message.expect_checksums)}",
        )
    if message.payload_size > params.max_payload_size:
        raise storage(1115)
    bucket = _bucket(context, message.bucket_name)
    if bucket.bucket_status == BucketStatus.BUCKET_STATUS_DISCONTINUED:
        raise storage(3104)
    if not permission.may_create(context, bucket, creator, message.payload_size):
        raise storage(
            1107,
            f"The operator({address_text(creator)}) has no CreateObject permission"
            f" of the bucket({message.bucket_name})",
        )
    secondaries = _expected_secondaries(context, message)
    check_approval(context, message, parse_address(bucket.primary_sp_address))
    if get_object(context.state, message.bucket_name, message.object_name) is not None:
        raise storage(1105)
    if creator != parse_address(bucket.owner):
        # The node remembers the creator there, for CancelCreateObject.
        secondaries.append(address_text(creator))
    info = wire.storage.ObjectInfo(
        owner=bucket.owner,
        bucket_name=message.bucket_name,
        object_name=message.object_name,
        payload_size=message.payload_size,
        visibility=message.visibility,
        content_type=message.content_type,
        create_at=context.time_s,
        redundancy_type=message.redundancy_type,
        source_type=SourceType.SOURCE_TYPE_ORIGIN,
        checksums=message.expect_checksums,
        secondary_sp_addresses=secondaries,
    )
    _pay_for_new(context, bucket, info)
    info.id = str(next_number(context.state, "object", 1))
    put_object(context.state, info)
    _emit_create(context, creator, bucket, info)
    return wire.storage.MsgCreateObjectResponse(object_id=info.id)


def seal_object(context: Context, message: dialect.MsgSealObject) -> Any:
    """Raises ChainFault."""
    n = context.rules.params.storage.secondary_count
    addresses, signatures = message.secondary_sp_addresses, message.secondary_sp_signatures
    if len(addresses) != n:
        raise greenfiled(1006, f"Missing SP expect ({n}), but ({len(addresses)})")
    if len(signatures) != n:
        raise greenfiled(1005, f"Missing SP signatures, expect ({n}), but ({len(signatures)})")
    bucket = _bucket(context, message.bucket_name)
    _check_primary(context, message.operator, bucket, "SealObject")
    info = _object(context, message.bucket_name, message.object_name)
    if info.object_status != ObjectStatus.OBJECT_STATUS_CREATED:
        raise storage(1108)
    operators = [address_text(parse_address(address)) for address in addresses]
    for index, (operator, signature) in enumerate(zip(operators, signatures, strict=True)):
        provider = provider_in_service(context, parse_address(operator))
        document = secondary_sign_bytes(operator, int(info.id), info.checksums[index + 1])
        check_approval_signature(keccak256(document), signature, provider.approval_address)
    del info.secondary_sp_addresses[:]
    info.secondary_sp_addresses.extend(operators)
    payment.unlock_and_charge_store_fee(context, bucket, info)
    info.object_status = ObjectStatus.OBJECT_STATUS_SEALED
    put_bucket(context.state, bucket)
    put_object(context.state, info)
    context.emit(
        typed_event(
            "greenfield.storage.EventSealObject",
            {
                "operator": address_text(parse_address(message.operator)),
                "bucket_name": info.bucket_name,
                "object_name": info.object_name,
                "object_id": info.id,
                "status": ObjectStatus(info.object_status).name,
                "secondary_sp_addresses": operators,
            },
        )
    )
    return wire.storage.MsgSealObjectResponse()


def reject_seal_object(context: Context, message: dialect.MsgRejectSealObject) -> Any:
    """Corrected by default; a genesis flag gives the recorded, inverted test (04 §10.4).

    Raises:
        ChainFault: a refusal.
        NilPointer: with the flag, for an account that is no seal address.
    """
    bucket = _bucket(context, message.bucket_name)
    info = _created_object(context, message.bucket_name, message.object_name)
    if context.rules.params.recorded_reject_seal:
        operator = parse_address(message.operator)
        if get_provider_by_seal(context.state, context.rules, operator) is None:
            raise NilPointer
        raise storage(1111, f"SP seal address: {address_text(operator)}")
    _check_primary(context, message.operator, bucket, "RejectSealObject", in_service=True)
    payment.unlock_store_fee(context, bucket, info)
    delete_object(context.state, info)
    context.emit(
        typed_event(
            "greenfield.storage.EventRejectSealObject",
            {
                "operator": address_text(parse_address(message.operator)),
                "bucket_name": info.bucket_name,
                "object_name": info.object_name,
                "object_id": info.id,
            },
        )
    )
    return wire.storage.MsgRejectSealObjectResponse()


def cancel_create_object(context: Context, message: dialect.MsgCancelCreateObject) -> Any:
    """By the owner, or by the creator whom the object remembers. Raises ChainFault."""
    bucket = _bucket(context, message.bucket_name)
    info = _created_object(context, message.bucket_name, message.object_name)
    if info.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(1114)
    operator = parse_address(message.operator)
    creators = [parse_address(address) for address in info.secondary_sp_addresses[-1:]]
    if operator not in (parse_address(info.owner), *creators):
        raise storage(1107, "Only allowed owner/creator to do cancel create object")
    payment.unlock_store_fee(context, bucket, info)
    delete_object(context.state, info)
    context.emit(
        typed_event(
            "greenfield.storage.EventCancelCreateObject",
            {
                "operator": address_text(operator),
                "bucket_name": info.bucket_name,
                "object_name": info.object_name,
                "primary_sp_address": bucket.primary_sp_address,
                "object_id": info.id,
            },
        )
    )
    return wire.storage.MsgCancelCreateObjectResponse()


def copy_object(context: Context, message: dialect.MsgCopyObject) -> Any:
    """Raises ChainFault."""
    state, operator = context.state, parse_address(message.operator)
    src_bucket = get_bucket(state, message.src_bucket_name)
    if src_bucket is None:
        raise storage(1100, f"src bucket name ({message.src_bucket_name})")
    bucket = get_bucket(state, message.dst_bucket_name)
    if bucket is None:
        raise storage(1100, f"dst bucket name ({message.dst_bucket_name})")
    source = get_object(state, message.src_bucket_name, message.src_object_name)
    if source is None:
        raise storage(1101, f"src object name ({message.src_object_name})")
    if source.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(1114)
    if not permission.is_allowed_on_object(
        context, src_bucket, source, operator, ActionType.ACTION_COPY_OBJECT
    ):
        raise storage(
            1107,
            f"The operator({address_text(operator)}) has no CopyObject permission of the"
            f" bucket({source.bucket_name}), object({source.object_name})",
        )
    check_approval(context, message, parse_address(bucket.primary_sp_address))
    if get_object(state, message.dst_bucket_name, message.dst_object_name) is not None:
        # v0.2.0 does not look, and loses the object that has the name.
        raise storage(1105)
    info = wire.storage.ObjectInfo(
        owner=address_text(operator),
        bucket_name=bucket.bucket_name,
        object_name=message.dst_object_name,
        id=str(next_number(state, "object", 1)),
        payload_size=source.payload_size,
        visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
        content_type=source.content_type,
        create_at=context.time_s,
        redundancy_type=source.redundancy_type,
        source_type=SourceType.SOURCE_TYPE_ORIGIN,
        checksums=source.checksums,
    )
    _pay_for_new(context, bucket, info)
    put_object(state, info)
    context.emit(
        typed_event(
            "greenfield.storage.EventCopyObject",
            {
                "operator": address_text(operator),
                "src_bucket_name": source.bucket_name,
                "src_object_name": source.object_name,
                "dst_bucket_name": info.bucket_name,
                "dst_object_name": info.object_name,
                "src_object_id": source.id,
                "dst_object_id": info.id,
            },
        )
    )
    return wire.storage.MsgCopyObjectResponse(object_id=info.id)


def update_object_info(context: Context, message: dialect.MsgUpdateObjectInfo) -> Any:
    """Raises ChainFault."""
    bucket = _bucket(context, message.bucket_name)
    info = _object(context, message.bucket_name, message.object_name)
    operator = parse_address(message.operator)
    if not permission.is_allowed_on_object(
        context, bucket, info, operator, ActionType.ACTION_UPDATE_OBJECT_INFO
    ):
        raise storage(
            1107,
            f"The operator({address_text(operator)}) has no UpdateObjectInfo permission of the"
            f" bucket({message.bucket_name}), object({message.object_name})",
        )
    info.visibility = message.visibility
    put_object(context.state, info)
    context.emit(
        typed_event(
            "greenfield.storage.EventUpdateObjectInfo",
            {
                "operator": address_text(operator),
                "bucket_name": message.bucket_name,
                "object_name": message.object_name,
                # The node leaves it empty.
                "object_id": "0",
                "visibility": Visibility(info.visibility).name,
            },
        )
    )
    return wire.storage.MsgUpdateObjectInfoResponse()


def _pay_for_new(context: Context, bucket: Any, info: Any) -> None:
    """An object without payload is sealed at once and charged for; the fee of another one is
    locked."""
    if info.payload_size == 0:
        info.object_status = ObjectStatus.OBJECT_STATUS_SEALED
        payment.charge_store_fee(context, bucket, info)
        put_bucket(context.state, bucket)
    else:
        payment.lock_store_fee(context, bucket, info)


def _bucket(context: Context, bucket_name: str) -> Any:
    bucket = get_bucket(context.state, bucket_name)
    if bucket is None:
        raise storage(1100)
    return bucket


def _object(context: Context, bucket_name: str, object_name: str) -> Any:
    info = get_object(context.state, bucket_name, object_name)
    if info is None:
        raise storage(1101)
    return info


def _created_object(context: Context, bucket_name: str, object_name: str) -> Any:
    info = _object(context, bucket_name, object_name)
    if info.object_status != ObjectStatus.OBJECT_STATUS_CREATED:
        raise storage(1112, f"Object status: {ObjectStatus(info.object_status).name}")
    return info


def _check_primary(
    context: Context, seal_address: str, bucket: Any, action: str, *, in_service: bool = False
) -> GenesisProvider:
    """The seal address must be that of the bucket's primary SP."""
    operator = parse_address(seal_address)
    provider = get_provider_by_seal(context.state, context.rules, operator)
    if provider is None:
        raise storage(1111, f"SP seal address: {address_text(operator)}")
    if in_service and provider.status != ProviderStatus.STATUS_IN_SERVICE:
        raise fault("sp", 2)
    if provider.operator_address != bucket.primary_sp_address:
        raise storage(1107, f"Only SP's seal address is allowed to {action}")
    return provider


def _expected_secondaries(context: Context, message: dialect.MsgCreateObject) -> list[str]:
    operators = []
    for text in message.expect_secondary_sp_addresses:
        operator = parse_address(text)
        provider = get_provider(context.state, context.rules, operator)
        if provider is None:
            raise fault("sp", 1)
        if provider.status != ProviderStatus.STATUS_IN_SERVICE:
            raise fault("sp", 2)
        operators.append(address_text(operator))
    return operators


def _emit_create(context: Context, creator: bytes, bucket: Any, info: Any) -> None:
    context.emit(
        typed_event(
            "greenfield.storage.EventCreateObject",
            {
                "creator": address_text(creator),
                "owner": info.owner,
                "bucket_name": info.bucket_name,
                "object_name": info.object_name,
                "bucket_id": bucket.id,
                "object_id": info.id,
                "primary_sp_address": bucket.primary_sp_address,
                "payload_size": str(info.payload_size),
                "visibility": Visibility(info.visibility).name,
                "content_type": info.content_type,
                "create_at": str(info.create_at),
                "status": ObjectStatus(info.object_status).name,
                "redundancy_type": RedundancyType(info.redundancy_type).name,
                "source_type": SourceType(info.source_type).name,
                "checksums": [base64.b64encode(c).decode() for c in info.checksums],
            },
        )
    )
