"""The embedded chain on unseen keys and names: what is refused before and in a message."""

from __future__ import annotations

import dataclasses

import pytest

from greenray.chain import wire
from greenray.chain.addresses import parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.app import SimulationFault
from greenray.chain.local.ledger.accounts import get_balance
from greenray.chain.local.ledger.signatures import recover_public_key
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.mempool import Mempool, MempoolLimits, MempoolRefusal
from greenray.chain.local.queries import QueryRouter
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.objects import ActionType, ObjectStatus
from tests.support.chain_by_hand import ChainByHand
from tests.support.local_chain import (
    BUCKET,
    address,
    approved,
    create_bucket,
    create_object,
    seal_object,
    signed,
    small_genesis,
)

GENESIS = small_genesis()
FEE_OF_SEAL = 1200 * 5_000_000_000


@pytest.fixture
def chain(database: ChainDatabase) -> ChainByHand:
    chain = ChainByHand(database, GENESIS)
    assert chain.run(("user", create_bucket()), ("user", create_object("o"))) == [("", 0)] * 2
    return chain


def test_an_object_is_created_and_sealed(chain: ChainByHand) -> None:
    assert chain.run(("sp-0-seal", seal_object("o", 1))) == [("", 0)]
    info = chain.object("o")
    assert info.object_status == ObjectStatus.OBJECT_STATUS_SEALED
    assert list(info.secondary_sp_addresses) == [address(f"sp-{i}-operator") for i in range(1, 7)]


def test_of_two_seals_in_one_block_the_second_fails_and_pays(chain: ChainByHand) -> None:
    before = get_balance(chain.database, parse_address(address("sp-0-seal")), "BNB")
    seal = seal_object("o", 1)
    assert chain.run(("sp-0-seal", seal), ("sp-0-seal", seal)) == [("", 0), ("storage", 1108)]
    after = get_balance(chain.database, parse_address(address("sp-0-seal")), "BNB")
    assert before - after == 2 * FEE_OF_SEAL


def test_a_seal_for_another_object_id_is_refused(chain: ChainByHand) -> None:
    assert chain.run(("sp-0-seal", seal_object("o", 2))) == [("storage", 1116)]
    assert chain.object("o").object_status == ObjectStatus.OBJECT_STATUS_CREATED


def test_a_seal_by_another_provider_is_refused(chain: ChainByHand) -> None:
    seal = dataclasses.replace(seal_object("o", 1), operator=address("sp-1-seal"))
    assert chain.run(("sp-1-seal", seal)) == [("storage", 1107)]


def test_an_approval_of_another_message_is_refused(chain: ChainByHand) -> None:
    stolen = create_object("p").primary_sp_approval
    message = dataclasses.replace(create_object("q"), primary_sp_approval=stolen)
    assert chain.run(("user", message)) == [("storage", 1116)]


def test_an_approval_is_valid_at_its_height_and_not_after(chain: ChainByHand) -> None:
    height = chain.app.head.height + 1
    valid = approved(create_object("now"), 0, expired_height=height)
    expired = approved(create_object("late"), 0, expired_height=height - 1)
    assert chain.run(("user", valid), ("user", expired)) == [("", 0), ("storage", 1116)]


def test_a_rejected_object_is_gone_and_its_fee_unlocked(chain: ChainByHand) -> None:
    reject = dialect.MsgRejectSealObject(address("sp-0-seal"), BUCKET, "o")
    assert chain.locked_fee("user") > 0
    assert chain.run(("sp-0-seal", reject)) == [("", 0)]
    assert chain.object("o") is None
    assert chain.locked_fee("user") == 0


def test_only_a_seal_address_may_reject(chain: ChainByHand) -> None:
    reject = dialect.MsgRejectSealObject(address("user"), BUCKET, "o")
    assert chain.run(("user", reject)) == [("storage", 1111)]


def test_a_cancelled_object_can_be_created_again_with_another_id(chain: ChainByHand) -> None:
    cancel = dialect.MsgCancelCreateObject(address("user"), BUCKET, "o")
    assert chain.run(("user", cancel), ("user", create_object("o"))) == [("", 0)] * 2
    assert chain.object("o").id == "2"


def test_an_empty_object_is_sealed_at_once(chain: ChainByHand) -> None:
    assert chain.run(("user", create_object("empty", payload_size=0))) == [("", 0)]
    assert chain.object("empty").object_status == ObjectStatus.OBJECT_STATUS_SEALED


def test_an_empty_object_of_a_stranger_is_billed_to_the_bucket_and_can_be_deleted(
    chain: ChainByHand,
) -> None:
    empty = dataclasses.replace(create_object("empty", payload_size=0), creator=address("sp-5-gc"))
    policy = _policy_for(
        "sp-5-gc", dialect.Statement(Effect.EFFECT_ALLOW, (ActionType.ACTION_CREATE_OBJECT,))
    )
    created = chain.run(("user", policy), ("sp-5-gc", approved(empty, 0)))
    assert created == [("", 0), ("", 0)]
    assert chain.object("empty").object_status == ObjectStatus.OBJECT_STATUS_SEALED
    assert chain.object("empty").owner == address("user")
    assert chain.run(("user", create_object("more"))) == [("", 0)]
    deletion = dialect.MsgDeleteObject(address("user"), BUCKET, "empty")
    assert chain.run(("user", deletion)) == [("", 0)]


def test_a_policy_lets_a_stranger_create_and_a_denial_wins(chain: ChainByHand) -> None:
    def policy(effect: Effect) -> dialect.MsgPutPolicy:
        return dialect.MsgPutPolicy(
            operator=address("user"),
            principal=dialect.Principal(
                PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, address("sp-5-gc")
            ),
            resource=f"grn:b::{BUCKET}",
            statements=(dialect.Statement(effect, (ActionType.ACTION_CREATE_OBJECT,)),),
        )

    stranger = dataclasses.replace(create_object("theirs"), creator=address("sp-5-gc"))
    creation = ("sp-5-gc", approved(stranger, 0))
    refused = chain.run(creation)
    allowed = chain.run(("user", policy(Effect.EFFECT_ALLOW)), creation)
    again = dataclasses.replace(stranger, object_name="more")
    denied = chain.run(("user", policy(Effect.EFFECT_DENY)), ("sp-5-gc", approved(again, 0)))
    assert (refused, allowed) == ([("storage", 1107)], [("", 0), ("", 0)])
    assert denied == [("", 0), ("storage", 1107)]


@pytest.mark.parametrize(
    ("operator", "principal", "resource", "code"),
    [
        ("sp-5-gc", "sp-6-gc", f"grn:b::{BUCKET}", ("storage", 1107)),
        ("user", "user", f"grn:b::{BUCKET}", ("greenfiled", 1007)),
        ("user", "sp-6-gc", "grn:b::nowhere", ("storage", 1100)),
        ("user", "sp-6-gc", f"grn:o::{BUCKET}/nothing", ("storage", 1101)),
        ("user", "sp-6-gc", "bucket", ("greenfiled", 1008)),
        ("user", "sp-6-gc", f"grn:b:x:{BUCKET}", ("greenfiled", 1008)),
        ("user", "sp-6-gc", f"grn:o::{BUCKET}", ("greenfiled", 1008)),
    ],
)
def test_a_policy_is_the_owners_and_for_somebody_else(
    chain: ChainByHand, operator: str, principal: str, resource: str, code: tuple[str, int]
) -> None:
    message = dialect.MsgPutPolicy(
        operator=address(operator),
        principal=dialect.Principal(PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, address(principal)),
        resource=resource,
        statements=(),
    )
    assert chain.run((operator, message)) == [code]


def test_a_principal_is_an_address(chain: ChainByHand) -> None:
    account = PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT
    message = dataclasses.replace(
        _policy_for("sp-5-gc"), principal=dialect.Principal(account, "zz")
    )
    result = chain.app.check_tx(signed(GENESIS, "user", message, 2))
    assert (result.codespace, result.code) == ("permission", 1100)
    assert result.log == (
        'Invalid account, principal: type:PRINCIPAL_TYPE_GNFD_ACCOUNT value:"zz" , err:'
        " invalid address hex length: 2 != 40: Invalid principal"
    )


@pytest.mark.parametrize(
    ("statement", "log"),
    [
        (
            dialect.Statement(Effect.EFFECT_UNSPECIFIED, (ActionType.ACTION_GET_OBJECT,)),
            "Please specify the Effect explicitly. Not allowed set EFFECT_UNSPECIFIED",
        ),
        (
            dialect.Statement(Effect.EFFECT_ALLOW, (ActionType.ACTION_DELETE_GROUP,)),
            "ACTION_DELETE_GROUP not allowed to be used on bucket.",
        ),
    ],
)
def test_a_statement_that_says_nothing_is_refused(
    chain: ChainByHand, statement: dialect.Statement, log: str
) -> None:
    message = _policy_for("sp-5-gc", statement)
    result = chain.app.check_tx(signed(GENESIS, "user", message, 2))
    assert (result.codespace, result.code) == ("permission", 1101)
    assert result.log == f"{log}: Invalid statement"


def test_a_statement_names_resources_in_the_standard_form(chain: ChainByHand) -> None:
    message = _policy_for("sp-5-gc", dialect.Statement(Effect.EFFECT_ALLOW, (), ("bucket/*",)))
    result = chain.app.check_tx(signed(GENESIS, "user", message, 2))
    assert (result.codespace, result.code) == ("greenfiled", 1008)
    assert result.log == (
        "regex match error. Res: bucket/*.: Not a standard greenfield resource name format"
    )


@pytest.mark.parametrize(
    ("resources", "allowed"),
    [
        ((), False),
        ((f"grn:o::{BUCKET}/o",), True),
        ((f"grn:o::{BUCKET}/*",), True),
        ((f"grn:o::{BUCKET}/p",), False),
        ((f"grn:o::{BUCKET}/p", f"grn:o::{BUCKET}/.*"), True),
    ],
)
def test_a_policy_on_a_bucket_speaks_of_the_objects_that_it_names(
    chain: ChainByHand, resources: tuple[str, ...], allowed: bool
) -> None:
    action = ActionType.ACTION_GET_OBJECT
    statement = dialect.Statement(Effect.EFFECT_ALLOW, (action,), resources)
    assert chain.run(("user", _policy_for("sp-5-gc", statement))) == [("", 0)]
    request = wire.storage.QueryVerifyPermissionRequest(
        operator=address("sp-5-gc"), bucket_name=BUCKET, object_name="o", action_type=action
    )
    path = "/greenfield.storage.Query/VerifyPermission"
    answer = QueryRouter(chain.app).answer(path, request.SerializeToString(), 0)
    effect = wire.storage.QueryVerifyPermissionResponse.FromString(answer.value or b"").effect
    assert effect == (Effect.EFFECT_ALLOW if allowed else Effect.EFFECT_DENY)


def _policy_for(guest: str, *statements: dialect.Statement) -> dialect.MsgPutPolicy:
    return dialect.MsgPutPolicy(
        operator=address("user"),
        principal=dialect.Principal(PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, address(guest)),
        resource=f"grn:b::{BUCKET}",
        statements=statements,
    )


def test_a_known_field_of_another_wire_type_is_named_as_such(chain: ChainByHand) -> None:
    raw = wire.tx.TxRaw.FromString(signed(GENESIS, "user", create_object("x"), 2))
    raw.body_bytes += b"\x10\x01"
    log = chain.app.check_tx(raw.SerializeToString()).log
    assert log.startswith('Mismatched "*tx.TxBody": {TagNum: 2, GotWireType: "varint" != Want')


@pytest.mark.parametrize(
    ("name", "code"), [(b"plain", ("greenfiled", 1001)), (BUCKET.encode(), ("greenfiled", 1000))]
)
def test_a_name_that_is_not_utf_8_is_refused_as_a_name(
    chain: ChainByHand, name: bytes, code: tuple[str, int]
) -> None:
    tx_bytes = signed(GENESIS, "user", create_object("plain"), 2)
    result = chain.app.check_tx(tx_bytes.replace(name, b"\xff" * len(name), 1))
    assert (result.codespace, result.code) == code


def test_a_transaction_that_expired_while_it_waited_is_refused_in_its_block(
    chain: ChainByHand,
) -> None:
    height = chain.app.head.height
    late = signed(GENESIS, "user", create_object("x"), 2, timeout_height=height)
    assert chain.app.check_tx(late).code == 0
    (result,) = chain.app.make_block([late], chain.app.head.time_ns + 1)
    assert (result.codespace, result.code) == ("sdk", 30)


def test_what_check_tx_verified_is_not_recovered_again_in_the_block(chain: ChainByHand) -> None:
    seal = signed(GENESIS, "sp-0-seal", seal_object("o", 1), 0)
    recover_public_key.cache_clear()
    assert chain.app.check_tx(seal).code == 0
    before = recover_public_key.cache_info()
    (result,) = chain.app.make_block([seal], chain.app.head.time_ns + 1)
    after = recover_public_key.cache_info()
    assert result.code == 0
    # The transaction's own signature was remembered; those of the six secondaries are new.
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 6)


def test_a_simulation_leaves_no_trace(chain: ChainByHand) -> None:
    unsigned = signed(GENESIS, "user", create_object("x"), 2)
    for _ in range(2):
        assert chain.app.simulate(unsigned).gas_used == 1200
    with pytest.raises(SimulationFault, match="sequence mismatch"):
        chain.app.simulate(signed(GENESIS, "user", create_object("x"), 3))


def test_the_mempool_drops_what_a_block_made_invalid(chain: ChainByHand) -> None:
    mempool = Mempool(chain.app, MempoolLimits())
    first = signed(GENESIS, "user", create_object("a"), 2)
    same_sequence = signed(GENESIS, "user", create_object("b"), 2)
    second = signed(GENESIS, "user", create_object("c"), 3)
    assert [mempool.submit(tx).code for tx in (first, second)] == [0, 0]
    # Another transaction with the first one's sequence reaches a block before them.
    results = chain.app.make_block([same_sequence], chain.app.head.time_ns + 1)
    mempool.commit([same_sequence], results)
    assert mempool.transactions() == [second]


def test_a_full_mempool_says_how_full(chain: ChainByHand) -> None:
    mempool = Mempool(chain.app, MempoolLimits(size=1))
    first = signed(GENESIS, "user", create_object("a"), 2)
    mempool.submit(first)
    with pytest.raises(MempoolRefusal, match=rf"txs 1 \(max: 1\), total txs bytes {len(first)} "):
        mempool.submit(signed(GENESIS, "user", create_object("b"), 3))


def test_a_known_transaction_is_not_checked_again(chain: ChainByHand) -> None:
    mempool = Mempool(chain.app, MempoolLimits())
    tx = signed(GENESIS, "user", create_object("a"), 2)
    assert mempool.submit(tx).code == 0
    with pytest.raises(MempoolRefusal, match="already exists in cache"):
        mempool.submit(tx)


def test_a_transaction_that_comes_again_is_forgotten_last(chain: ChainByHand) -> None:
    mempool = Mempool(chain.app, MempoolLimits(cache_size=2))
    transactions = [
        signed(GENESIS, "user", create_object(name), 2 + i) for i, name in enumerate("abc")
    ]
    first, second, third = transactions
    mempool.submit(first)
    mempool.submit(second)
    with pytest.raises(MempoolRefusal, match="already exists in cache"):
        mempool.submit(first)
    mempool.submit(third)
    with pytest.raises(MempoolRefusal, match="already exists in cache"):
        mempool.submit(first)
    # Forgotten, it is checked again; its sequence is used up.
    assert mempool.submit(second).code == 32


def test_a_refused_transaction_takes_the_place_of_the_oldest_known(chain: ChainByHand) -> None:
    mempool = Mempool(chain.app, MempoolLimits(cache_size=1))
    known = signed(GENESIS, "user", create_object("a"), 2)
    refused = signed(GENESIS, "user", create_object("b"), 9)
    assert mempool.submit(known).code == 0
    assert [mempool.submit(refused).code for _ in range(2)] == [32, 32]
    assert mempool.submit(known).code == 32


def test_lists_are_paged_without_losing_or_repeating_objects(chain: ChainByHand) -> None:
    names = [f"page-{i}" for i in range(7)]
    chain.run(*(("user", create_object(name)) for name in names))
    queries, seen, key = QueryRouter(chain.app), [], b""
    while True:
        request = wire.storage.QueryListObjectsRequest(bucket_name=BUCKET)
        request.pagination.limit = 3
        request.pagination.key = key
        answer = queries.answer(
            "/greenfield.storage.Query/ListObjects", request.SerializeToString(), 0
        )
        page = wire.storage.QueryListObjectsResponse.FromString(answer.value or b"")
        seen += [info.object_name for info in page.object_infos]
        key = page.pagination.next_key
        if not key:
            break
    assert sorted(seen) == sorted([*names, "o"])


def test_a_query_of_a_past_height_sees_the_past(chain: ChainByHand) -> None:
    height = chain.app.head.height
    chain.run(("sp-0-seal", seal_object("o", 1)))
    request = wire.storage.QueryHeadObjectRequest(bucket_name=BUCKET, object_name="o")
    statuses = []
    for at in (height, 0):
        answer = QueryRouter(chain.app).answer(
            "/greenfield.storage.Query/HeadObject", request.SerializeToString(), at
        )
        response = wire.storage.QueryHeadObjectResponse.FromString(answer.value or b"")
        statuses.append(response.object_info.object_status)
    assert statuses == [
        ObjectStatus.OBJECT_STATUS_CREATED,
        ObjectStatus.OBJECT_STATUS_SEALED,
    ]
