"""MsgCreateBucket (protocol 04 §10.1), MsgUpdateBucketInfo, and what approvals have in common."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.crypto import keccak256
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import payment, permission
from greenray.chain.dialects.v0_2.local_rules.faults import fault, storage
from greenray.chain.dialects.v0_2.local_rules.providers import get_provider
from greenray.chain.dialects.v0_2.local_rules.records import get_bucket, put_bucket
from greenray.chain.dialects.v0_2.local_rules.signatures import check_approval_signature
from greenray.chain.local.ledger.accounts import next_number
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.genesis import GenesisProvider
from greenray.protocol.objects import (
    ActionType,
    BucketStatus,
    ProviderStatus,
    SourceType,
    Visibility,
)


def create_bucket(context: Context, message: dialect.MsgCreateBucket) -> Any:
    """Raises ChainFault."""
    creator = address_text(parse_address(message.creator))
    if get_bucket(context.state, message.bucket_name) is not None:
        raise storage(1104)
    payer = payment.payment_address(context, message.payment_address, parse_address(creator))
    check_approval(context, message, parse_address(message.primary_sp_address))
    bucket = wire.storage.BucketInfo(
        owner=creator,
        bucket_name=message.bucket_name,
        visibility=message.visibility,
        id=str(next_number(context.state, "bucket", 1)),
        source_type=SourceType.SOURCE_TYPE_ORIGIN,
        create_at=context.time_s,
        payment_address=payer,
        primary_sp_address=address_text(parse_address(message.primary_sp_address)),
        charged_read_quota=message.charged_read_quota,
        billing_info=wire.storage.BillingInfo(),
    )
    payment.charge_read_quota(context, bucket)
    put_bucket(context.state, bucket)
    context.emit(
        typed_event(
            "greenfield.storage.EventCreateBucket",
            {
                "owner": bucket.owner,
                "bucket_name": bucket.bucket_name,
                "visibility": Visibility(bucket.visibility).name,
                "create_at": str(bucket.create_at),
                "bucket_id": bucket.id,
                "source_type": SourceType(bucket.source_type).name,
                "charged_read_quota": str(bucket.charged_read_quota),
                "payment_address": bucket.payment_address,
                "primary_sp_address": bucket.primary_sp_address,
                "status": BucketStatus(bucket.bucket_status).name,
            },
        )
    )
    return wire.storage.MsgCreateBucketResponse(bucket_id=bucket.id)


def update_bucket_info(context: Context, message: dialect.MsgUpdateBucketInfo) -> Any:
    """Raises ChainFault."""
    bucket = get_bucket(context.state, message.bucket_name)
    if bucket is None:
        raise storage(1100)
    if bucket.source_type != SourceType.SOURCE_TYPE_ORIGIN:
        raise storage(1114)
    operator = parse_address(message.operator)
    action = ActionType.ACTION_UPDATE_BUCKET_INFO
    if not permission.is_allowed_in_bucket(context, bucket, operator, action):
        raise storage(
            1107,
            f"The operator({address_text(operator)}) has no UpdateBucketInfo permission"
            f" of the bucket({message.bucket_name})",
        )
    quota = bucket.charged_read_quota
    if message.charged_read_quota is not None:
        quota = message.charged_read_quota.value
    if message.visibility != Visibility.VISIBILITY_TYPE_UNSPECIFIED:
        bucket.visibility = message.visibility
    payer = bucket.payment_address
    if message.payment_address:
        owner = parse_address(bucket.owner)
        payer = payment.payment_address(context, message.payment_address, owner)
    payment.change_payment(context, bucket, payer, quota)
    put_bucket(context.state, bucket)
    context.emit(
        typed_event(
            "greenfield.storage.EventUpdateBucketInfo",
            {
                "operator": address_text(operator),
                "bucket_name": message.bucket_name,
                "bucket_id": bucket.id,
                # The node looks at them when they are changed already.
                "charged_read_quota_before": str(bucket.charged_read_quota),
                "charged_read_quota_after": str(quota),
                "payment_address_before": bucket.payment_address,
                "payment_address_after": payer,
                "visibility": Visibility(bucket.visibility).name,
            },
        )
    )
    return wire.storage.MsgUpdateBucketInfoResponse()


def check_approval(
    context: Context,
    message: dialect.MsgCreateBucket | dialect.MsgCreateObject | dialect.MsgCopyObject,
    primary_sp_address: bytes,
) -> None:
    """Expiry, then the primary SP, then its signature over the message (04 §2).

    Raises:
        ChainFault: storage/1116, storage/1111 or sp/2.
    """
    approval = dialect.approval_of(message)
    if approval is None or approval.expired_height < context.height:
        raise storage(1116, "The approval of sp is expired.")
    digest = keccak256(dialect.approval_sign_bytes(message))
    provider = provider_in_service(context, primary_sp_address)
    check_approval_signature(digest, approval.sig, provider.approval_address)


def provider_in_service(context: Context, operator_address: bytes) -> GenesisProvider:
    """Raises ChainFault: storage/1111 unknown, sp/2 not in service."""
    provider = get_provider(context.state, context.rules, operator_address)
    if provider is None:
        raise storage(1111, f"SP operator address: {address_text(operator_address)}")
    if provider.status != ProviderStatus.STATUS_IN_SERVICE:
        raise fault("sp", 2)
    return provider
