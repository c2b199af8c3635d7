"""Groups of the embedded chain, and policies: of accounts and groups, with expiry and with limits.

Texts, events and their order are those of the Go sources at v0.2.0.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from greenray.chain import wire
from greenray.chain.addresses import parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.policies import policy_of_account
from greenray.chain.local.ledger.state import ChainDatabase, Overlay
from greenray.chain.local.queries import QueryRouter
from greenray.chain.proto_json import Effect, PrincipalType, ResourceType
from greenray.protocol.objects import ActionType, Visibility
from tests.support.chain_by_hand import CLOCK_NS, ChainByHand, events_of
from tests.support.local_chain import (
    BUCKET,
    FOREVER,
    address,
    approved,
    create_bucket,
    create_object,
    seal_object,
    signed,
    small_genesis,
)

OK = ("", 0)
USER, GUEST, OTHER = address("user"), address("sp-5-gc"), address("sp-6-gc")
GENESIS = small_genesis({"stale_policy_cleanup_max": 3})
STORAGE = "/greenfield.storage.Query/"
ALLOW, DENY = Effect.EFFECT_ALLOW, Effect.EFFECT_DENY
ACCOUNT, GROUP = (
    PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT,
    PrincipalType.PRINCIPAL_TYPE_GNFD_GROUP,
)
GET = dialect.Statement(ALLOW, (ActionType.ACTION_GET_OBJECT,))
ON_BUCKET, ON_OBJECT, ON_GROUP = f"grn:b::{BUCKET}", f"grn:o::{BUCKET}/o", f"grn:g:{USER}:readers"
START_S = CLOCK_NS // 10**9


@pytest.fixture
def chain(database: ChainDatabase) -> ChainByHand:
    """A private bucket with the sealed object ``o``, and an empty group ``readers`` (1)."""
    chain = ChainByHand(database, GENESIS)
    assert (
        chain.run(
            ("user", create_bucket()),
            ("user", create_object("o")),
            ("user", dialect.MsgCreateGroup(USER, "readers")),
        )
        == [OK] * 3
    )
    assert chain.run(("sp-0-seal", seal_object("o", 1))) == [OK]
    return chain


def add(*members: str, by: str = "user") -> tuple[str, dialect.Message]:
    return by, dialect.MsgUpdateGroupMember(address(by), USER, "readers", members)


def remove(*members: str, by: str = "user") -> tuple[str, dialect.Message]:
    return by, dialect.MsgUpdateGroupMember(address(by), USER, "readers", (), members)


def grant(
    statement: dialect.Statement = GET,
    *,
    to: str = GUEST,
    kind: PrincipalType = ACCOUNT,
    on: str = ON_OBJECT,
    until_s: int | None = None,
) -> tuple[str, dialect.MsgPutPolicy]:
    expiry = None if until_s is None else dialect.Timestamp(until_s)
    message = dialect.MsgPutPolicy(USER, dialect.Principal(kind, to), on, (statement,), expiry)
    return "user", message


def revoke(
    to: str = GUEST, kind: PrincipalType = ACCOUNT, on: str = ON_OBJECT
) -> tuple[str, dialect.MsgDeletePolicy]:
    return "user", dialect.MsgDeletePolicy(USER, dialect.Principal(kind, to), on)


def may(
    chain: ChainByHand,
    operator: str = GUEST,
    name: str = "o",
    action: ActionType = ActionType.ACTION_GET_OBJECT,
) -> bool:
    asked = wire.storage.QueryVerifyPermissionRequest(
        operator=operator, bucket_name=BUCKET, object_name=name, action_type=action
    )
    answer = chain.ask(
        STORAGE + "VerifyPermission", asked, wire.storage.QueryVerifyPermissionResponse
    )
    return bool(answer.effect == ALLOW)


def is_member(chain: ChainByHand, member: str) -> bool:
    asked = wire.storage.QueryHeadGroupMemberRequest(
        member=member, group_owner=USER, group_name="readers"
    )
    return chain_answers(chain, "HeadGroupMember", asked)


def chain_answers(chain: ChainByHand, method: str, asked: Any) -> bool:
    answer = QueryRouter(chain.app).answer(STORAGE + method, asked.SerializeToString(), 0)
    return answer.code == 0


# --- groups --------------------------------------------------------------------------------------


def test_a_group_is_made_with_its_members_and_found(chain: ChainByHand) -> None:
    result = chain.one("sp-5-gc", dialect.MsgCreateGroup(GUEST, "friends", (USER, OTHER)))
    assert (result.code, result.gas_used) == (0, 2400)
    assert events_of(result) == [
        (
            "storage.EventCreateGroup",
            {
                "owner": GUEST,
                "group_name": "friends",
                "group_id": "2",
                "source_type": "SOURCE_TYPE_ORIGIN",
                "members": [USER, OTHER],
            },
        )
    ]
    asked = wire.storage.QueryHeadGroupRequest(group_owner=GUEST, group_name="friends")
    group = chain.ask(STORAGE + "HeadGroup", asked, wire.storage.QueryHeadGroupResponse).group_info
    assert (group.owner, group.group_name, group.id) == (GUEST, "friends", "2")
    member = chain.ask(
        STORAGE + "HeadGroupMember",
        wire.storage.QueryHeadGroupMemberRequest(
            member=OTHER, group_owner=GUEST, group_name="friends"
        ),
        wire.storage.QueryHeadGroupMemberResponse,
    ).group_member
    assert (member.group_id, member.member) == ("2", OTHER)


def test_groups_of_an_owner_are_listed_in_pages(chain: ChainByHand) -> None:
    names = {f"group-{i}" for i in range(5)}
    assert chain.run(*[("user", dialect.MsgCreateGroup(USER, one)) for one in names]) == [OK] * 5
    found, key = set(), b""
    for _ in range(3):
        page = wire.query.PageRequest(key=key, limit=2)
        asked = wire.storage.QueryListGroupRequest(pagination=page, group_owner=USER)
        answer = chain.ask(STORAGE + "ListGroup", asked, wire.storage.QueryListGroupResponse)
        found |= {one.group_name for one in answer.group_infos}
        key = answer.pagination.next_key
    assert (found, key) == (names | {"readers"}, b"")


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("", "Group name cannot be empty"),
        ("ab", "Group name cannot be shorter than 3 characters"),
        ("x" * 64, "Group name cannot be longer than 63 characters"),
    ],
)
def test_a_group_has_a_valid_name(chain: ChainByHand, name: str, log: str) -> None:
    root = "Invalid group name"
    for message, shown in (
        (dialect.MsgCreateGroup(USER, name), f"invalid groupName ({log}: {root}): {root}"),
        (dialect.MsgDeleteGroup(USER, name), f"invalid groupName ({log}: {root}): {root}"),
        (dialect.MsgLeaveGroup(USER, USER, name), f"{log}: {root}"),
        (dialect.MsgUpdateGroupMember(USER, USER, name), f"{log}: {root}"),
    ):
        checked = chain.app.check_tx(signed(GENESIS, "user", message, 3))
        assert (checked.codespace, checked.code, checked.log) == ("greenfiled", 1002, shown)


def test_at_most_20_members_come_and_go_at_once(chain: ChainByHand) -> None:
    crowd = tuple(f"0x{i:040x}" for i in range(1, 22))
    for message in (dialect.MsgCreateGroup(USER, "crowd", crowd), add(*crowd)[1]):
        checked = chain.app.check_tx(signed(GENESIS, "user", message, 3))
        assert (checked.codespace, checked.code) == ("greenfiled", 1009)
        assert checked.log == "Once update group member limit exceeded: Invalid parameter"
    assert chain.run(add(*crowd[:20])) == [OK]


def test_members_come_and_go(chain: ChainByHand) -> None:
    result = chain.one(*add(GUEST))
    assert events_of(result) == [
        (
            "storage.EventUpdateGroupMember",
            {
                "operator": USER,
                "owner": USER,
                "group_name": "readers",
                "group_id": "1",
                "members_to_add": [GUEST],
                "members_to_delete": [],
            },
        )
    ]
    assert is_member(chain, GUEST)
    assert chain.refusal(*add(GUEST)) == ("storage", 1110, "Group member already exists")
    assert chain.run(remove(GUEST)) == [OK]
    assert not is_member(chain, GUEST)
    assert chain.refusal(*remove(GUEST)) == ("storage", 1102, "No such group")


def test_a_member_leaves_by_itself(chain: ChainByHand) -> None:
    leave = dialect.MsgLeaveGroup(GUEST, USER, "readers")
    assert chain.run(add(GUEST)) == [OK]
    result = chain.one("sp-5-gc", leave)
    # v0.2.0 says that the group is deleted.
    assert events_of(result) == [
        (
            "storage.EventDeleteGroup",
            {"owner": USER, "group_name": "readers", "group_id": "1"},
        )
    ]
    assert not is_member(chain, GUEST)
    assert chain.refusal("sp-5-gc", leave) == ("storage", 1102, "No such group")


def test_only_who_may_changes_a_group(chain: ChainByHand) -> None:
    assert chain.refusal(*add(OTHER, by="sp-5-gc")) == (
        "storage",
        1107,
        f"The operator({GUEST}) has no UpdateGroupMember permission of the group(readers),"
        f" operator({USER}): Access denied",
    )
    may_update = dialect.Statement(ALLOW, (ActionType.ACTION_UPDATE_GROUP_MEMBER,))
    assert chain.run(grant(may_update, on=ON_GROUP), add(OTHER, by="sp-5-gc")) == [OK, OK]
    assert chain.refusal("sp-5-gc", dialect.MsgDeleteGroup(GUEST, "readers"))[:2] == (
        "storage",
        1102,
    )


def test_a_name_is_of_one_group_of_its_owner(chain: ChainByHand) -> None:
    assert chain.refusal("user", dialect.MsgCreateGroup(USER, "readers")) == (
        "storage",
        1106,
        "Group already exists",
    )
    assert chain.run(("sp-5-gc", dialect.MsgCreateGroup(GUEST, "readers"))) == [OK]


def test_an_address_that_is_none_is_no_member(chain: ChainByHand) -> None:
    message = dialect.MsgCreateGroup(USER, "friends", ("0x12",))
    log = "invalid address hex length: 2 != 40"
    assert chain.refusal("user", message) == ("undefined", 1, log)
    stranger = dialect.MsgLeaveGroup(USER, "0x12", "readers")
    codespace, code, log = chain.refusal("user", stranger)
    assert (codespace, code) == ("undefined", 111222)
    assert chain.run(add(GUEST)) == [OK]


# --- what a group may ----------------------------------------------------------------------------


def test_members_of_a_group_may_what_the_group_may(chain: ChainByHand) -> None:
    assert chain.run(add(GUEST), grant(to="1", kind=GROUP)) == [OK, OK]
    assert (may(chain, GUEST), may(chain, OTHER)) == (True, False)
    assert chain.run(remove(GUEST), add(OTHER)) == [OK, OK]
    assert (may(chain, GUEST), may(chain, OTHER)) == (False, True)
    assert chain.run(revoke("1", GROUP)) == [OK]
    assert not may(chain, OTHER)


def test_a_denial_of_one_group_counts_more_than_what_another_allows(chain: ChainByHand) -> None:
    assert (
        chain.run(
            ("user", dialect.MsgCreateGroup(USER, "banned", (GUEST,))),
            add(GUEST, OTHER),
            grant(to="1", kind=GROUP),
            grant(replace(GET, effect=DENY), to="2", kind=GROUP),
        )
        == [OK] * 4
    )
    assert (may(chain, GUEST), may(chain, OTHER)) == (False, True)
    assert chain.run(grant()) == [OK]
    assert may(chain, GUEST), "its own policy is asked first"


def test_there_has_to_be_a_group(chain: ChainByHand) -> None:
    assert chain.refusal(*grant(to="9", kind=GROUP)) == ("storage", 1102, "No such group")
    for value, text in (("0", "Zero groupID, principal "), ("x", "Invalid groupID, principal: ")):
        checked = chain.app.check_tx(
            signed(GENESIS, "user", grant(to=value, kind=GROUP)[1], chain.sequences["user"])
        )
        assert (checked.codespace, checked.code) == ("permission", 1100)
        assert checked.log.startswith(text)


def test_a_group_gets_nothing_on_a_group(chain: ChainByHand) -> None:
    may_update = dialect.Statement(ALLOW, (ActionType.ACTION_UPDATE_GROUP_MEMBER,))
    message = grant(may_update, to="1", kind=GROUP, on=ON_GROUP)[1]
    checked = chain.app.check_tx(signed(GENESIS, "user", message, 3))
    assert (checked.codespace, checked.code, checked.log) == (
        "greenfiled",
        1007,
        "Not allow grant group's permission to another group: Invalid principal",
    )


def test_a_resource_is_granted_to_10_groups_at_most(chain: ChainByHand) -> None:
    assert (
        chain.run(
            *[("user", dialect.MsgCreateGroup(USER, f"group-{i}")) for i in range(10)],
            *[grant(to=str(i), kind=GROUP) for i in range(1, 11)],
        )
        == [OK] * 20
    )
    full = ("permission", 1102, "group number limit to 10, actual 10: Num limit exceeded")
    assert chain.refusal(*grant(to="11", kind=GROUP)) == full
    assert chain.refusal(*grant(to="1", kind=GROUP)) == full


# --- policies ------------------------------------------------------------------------------------


def test_a_policy_is_put_found_overwritten_and_deleted(chain: ChainByHand) -> None:
    result = chain.one(*grant())
    assert (result.code, result.gas_used) == (0, 2400)
    assert may(chain)
    asked = wire.storage.QueryPolicyForAccountRequest(resource=ON_OBJECT, principal_address=GUEST)
    path, response = STORAGE + "QueryPolicyForAccount", wire.storage.QueryPolicyForAccountResponse
    policy = chain.ask(path, asked, response).policy
    assert (policy.id, policy.resource_type, policy.resource_id) == ("1", 2, "1")
    assert (policy.principal.type, policy.principal.value) == (ACCOUNT, GUEST)

    result = chain.one(*grant(replace(GET, effect=DENY)))
    answered = wire.abci.TxMsgData.FromString(result.data).msg_responses[0].value
    # Which is what v0.2.0 answers when it overwrites; the event has the policy's own.
    assert wire.storage.MsgPutPolicyResponse.FromString(answered).policy_id == "0"
    assert events_of(result)[0][1]["policy_id"] == "1"
    assert not may(chain)

    result = chain.one(*revoke())
    assert (result.code, result.gas_used) == (0, 1200)
    assert events_of(result) == [("permission.EventDeletePolicy", {"policy_id": "1"})]
    shown = f'type:PRINCIPAL_TYPE_GNFD_ACCOUNT value:"{GUEST}" '
    assert chain.refused_answer(path, asked) == (
        6,
        f"GRN: {ON_OBJECT}, principal:{shown}: No such Policy: unknown request",
    )
    assert events_of(chain.one(*revoke())) == [("permission.EventDeletePolicy", {"policy_id": "0"})]


def test_a_policy_of_a_group_is_found_by_the_group_and_by_its_number(chain: ChainByHand) -> None:
    assert chain.run(grant(to="0x1", kind=GROUP, on=ON_BUCKET)) == [OK]
    asked = wire.storage.QueryPolicyForGroupRequest(resource=ON_BUCKET, principal_group_id="1")
    by_group = chain.ask(
        STORAGE + "QueryPolicyForGroup", asked, wire.storage.QueryPolicyForGroupResponse
    ).policy
    by_id = chain.ask(
        STORAGE + "QueryPolicyById",
        wire.storage.QueryPolicyByIdRequest(policy_id="1"),
        wire.storage.QueryPolicyByIdResponse,
    ).policy
    assert by_group == by_id
    assert (by_id.principal.value, by_id.resource_type) == ("1", 1)
    nothing = wire.storage.QueryPolicyByIdRequest(policy_id="2")
    assert chain.refused_answer(STORAGE + "QueryPolicyById", nothing) == (
        6,
        "No such Policy: unknown request",
    )


def test_a_policy_ends_with_its_time(chain: ChainByHand) -> None:
    now_s = chain.app.head.time_s
    result = chain.one(*grant(until_s=now_s + 2))
    expires = events_of(result)[0][1]["expiration_time"]
    assert expires == "2023-11-14T22:13:24Z"
    assert may(chain)
    assert chain.run() == []
    assert may(chain), "at the very moment it is valid still"
    assert chain.run() == []
    assert not may(chain)


def test_a_statement_ends_with_its_time(chain: ChainByHand) -> None:
    until = dialect.Timestamp(chain.app.head.time_s + 1, 500_000_000)
    statement = replace(GET, expiration_time=until)
    result = chain.one(*grant(statement))
    assert events_of(result)[0][1]["statements"][0]["expiration_time"] == (
        "2023-11-14T22:13:23.500Z"
    )
    assert may(chain)
    assert chain.run() == []
    assert not may(chain)


def test_what_has_ended_already_is_not_put(chain: ChainByHand) -> None:
    log = (
        "The specified {} expiration time is less than the current block time,"
        " block time: 2023-11-14 22:13:2{} +0000 UTC: Permission expired"
    )
    assert chain.refusal(*grant(until_s=START_S)) == (
        "permission",
        1103,
        log.format("policy", 3),
    )
    ended = replace(GET, expiration_time=dialect.Timestamp(START_S))
    assert chain.refusal(*grant(ended)) == ("permission", 1103, log.format("statement", 4))


def test_a_policy_limits_how_much_somebody_creates(chain: ChainByHand) -> None:
    limited = dialect.Statement(
        ALLOW, (ActionType.ACTION_CREATE_OBJECT,), limit_size=dialect.UInt64Value(8)
    )
    assert chain.run(grant(limited, on=ON_BUCKET)) == [OK]

    def create(name: str) -> tuple[str, dialect.Message]:
        return "sp-5-gc", approved(replace(create_object(name), creator=GUEST), 0)

    result = chain.one(*create("first"))
    assert result.code == 0
    name, fields = events_of(result)[0]
    assert (name, fields["statements"][0]["limit_size"]) == (
        "permission.EventPutPolicy",
        {"value": "3"},
    )
    assert chain.run(create("second")) == [("storage", 1107)]


def test_a_limit_is_of_what_is_created_in_a_bucket(chain: ChainByHand) -> None:
    limited = replace(GET, limit_size=dialect.UInt64Value(8))
    text = "The LimitSize option can only be used with CreateObject actions at the bucket level. "
    for on, log in ((ON_BUCKET, f"{text}."), (ON_OBJECT, text)):
        checked = chain.app.check_tx(
            signed(GENESIS, "user", grant(limited, on=on)[1], chain.sequences["user"])
        )
        assert (checked.codespace, checked.code) == ("permission", 1101)
        assert checked.log == f"{log}: Invalid statement"


def test_policies_and_members_of_what_is_deleted_go_some_blocks_later(chain: ChainByHand) -> None:
    assert (
        chain.run(
            add(GUEST, OTHER),
            grant(),
            grant(to=OTHER),
            grant(to="1", kind=GROUP),
            grant(on=ON_BUCKET),
        )
        == [OK] * 5
    )
    deleted = ("user", dialect.delete_object_message(USER, BUCKET, "o"))
    group = ("user", dialect.MsgDeleteGroup(USER, "readers"))
    assert chain.run(deleted, group) == [OK, OK]

    def gone() -> list[str]:
        stored = chain.database.block(chain.database.last_height())
        assert stored is not None
        return [
            json.loads(one["attributes"][0]["value"])
            for one in json.loads(stored.results)["end_block_events"]
            if one["type"] == "greenfield.permission.EventDeletePolicy"
        ]

    assert sorted(gone()) == ["1", "2", "3"]
    for _ in range(3):
        assert chain.run() == []
    by_id = wire.storage.QueryPolicyByIdRequest
    assert not chain_answers(chain, "QueryPolicyById", by_id(policy_id="1"))
    assert chain_answers(chain, "QueryPolicyById", by_id(policy_id="4"))
    again = ("user", dialect.MsgCreateGroup(USER, "readers"))
    assert chain.run(again) == [OK]
    assert not is_member(chain, GUEST)


def test_a_policy_of_a_chain_of_an_earlier_version_still_counts(chain: ChainByHand) -> None:
    state = Overlay(chain.database)
    document = {"id": 7, "statements": [[ALLOW, [ActionType.ACTION_GET_OBJECT], []]]}
    key = b"o" + b"\x01" + parse_address(GUEST)
    state.put("policy", key, json.dumps(document).encode())
    resource = ResourceType.RESOURCE_TYPE_OBJECT
    policy = policy_of_account(state, resource, "1", parse_address(GUEST))
    assert policy is not None
    assert (policy.id, policy.principal.value) == ("7", GUEST)
    assert list(policy.statements[0].actions) == [ActionType.ACTION_GET_OBJECT]


# --- how they are signed -------------------------------------------------------------------------


def test_statements_that_differ_are_signed_by_what_the_first_one_has(chain: ChainByHand) -> None:
    named = dialect.Statement(ALLOW, (ActionType.ACTION_GET_OBJECT,), (f"{ON_OBJECT}",))
    until = replace(GET, expiration_time=dialect.Timestamp(START_S + 10**6))
    message = replace(grant(on=ON_BUCKET)[1], statements=(named, until))
    assert chain.run(("user", message)) == [OK]
    swapped = replace(message, statements=(until, named))
    assert chain.run(("user", swapped)) == [OK]


def test_a_message_with_times_and_numbers_comes_back_as_it_was() -> None:
    statement = dialect.Statement(
        ALLOW,
        (ActionType.ACTION_CREATE_OBJECT,),
        ("grn:o::b-b/*",),
        dialect.Timestamp(1_700_000_000, 1),
        dialect.UInt64Value(5),
    )
    message = replace(grant(statement)[1], expiration_time=dialect.Timestamp(1))
    assert dialect.decode_message(dialect.type_url(message), dialect.encode_message(message)) == (
        message
    )
    content = dialect.message_to_json(message)
    assert content["expiration_time"] == "1970-01-01T00:00:01Z"
    assert content["statements"][0]["expiration_time"] == "2023-11-14T22:13:20.000000001Z"
    assert dialect.message_from_json(content, dialect.MsgPutPolicy) == message


def test_a_copy_s_approval_is_over_the_copy() -> None:
    message = dialect.MsgCopyObject(USER, "src", "dst", "a", "b", dialect.SpApproval(FOREVER))
    signed_copy = dialect.with_approval(message, FOREVER, b"\x01" * 65)
    assert dialect.approval_of(signed_copy) == dialect.SpApproval(FOREVER, b"\x01" * 65)
    assert dialect.approval_sign_bytes(signed_copy) == dialect.approval_sign_bytes(message)
    assert b'"dst_primary_sp_approval":{"expired_height":"1000000000","sig":""}' in (
        dialect.approval_sign_bytes(message)
    )


def test_a_public_bucket_needs_no_policy(chain: ChainByHand) -> None:
    public = Visibility.VISIBILITY_TYPE_PUBLIC_READ
    assert not may(chain)
    assert chain.run(("user", dialect.MsgUpdateBucketInfo(USER, BUCKET, visibility=public))) == [OK]
    assert may(chain), "the object inherits"
