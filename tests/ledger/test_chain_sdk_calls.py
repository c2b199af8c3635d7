"""Each call of the SDK v0.2.1 that the embedded chain did not know, by its name in the SDK."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from greenray.chain import wire
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.objects import ActionType, Visibility
from tests.support.chain_by_hand import ChainByHand, events_of
from tests.support.local_chain import (
    BUCKET,
    address,
    create_bucket,
    create_object,
    seal_object,
    small_genesis,
)

USER, GUEST = address("user"), address("sp-5-gc")
ON_BUCKET = f"grn:b::{BUCKET}"
PUBLIC = Visibility.VISIBILITY_TYPE_PUBLIC_READ
PRINCIPAL = dialect.Principal(PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT, GUEST)
MAY_CREATE = dialect.Statement(Effect.EFFECT_ALLOW, (ActionType.ACTION_CREATE_OBJECT,))
TENDERMINT, SP, STORAGE, PAYMENT = (
    "/cosmos.base.tendermint.v1beta1.Service/",
    "/greenfield.sp.Query/",
    "/greenfield.storage.Query/",
    "/greenfield.payment.Query/",
)


@dataclass(frozen=True)
class Session:
    """A chain on which its user has a bucket with a sealed object, a policy of a guest on it, and a
    payment account with a thousand of the smallest coins."""

    chain: ChainByHand
    payment_account: str


@pytest.fixture
def session(database: ChainDatabase) -> Session:
    chain = ChainByHand(database, small_genesis())
    began = chain.results(
        ("user", create_bucket()),
        ("user", create_object("sealed")),
        ("user", dialect.MsgPutPolicy(USER, PRINCIPAL, ON_BUCKET, (MAY_CREATE,), None)),
        ("user", dialect.MsgCreatePaymentAccount(USER)),
    )
    assert [result.code for result in began] == [0] * 4
    account = str(events_of(began[-1])[0][1]["addr"])
    assert chain.one("sp-0-seal", seal_object("sealed", 1)).code == 0
    assert chain.one("user", dialect.MsgDeposit(USER, account, 1000)).code == 0
    return Session(chain, account)


service, sp, payment = wire.tendermint_service, wire.sp, wire.payment


@pytest.mark.parametrize(
    ("call", "path", "request_", "answer"),
    [
        (
            "GetNodeInfo",
            TENDERMINT + "GetNodeInfo",
            service.GetNodeInfoRequest(),
            service.GetNodeInfoResponse,
        ),
        (
            "GetSyncing",
            TENDERMINT + "GetSyncing",
            service.GetSyncingRequest(),
            service.GetSyncingResponse,
        ),
        (
            "GetBlockByHeight",
            TENDERMINT + "GetBlockByHeight",
            service.GetBlockByHeightRequest(height=1),
            service.GetBlockByHeightResponse,
        ),
        (
            "GetStoragePrice",
            SP + "QueryGetSpStoragePriceByTime",
            sp.QueryGetSpStoragePriceByTimeRequest(sp_addr=address("sp-0-operator")),
            sp.QueryGetSpStoragePriceByTimeResponse,
        ),
        (
            "GetSecondarySpStorePrice",
            SP + "QueryGetSecondarySpStorePriceByTime",
            sp.QueryGetSecondarySpStorePriceByTimeRequest(),
            sp.QueryGetSecondarySpStorePriceByTimeResponse,
        ),
        (
            "GetBucketPolicy",
            STORAGE + "QueryPolicyForAccount",
            wire.storage.QueryPolicyForAccountRequest(resource=ON_BUCKET, principal_address=GUEST),
            wire.storage.QueryPolicyForAccountResponse,
        ),
        (
            "GetPaymentAccountsByOwner",
            PAYMENT + "GetPaymentAccountsByOwner",
            payment.QueryGetPaymentAccountsByOwnerRequest(owner=USER),
            payment.QueryGetPaymentAccountsByOwnerResponse,
        ),
    ],
)
def test_a_query_of_the_sdk_is_answered(
    session: Session, call: str, path: str, request_: Any, answer: Any
) -> None:
    assert session.chain.ask(path, request_, answer).ByteSize() or call == "GetSyncing"


def test_a_payment_account_of_the_sdk_is_found_by_its_address(session: Session) -> None:
    asked = payment.QueryGetPaymentAccountRequest(addr=session.payment_account)
    answer = session.chain.ask(
        PAYMENT + "PaymentAccount", asked, payment.QueryGetPaymentAccountResponse
    )
    assert answer.payment_account.owner == USER


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("BuyQuotaForBucket", dialect.MsgUpdateBucketInfo(USER, BUCKET, dialect.UInt64Value(9))),
        ("UpdateBucketVisibility", dialect.MsgUpdateBucketInfo(USER, BUCKET, visibility=PUBLIC)),
        ("UpdateObjectVisibility", dialect.MsgUpdateObjectInfo(USER, BUCKET, "sealed", PUBLIC)),
        ("DeleteBucketPolicy", dialect.MsgDeletePolicy(USER, PRINCIPAL, ON_BUCKET)),
        ("CreatePaymentAccount", dialect.MsgCreatePaymentAccount(USER)),
        ("CreateGroup", dialect.MsgCreateGroup(USER, "readers")),
        ("DeleteObject", dialect.MsgDeleteObject(USER, BUCKET, "sealed")),
    ],
)
def test_a_message_of_the_sdk_is_executed(
    session: Session, call: str, message: dialect.Message
) -> None:
    result = session.chain.one("user", message)
    assert result.code == 0, (call, result.log)


@pytest.mark.parametrize(
    ("call", "message"), [("Deposit", dialect.MsgDeposit), ("Withdraw", dialect.MsgWithdraw)]
)
def test_a_payment_of_the_sdk_is_executed(
    session: Session, call: str, message: Callable[[str, str, int], dialect.Message]
) -> None:
    result = session.chain.one("user", message(USER, session.payment_account, 5))
    assert result.code == 0, (call, result.log)


def test_a_bucket_is_deleted_by_the_sdk_once_it_is_empty(session: Session) -> None:
    deleted = session.chain.run(
        ("user", dialect.MsgDeleteObject(USER, BUCKET, "sealed")),
        ("user", dialect.MsgDeleteBucket(USER, BUCKET)),
    )
    assert deleted == [("", 0)] * 2
