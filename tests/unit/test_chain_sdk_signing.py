"""What is signed of the messages that the recording does not have.

The typed data are written down by the rules of the Go signer at v0.2.0 (x/auth/tx/eip712.go): the
types follow from the value, absent messages and empty lists leave them, numbers of the chain's own
kinds are text, and a time is text also when there is none.
"""

from __future__ import annotations

from typing import Any

import pytest

from greenray.chain.dialect import Coin, TransactionTerms
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.messages import MESSAGE_TYPES
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import ActionType, Visibility

USER, OTHER = "0x" + "1" * 40, "0x" + "2" * 40
TERMS = TransactionTerms("greenfield_9000-121", 5, 7, 1200, (Coin("BNB", 6 * 10**12),))
GET = (ActionType.ACTION_GET_OBJECT,)
ACCOUNT = dialect.Principal(PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, OTHER)


def declared(text: str) -> list[dict[str, str]]:
    """``type name, type name`` as fields of a struct."""
    pairs = (part.split() for part in text.split(", "))
    return [{"type": kind, "name": name} for kind, name in pairs]


def sorted_fields(types: dict[str, Any]) -> dict[str, Any]:
    return {name: [(f["name"], f["type"]) for f in fields] for name, fields in types.items()}


CASES: list[tuple[dialect.Message, dict[str, str], dict[str, Any]]] = [
    (
        dialect.MsgUpdateBucketInfo(USER, "bucket", dialect.UInt64Value(0), OTHER),
        {
            "Msg": (
                "string type, string operator, string bucket_name, TypeChargedReadQuota"
                " charged_read_quota, string payment_address, string visibility"
            ),
            "TypeChargedReadQuota": "uint64 value",
        },
        {
            "operator": USER,
            "bucket_name": "bucket",
            "charged_read_quota": {"value": "0"},
            "payment_address": OTHER,
            "visibility": "VISIBILITY_TYPE_UNSPECIFIED",
        },
    ),
    (
        dialect.MsgUpdateBucketInfo(
            USER, "bucket", visibility=Visibility.VISIBILITY_TYPE_PUBLIC_READ
        ),
        {
            "Msg": (
                "string type, string operator, string bucket_name, string payment_address,"
                " string visibility"
            )
        },
        {
            "operator": USER,
            "bucket_name": "bucket",
            "payment_address": "",
            "visibility": "VISIBILITY_TYPE_PUBLIC_READ",
        },
    ),
    (
        dialect.MsgDeposit(USER, OTHER, 10**18),
        {"Msg": "string type, string creator, string to, string amount"},
        {"creator": USER, "to": OTHER, "amount": "1000000000000000000"},
    ),
    (
        dialect.MsgWithdraw(USER, OTHER, 5),
        {"Msg": "string type, string creator, string from, string amount"},
        {"creator": USER, "from": OTHER, "amount": "5"},
    ),
    (
        dialect.MsgUpdateGroupMember(USER, OTHER, "group", (USER, OTHER)),
        {
            "Msg": (
                "string type, string operator, string group_owner, string group_name,"
                " string[] members_to_add"
            )
        },
        {
            "operator": USER,
            "group_owner": OTHER,
            "group_name": "group",
            "members_to_add": [USER, OTHER],
        },
    ),
    (
        dialect.MsgCopyObject(USER, "src", "dst", "a", "b", dialect.SpApproval(9, b"\x01")),
        {
            "Msg": (
                "string type, string operator, string src_bucket_name, string dst_bucket_name,"
                " string src_object_name, string dst_object_name,"
                " TypeDstPrimarySpApproval dst_primary_sp_approval"
            ),
            "TypeDstPrimarySpApproval": "uint64 expired_height, bytes sig",
        },
        {
            "operator": USER,
            "src_bucket_name": "src",
            "dst_bucket_name": "dst",
            "src_object_name": "a",
            "dst_object_name": "b",
            "dst_primary_sp_approval": {"expired_height": "9", "sig": "AQ=="},
        },
    ),
    (
        dialect.MsgPutPolicy(
            USER,
            ACCOUNT,
            "grn:b::bucket",
            (
                dialect.Statement(
                    Effect.EFFECT_ALLOW,
                    GET,
                    ("grn:o::bucket/*",),
                    dialect.Timestamp(1_700_000_000, 5_000_000),
                    dialect.UInt64Value(5),
                ),
                dialect.Statement(Effect.EFFECT_DENY, (), (), None, dialect.UInt64Value(6)),
            ),
            dialect.Timestamp(1_700_000_000),
        ),
        {
            "Msg": (
                "string type, string operator, TypePrincipal principal, string resource,"
                " TypeStatements[] statements, string expiration_time"
            ),
            "TypePrincipal": "string type, string value",
            "TypeStatements": (
                "string effect, string[] actions, string[] resources, string expiration_time,"
                " TypeStatementsLimitSize limit_size"
            ),
            "TypeStatementsLimitSize": "uint64 value",
        },
        {
            "operator": USER,
            "principal": {"type": "PRINCIPAL_TYPE_GNFD_ACCOUNT", "value": OTHER},
            "resource": "grn:b::bucket",
            "statements": [
                {
                    "effect": "EFFECT_ALLOW",
                    "actions": ["ACTION_GET_OBJECT"],
                    "resources": ["grn:o::bucket/*"],
                    "expiration_time": "2023-11-14T22:13:20.005Z",
                    "limit_size": {"value": "5"},
                },
                {
                    "effect": "EFFECT_DENY",
                    "actions": [],
                    "resources": [],
                    "expiration_time": "",
                    "limit_size": {"value": "6"},
                },
            ],
            "expiration_time": "2023-11-14T22:13:20Z",
        },
    ),
]


@pytest.mark.parametrize(("message", "types", "value"), CASES, ids=lambda one: type(one).__name__)
def test_the_typed_data_of_a_message(
    message: dialect.Message, types: dict[str, str], value: dict[str, Any]
) -> None:
    typed_data = dialect.eip712_typed_data(message, TERMS)
    own = {name for name in typed_data["types"] if name.startswith(("Msg", "Type"))}
    wanted = {name: declared(text) for name, text in types.items()}
    assert sorted_fields({name: typed_data["types"][name] for name in own}) == sorted_fields(wanted)
    assert typed_data["message"]["msg"] == {"type": dialect.type_url(message)} | value
    assert len(dialect.eip712_digest(message, TERMS)) == 32


def test_a_limit_that_only_the_first_statement_has_can_never_be_signed() -> None:
    limited = dialect.Statement(Effect.EFFECT_ALLOW, GET, limit_size=dialect.UInt64Value(5))
    free = dialect.Statement(Effect.EFFECT_ALLOW, GET)
    message = dialect.MsgPutPolicy(USER, ACCOUNT, "grn:b::bucket", (limited, free))
    with pytest.raises(InvalidInput, match="limit_size is in the first element"):
        dialect.eip712_digest(message, TERMS)


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda c: c.__name__)
def test_every_message_has_a_signer_and_a_type_of_its_own(
    message_type: type[dialect.Message],
) -> None:
    assert dialect.type_url(message_type).rpartition(".")[2] == message_type.__name__
