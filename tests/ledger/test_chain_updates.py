"""The embedded chain changes buckets and objects, copies objects, and mirrors nothing.

Texts, events and their order are those of the Go sources at v0.2.0.
"""

from __future__ import annotations

from typing import Any

import pytest

from greenray.chain.addresses import parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.records import get_bucket, get_object, get_stream
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.protocol.objects import ObjectStatus, Visibility
from tests.support.chain_by_hand import ChainByHand, events_of
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
USER, GUEST = address("user"), address("sp-5-gc")
PUBLIC = Visibility.VISIBILITY_TYPE_PUBLIC_READ
GENESIS = small_genesis()


@pytest.fixture
def chain(database: ChainDatabase) -> ChainByHand:
    """Two buckets, of which the first has a sealed object."""
    chain = ChainByHand(database, GENESIS)
    assert (
        chain.run(
            ("user", create_bucket()),
            ("user", create_bucket("other-bucket", sp=1)),
            ("user", create_object("sealed")),
        )
        == [OK] * 3
    )
    assert chain.run(("sp-0-seal", seal_object("sealed", 1))) == [OK]
    return chain


def bucket_of(chain: ChainByHand) -> Any:
    return get_bucket(chain.database, BUCKET)


def rate_of(chain: ChainByHand, name: str = "user") -> int:
    stream = get_stream(chain.database, parse_address(address(name)))
    return int(stream.netflow_rate) if stream else 0


# --- buckets -------------------------------------------------------------------------------------


def test_a_bucket_is_made_public(chain: ChainByHand) -> None:
    message = dialect.MsgUpdateBucketInfo(USER, BUCKET, visibility=PUBLIC)
    result = chain.one("user", message)
    assert (result.code, result.gas_used, result.gas_wanted) == (0, 1200, 1200)
    assert bucket_of(chain).visibility == PUBLIC
    name, fields = events_of(result)[-1]
    assert name == "storage.EventUpdateBucketInfo"
    assert fields == {
        "operator": USER,
        "bucket_name": BUCKET,
        "bucket_id": "1",
        "charged_read_quota_before": "0",
        "charged_read_quota_after": "0",
        "payment_address_before": USER,
        "payment_address_after": USER,
        "visibility": "VISIBILITY_TYPE_PUBLIC_READ",
    }


def test_read_quota_is_bought_and_paid_for_until_it_is_given_back(chain: ChainByHand) -> None:
    before = rate_of(chain)
    buy = dialect.MsgUpdateBucketInfo(USER, BUCKET, dialect.UInt64Value(10**9))
    result = chain.one("user", buy)
    assert bucket_of(chain).charged_read_quota == 10**9
    # 0.087 wei a byte and second to the provider, and a hundredth of it as tax.
    assert before - rate_of(chain) == 87_000_000 + 870_000
    assert events_of(result)[-1][1]["charged_read_quota_after"] == str(10**9)
    give_back = dialect.MsgUpdateBucketInfo(USER, BUCKET, dialect.UInt64Value(0))
    assert chain.run(("user", give_back)) == [OK]
    assert (bucket_of(chain).charged_read_quota, rate_of(chain)) == (0, before)


def test_what_a_bucket_update_leaves_away_stays(chain: ChainByHand) -> None:
    bought = dialect.MsgUpdateBucketInfo(USER, BUCKET, dialect.UInt64Value(5), visibility=PUBLIC)
    assert chain.run(("user", bought), ("user", dialect.MsgUpdateBucketInfo(USER, BUCKET))) == [
        OK,
        OK,
    ]
    bucket = bucket_of(chain)
    assert (bucket.charged_read_quota, bucket.visibility, bucket.payment_address) == (
        5,
        PUBLIC,
        USER,
    )


def test_a_bucket_update_is_refused_as_the_node_refuses_it(chain: ChainByHand) -> None:
    nowhere = dialect.MsgUpdateBucketInfo(USER, "no-such-bucket")
    assert chain.refusal("user", nowhere) == ("storage", 1100, "No such bucket")
    foreign = dialect.MsgUpdateBucketInfo(GUEST, BUCKET, visibility=PUBLIC)
    assert chain.refusal("sp-5-gc", foreign) == (
        "storage",
        1107,
        f"The operator({GUEST}) has no UpdateBucketInfo permission of the bucket({BUCKET}):"
        " Access denied",
    )
    payer = dialect.MsgUpdateBucketInfo(USER, BUCKET, payment_address=GUEST)
    assert chain.refusal("user", payer) == ("payment", 1204, "not payment account owner")


def test_payment_address_and_quota_are_not_changed_at_once(chain: ChainByHand) -> None:
    account = dialect.MsgCreatePaymentAccount(USER)
    created = events_of(chain.one("user", account))[0][1]["addr"]
    both = dialect.MsgUpdateBucketInfo(USER, BUCKET, dialect.UInt64Value(5), created)
    assert chain.refusal("user", both) == (
        "undefined",
        1,
        "payment address and read quota can not be changed at the same time",
    )


def test_another_account_pays_from_now_on(chain: ChainByHand) -> None:
    created = events_of(chain.one("user", dialect.MsgCreatePaymentAccount(USER)))[0][1]["addr"]
    change = dialect.MsgUpdateBucketInfo(USER, BUCKET, payment_address=created)
    codespace, code, log = chain.refusal("user", change)
    assert (codespace, code) == ("undefined", 1)
    assert log.startswith(
        "charge according to bill change failed: apply user flows list failed: apply stream record"
        f" changes for user failed: stream account {created} balance not enough, lack of "
    )
    assert log.endswith(" BNB wei")
    assert chain.run(("user", dialect.MsgDeposit(USER, created, 10**18)), ("user", change)) == [
        OK,
        OK,
    ]
    stream = get_stream(chain.database, parse_address(created))
    assert stream is not None
    assert int(stream.netflow_rate) < 0
    assert (rate_of(chain), bucket_of(chain).payment_address) == (0, created)


# --- objects -------------------------------------------------------------------------------------


def test_an_object_is_made_public(chain: ChainByHand) -> None:
    message = dialect.MsgUpdateObjectInfo(USER, BUCKET, "sealed", PUBLIC)
    result = chain.one("user", message)
    assert (result.code, result.gas_used) == (0, 1200)
    assert chain.object("sealed").visibility == PUBLIC
    assert events_of(result) == [
        (
            "storage.EventUpdateObjectInfo",
            {
                "operator": USER,
                "bucket_name": BUCKET,
                "object_name": "sealed",
                "object_id": "0",
                "visibility": "VISIBILITY_TYPE_PUBLIC_READ",
            },
        )
    ]


def test_an_object_update_is_refused_as_the_node_refuses_it(chain: ChainByHand) -> None:
    unspecified = Visibility.VISIBILITY_TYPE_UNSPECIFIED
    checked = chain.app.check_tx(
        signed(GENESIS, "user", dialect.MsgUpdateObjectInfo(USER, BUCKET, "o", unspecified), 3)
    )
    assert (checked.codespace, checked.code, checked.log) == (
        "storage",
        1118,
        "Unspecified visibility is not allowed.: Invalid type of visibility",
    )
    assert chain.refusal("user", dialect.MsgUpdateObjectInfo(USER, BUCKET, "o", PUBLIC)) == (
        "storage",
        1101,
        "No such object",
    )
    foreign = dialect.MsgUpdateObjectInfo(GUEST, BUCKET, "sealed", PUBLIC)
    assert chain.refusal("sp-5-gc", foreign) == (
        "storage",
        1107,
        f"The operator({GUEST}) has no UpdateObjectInfo permission of the bucket({BUCKET}),"
        " object(sealed): Access denied",
    )


def copy(dst: str = "copy", by: str = "user", sp: int = 1, **changes: str) -> dialect.MsgCopyObject:
    names = {
        "src_bucket_name": BUCKET,
        "dst_bucket_name": "other-bucket",
        "src_object_name": "sealed",
    }
    message = dialect.MsgCopyObject(
        operator=address(by),
        dst_object_name=dst,
        dst_primary_sp_approval=dialect.SpApproval(FOREVER),
        **(names | changes),
    )
    return approved(message, sp)


def test_a_copy_is_a_new_private_object_of_whoever_copies(chain: ChainByHand) -> None:
    result = chain.one("user", copy())
    assert (result.code, result.gas_used) == (0, 1200)
    found = get_object(chain.database, "other-bucket", "copy")
    source = chain.object("sealed")
    assert found is not None
    assert (found.id, found.owner, found.visibility) == ("2", USER, 2)
    assert found.object_status == ObjectStatus.OBJECT_STATUS_CREATED
    assert (found.checksums, found.payload_size) == (source.checksums, source.payload_size)
    assert list(found.secondary_sp_addresses) == []
    assert [name for name, _ in events_of(result)] == [
        "payment.EventStreamRecordUpdate",
        "storage.EventCopyObject",
    ]
    assert events_of(result)[-1][1] == {
        "operator": USER,
        "src_bucket_name": BUCKET,
        "src_object_name": "sealed",
        "dst_bucket_name": "other-bucket",
        "dst_object_name": "copy",
        "src_object_id": "1",
        "dst_object_id": "2",
    }


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        (copy(src_bucket_name="nowhere"), (1100, "src bucket name (nowhere): No such bucket")),
        (copy(dst_bucket_name="nowhere"), (1100, "dst bucket name (nowhere): No such bucket")),
        (copy(src_object_name="none"), (1101, "src object name (none): No such object")),
        (copy(sp=0), (1116, None)),
    ],
)
def test_a_copy_is_refused_in_the_node_s_order(
    chain: ChainByHand, message: dialect.MsgCopyObject, refusal: tuple[int, str | None]
) -> None:
    codespace, code, log = chain.refusal("user", message)
    assert (codespace, code) == ("storage", refusal[0])
    assert refusal[1] in (None, log)


def test_only_who_may_read_copies(chain: ChainByHand) -> None:
    assert chain.refusal("sp-5-gc", copy(by="sp-5-gc")) == (
        "storage",
        1107,
        f"The operator({GUEST}) has no CopyObject permission of the bucket({BUCKET}),"
        " object(sealed): Access denied",
    )
    public = dialect.MsgUpdateObjectInfo(USER, BUCKET, "sealed", PUBLIC)
    assert chain.run(("user", public), ("sp-5-gc", copy(by="sp-5-gc"))) == [OK, OK]


def test_a_copy_takes_no_name_from_another_object(chain: ChainByHand) -> None:
    assert chain.run(("user", copy()), ("user", copy())) == [OK, ("storage", 1105)]


# --- mirrors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "channel", "missing"),
    [
        (dialect.MsgMirrorBucket, 4, (1100, "No such bucket")),
        (dialect.MsgMirrorObject, 5, (1101, "No such object")),
        (dialect.MsgMirrorGroup, 6, (1102, "No such group")),
    ],
)
def test_nothing_is_mirrored_because_there_is_no_other_chain(
    chain: ChainByHand,
    message: type[dialect.MsgMirrorBucket | dialect.MsgMirrorObject | dialect.MsgMirrorGroup],
    channel: int,
    missing: tuple[int, str],
) -> None:
    assert chain.run(("user", dialect.MsgCreateGroup(USER, "group"))) == [OK]
    assert chain.refusal("user", message(USER, 99)) == ("storage", *missing)
    assert chain.refusal("sp-5-gc", message(GUEST, 1)) == ("storage", 1107, "Access denied")
    assert chain.refusal("user", message(USER, 1)) == (
        "undefined",
        1,
        f"channel {channel} is not allowed to write syn package",
    )
