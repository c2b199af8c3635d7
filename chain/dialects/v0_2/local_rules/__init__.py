"""How the embedded chain executes v0.2: its messages, its questions, its gas (protocol 04, 05)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import (
    buckets,
    deletion,
    groups,
    mirroring,
    objects,
    payment_accounts,
    permission,
    providers,
    transfers,
)
from greenray.chain.dialects.v0_2.local_rules.faults import greenfiled
from greenray.chain.dialects.v0_2.local_rules.queries import QUERIES
from greenray.chain.dialects.v0_2.messages import type_url, wire_class
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.faults import ChainFault
from greenray.chain.local.ledger.local_dialect import LocalDialect, MessageRule


def _rule(
    message_type: type[dialect.Message],
    module: str,
    fixed_gas: int,
    run: Callable[[Context, Any], Any],
) -> tuple[str, MessageRule]:
    rule = MessageRule(wire_class(message_type), module, fixed_gas, run)
    return type_url(message_type), rule


def _fault(fault: ChainFault) -> tuple[str, int, str]:
    return fault.codespace, fault.code, fault.log


LOCAL_DIALECT = LocalDialect(
    dialect=dialect,
    version="v0.2.0",
    messages=MappingProxyType(
        dict(
            [
                _rule(dialect.MsgSend, "bank", 1200, transfers.send),
                _rule(dialect.MsgCreateBucket, "storage", 2400, buckets.create_bucket),
                _rule(dialect.MsgCreateObject, "storage", 1200, objects.create_object),
                _rule(dialect.MsgSealObject, "storage", 1200, objects.seal_object),
                _rule(dialect.MsgRejectSealObject, "storage", 12000, objects.reject_seal_object),
                _rule(dialect.MsgCancelCreateObject, "storage", 1200, objects.cancel_create_object),
                _rule(dialect.MsgDeleteObject, "storage", 1200, deletion.delete_object),
                _rule(dialect.MsgDeleteBucket, "storage", 1200, deletion.delete_bucket),
                _rule(dialect.MsgDiscontinueObject, "storage", 2400, deletion.discontinue_object),
                _rule(dialect.MsgDiscontinueBucket, "storage", 2400, deletion.discontinue_bucket),
                _rule(dialect.MsgUpdateBucketInfo, "storage", 1200, buckets.update_bucket_info),
                _rule(dialect.MsgUpdateObjectInfo, "storage", 1200, objects.update_object_info),
                _rule(dialect.MsgCopyObject, "storage", 1200, objects.copy_object),
                _rule(dialect.MsgMirrorBucket, "storage", 1200, mirroring.mirror_bucket),
                _rule(dialect.MsgMirrorObject, "storage", 1200, mirroring.mirror_object),
                _rule(dialect.MsgMirrorGroup, "storage", 1200, mirroring.mirror_group),
                _rule(dialect.MsgCreateGroup, "storage", 2400, groups.create_group),
                _rule(dialect.MsgUpdateGroupMember, "storage", 1200, groups.update_group_member),
                _rule(dialect.MsgLeaveGroup, "storage", 1200, groups.leave_group),
                _rule(dialect.MsgDeleteGroup, "storage", 1200, groups.delete_group),
                _rule(
                    dialect.MsgCreatePaymentAccount,
                    "payment",
                    200_000,
                    payment_accounts.create_payment_account,
                ),
                _rule(dialect.MsgDeposit, "payment", 1200, payment_accounts.deposit),
                _rule(dialect.MsgWithdraw, "payment", 1200, payment_accounts.withdraw),
                _rule(dialect.MsgDisableRefund, "payment", 1200, payment_accounts.disable_refund),
                _rule(
                    dialect.MsgEditStorageProvider,
                    "sp",
                    20_000_000,
                    providers.edit_storage_provider,
                ),
                _rule(dialect.MsgPutPolicy, "storage", 2400, permission.put_policy),
                _rule(dialect.MsgDeletePolicy, "storage", 1200, permission.delete_policy),
            ]
        )
    ),
    queries=QUERIES,
    name_faults=MappingProxyType(
        {
            "bucket_name": _fault(greenfiled(1000, "Bucket name contains invalid characters")),
            "object_name": _fault(
                greenfiled(1001, "Object name with non UTF-8 strings is not supported")
            ),
            "group_name": _fault(
                greenfiled(1002, "Group name with non UTF-8 strings is not supported")
            ),
        }
    ),
    module_accounts=(
        "fee_collector",
        "distribution",
        "bonded_tokens_pool",
        "not_bonded_tokens_pool",
        "gov",
        "payment",
        "sp",
        "crosschain",
    ),
    end_block=deletion.end_block,
)
