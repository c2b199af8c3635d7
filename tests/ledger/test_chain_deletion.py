"""The embedded chain deletes objects and buckets: at once, or some time after a discontinue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greenray.chain.addresses import parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.records import get_bucket, get_stream
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.objects import ActionType, BucketStatus, ObjectStatus
from tests.support.chain_by_hand import ChainByHand
from tests.support.local_chain import (
    BUCKET,
    address,
    approved,
    create_bucket,
    create_object,
    seal_object,
    small_genesis,
)

OK = ("", 0)
GC = address("sp-0-gc")
CONFIRM_PERIOD_S = 3
GENESIS = small_genesis(
    {"discontinue_confirm_period": CONFIRM_PERIOD_S, "discontinue_counting_window": 1000}
)


@pytest.fixture
def chain(database: ChainDatabase) -> ChainByHand:
    """Object 1 is sealed, object 2 is not."""
    chain = ChainByHand(database, GENESIS)
    created = [("user", create_object(name)) for name in ("sealed", "created")]
    assert chain.run(("user", create_bucket()), *created) == [OK] * 3
    assert chain.run(("sp-0-seal", seal_object("sealed", 1))) == [OK]
    return chain


def delete(name: str, by: str = "user") -> tuple[str, dialect.Message]:
    return by, dialect.delete_object_message(address(by), BUCKET, name)


def delete_bucket(by: str = "user") -> tuple[str, dialect.Message]:
    return by, dialect.delete_bucket_message(address(by), BUCKET)


def discontinue(*ids: int, by: str = "sp-0-gc") -> tuple[str, dialect.Message]:
    return by, dialect.discontinue_object_message(address(by), BUCKET, ids, "cleanup")


def discontinue_bucket(by: str = "sp-0-gc") -> tuple[str, dialect.Message]:
    return by, dialect.discontinue_bucket_message(address(by), BUCKET, "cleanup")


def events_of_last_block(database: ChainDatabase) -> list[tuple[str, dict[str, Any]]]:
    """(type, fields) of what the end of the block did by itself."""
    stored = database.block(database.last_height())
    assert stored is not None
    return [
        (one["type"], {a["key"]: json.loads(a["value"]) for a in one["attributes"]})
        for one in json.loads(stored.results)["end_block_events"]
    ]


def bucket_of(chain: ChainByHand) -> Any:
    """BucketInfo; there must be one."""
    bucket = get_bucket(chain.database, BUCKET)
    assert bucket is not None
    return bucket


def outflows(chain: ChainByHand) -> int:
    stream = get_stream(chain.database, parse_address(address("user")))
    return len(stream.out_flows) if stream else 0


def test_a_deleted_object_is_gone_and_costs_nothing_any_more(chain: ChainByHand) -> None:
    assert outflows(chain) > 0
    assert chain.run(delete("sealed")) == [OK]
    assert chain.object("sealed") is None
    assert outflows(chain) == 0


def test_a_new_object_of_an_old_name_has_an_id_of_its_own(chain: ChainByHand) -> None:
    assert chain.run(delete("sealed"), ("user", create_object("sealed"))) == [OK, OK]
    assert chain.object("sealed").id == "3"


def test_an_object_that_is_not_sealed_is_cancelled_and_not_deleted(chain: ChainByHand) -> None:
    assert chain.run(delete("created")) == [("storage", 1113)]


def test_only_who_may_deletes_an_object_or_a_bucket(chain: ChainByHand) -> None:
    assert chain.run(delete("sealed", by="sp-1-gc")) == [("storage", 1107)]
    assert chain.run(delete_bucket(by="sp-1-gc")) == [("storage", 1107)]
    policy = dialect.MsgPutPolicy(
        address("user"),
        dialect.Principal(PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, address("sp-1-gc")),
        f"grn:o::{BUCKET}/sealed",
        (dialect.Statement(Effect.EFFECT_ALLOW, (ActionType.ACTION_DELETE_OBJECT,)),),
    )
    assert chain.run(("user", policy), delete("sealed", by="sp-1-gc")) == [OK, OK]


def test_what_is_not_there_is_not_deleted(chain: ChainByHand) -> None:
    assert chain.run(delete("other")) == [("storage", 1101)]
    nowhere = dialect.delete_bucket_message(address("user"), "no-such-bucket")
    assert chain.run(("user", nowhere)) == [("storage", 1100)]


def test_a_bucket_is_deleted_when_it_is_empty(chain: ChainByHand) -> None:
    cancel = dialect.cancel_create_object_message(address("user"), BUCKET, "created")
    assert chain.run(delete_bucket()) == [("storage", 1109)]
    assert chain.run(delete("sealed"), ("user", cancel), delete_bucket()) == [OK] * 3
    assert get_bucket(chain.database, BUCKET) is None
    assert chain.run(("user", create_bucket())) == [OK]
    assert bucket_of(chain).id == "2"


def test_a_bucket_with_a_read_quota_costs_nothing_once_it_is_deleted(
    database: ChainDatabase,
) -> None:
    chain = ChainByHand(database, GENESIS)
    message = dialect.create_bucket_message(
        address("user"),
        BUCKET,
        address("sp-0-operator"),
        create_bucket().visibility,
        charged_read_quota=10**9,
    )
    assert chain.run(("user", approved(message, 0))) == [OK]
    assert outflows(chain) > 0
    assert chain.run(delete_bucket()) == [OK]
    assert outflows(chain) == 0


def test_discontinued_objects_are_deleted_after_the_confirm_period(chain: ChainByHand) -> None:
    assert chain.run(discontinue(1, 2)) == [OK]
    assert chain.object("sealed").object_status == ObjectStatus.OBJECT_STATUS_DISCONTINUED
    for _ in range(CONFIRM_PERIOD_S - 1):
        chain.run()
    assert chain.object("sealed") is not None
    chain.run()
    assert chain.object("sealed") is None
    assert chain.object("created") is None
    assert outflows(chain) == 0
    assert chain.locked_fee("user") == 0
    found = [e for e in events_of_last_block(chain.database) if e[0].endswith("EventDeleteObject")]
    assert [fields["object_id"] for _, fields in found] == ["1", "2"]
    assert found[0][1] == {
        "operator": address("sp-0-operator"),
        "bucket_name": BUCKET,
        "object_name": "sealed",
        "object_id": "1",
        "primary_sp_address": address("sp-0-operator"),
        "secondary_sp_addresses": [address(f"sp-{i}-operator") for i in range(1, 7)],
    }


def test_an_owner_may_be_faster_than_the_confirm_period(chain: ChainByHand) -> None:
    assert chain.run(discontinue(1, 2), delete("sealed"), delete("created")) == [OK] * 3
    assert (outflows(chain), chain.locked_fee("user")) == (0, 0)
    for _ in range(CONFIRM_PERIOD_S):
        chain.run()
    assert events_of_last_block(chain.database) == []


def test_a_discontinued_bucket_takes_its_objects_along(chain: ChainByHand) -> None:
    assert chain.run(discontinue_bucket()) == [OK]
    bucket = bucket_of(chain)
    assert bucket.bucket_status == BucketStatus.BUCKET_STATUS_DISCONTINUED
    assert chain.run(("user", create_object("new"))) == [("storage", 3104)]
    assert chain.run(discontinue_bucket()) == [("storage", 3106)]
    assert chain.run(discontinue(1)) == [("storage", 3106)]
    for _ in range(CONFIRM_PERIOD_S):
        chain.run()
    assert get_bucket(chain.database, BUCKET) is None
    assert chain.object("sealed") is None
    assert (outflows(chain), chain.locked_fee("user")) == (0, 0)


def test_a_block_deletes_no_more_than_its_measure_and_the_rest_follows(
    database: ChainDatabase,
) -> None:
    chain = ChainByHand(
        database, small_genesis({"discontinue_confirm_period": 1, "discontinue_deletion_max": 2})
    )
    objects = [("user", create_object(f"o-{i}")) for i in range(5)]
    chain.run(("user", create_bucket()), *objects)
    chain.run(discontinue_bucket())
    left = []
    for _ in range(3):
        chain.run()
        left.append(sum(chain.object(f"o-{i}") is not None for i in range(5)))
    assert left == [3, 1, 0]
    assert get_bucket(chain.database, BUCKET) is None


def test_only_the_gc_address_of_the_primary_discontinues(chain: ChainByHand) -> None:
    assert chain.run(discontinue(1, by="user")) == [("storage", 1111)]
    assert chain.run(discontinue(1, by="sp-1-gc")) == [("storage", 1107)]
    assert chain.run(discontinue_bucket(by="sp-1-gc")) == [("storage", 1107)]


def test_objects_that_do_not_fit_are_not_discontinued(chain: ChainByHand) -> None:
    assert chain.run(discontinue(1, 9)) == [("storage", 3101)]
    assert chain.object("sealed").object_status == ObjectStatus.OBJECT_STATUS_SEALED
    assert chain.run(discontinue(1), discontinue(1)) == [OK, ("storage", 3101)]


def test_so_many_are_discontinued_in_a_window_and_no_more(database: ChainDatabase) -> None:
    chain = ChainByHand(
        database,
        small_genesis(
            {
                "discontinue_object_max": 1,
                "discontinue_bucket_max": 0,
                "discontinue_counting_window": 5,
            }
        ),
    )
    chain.run(("user", create_bucket()), ("user", create_object("a")), ("user", create_object("b")))
    assert chain.run(discontinue(1), discontinue(2)) == [OK, ("storage", 3103)]
    assert chain.run(discontinue_bucket()) == [("storage", 3103)]
    while (chain.app.head.height + 1) % 5:
        chain.run()
    assert chain.run(discontinue(2)) == [OK]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (dialect.MsgDiscontinueObject(GC, BUCKET, (), "r"), 3101),
        (dialect.MsgDiscontinueObject(GC, BUCKET, (1,) * 129, "r"), 3101),
        (dialect.MsgDiscontinueObject(GC, BUCKET, (1,), "r" * 129), 3102),
        (dialect.MsgDiscontinueBucket(GC, BUCKET, "ü" * 65), 3102),
        (dialect.MsgDiscontinueBucket("nobody", BUCKET, "r"), 7),
        (dialect.MsgDeleteBucket("nobody", BUCKET), 7),
        (dialect.MsgDeleteBucket(GC, "B"), 1000),
        (dialect.MsgDeleteObject(GC, BUCKET, ""), 1001),
    ],
)
def test_what_a_message_says_of_itself_is_checked_first(
    message: dialect.Message, code: int
) -> None:
    fault = dialect.validate_basic(message)
    assert fault is not None
    assert fault.code == code


def test_messages_have_the_bytes_and_the_signed_types_of_the_real_chain() -> None:
    message = dialect.MsgDiscontinueObject("op", "bkt", (1, 15), "why")
    assert dialect.type_url(message) == "/greenfield.storage.MsgDiscontinueObject"
    assert dialect.encode_message(message).hex() == ("0a026f701203626b741a01311a0231352203776879")
    bucket = dialect.MsgDiscontinueBucket("op", "bkt", "why")
    assert dialect.encode_message(bucket).hex() == "0a026f701203626b741a03776879"
    deletion = dialect.MsgDeleteObject("op", "bkt", "obj")
    assert dialect.encode_message(deletion).hex() == "0a026f701203626b741a036f626a"
    assert dialect.encode_message(dialect.MsgDeleteBucket("op", "bkt")).hex() == (
        "0a026f701203626b74"
    )
    terms = dialect.TransactionTerms("greenfield_9000-121", 1, 0, 2400, ())
    signed_message = dialect.MsgDiscontinueObject(GC, BUCKET, (1, 15), "why")
    typed = dialect.eip712_typed_data(signed_message, terms)
    assert [(f["type"], f["name"]) for f in typed["types"]["Msg"]] == [
        ("string", "type"),
        ("string", "operator"),
        ("string", "bucket_name"),
        ("string[]", "object_ids"),
        ("string", "reason"),
    ]
    assert typed["message"]["msg"]["object_ids"] == ["1", "15"]
