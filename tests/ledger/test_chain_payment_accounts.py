"""Payment accounts of the embedded chain: made, filled, used, emptied, closed for refunds.

Texts, events and their order are those of the Go sources at v0.2.0.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.chain import wire
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.ledger.state import ChainDatabase
from tests.support.chain_by_hand import ChainByHand, events_of
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

OK = ("", 0)
USER, GUEST = address("user"), address("sp-5-gc")
GENESIS = small_genesis()
PAYMENT = "/greenfield.payment.Query/"
POOL = "0x040fFD5925D40E11c67b7238A7fc9957850B8b9a"


@pytest.fixture
def chain(database: ChainDatabase) -> ChainByHand:
    return ChainByHand(database, GENESIS)


@pytest.fixture
def account(chain: ChainByHand) -> str:
    """The first payment account of the user."""
    return str(events_of(chain.one("user", dialect.MsgCreatePaymentAccount(USER)))[0][1]["addr"])


def static_balance(chain: ChainByHand, account: str) -> int:
    asked = wire.payment.QueryGetStreamRecordRequest(account=account)
    answer = chain.ask(PAYMENT + "StreamRecord", asked, wire.payment.QueryGetStreamRecordResponse)
    return int(answer.stream_record.static_balance)


def balance(chain: ChainByHand, account: str) -> int:
    asked = wire.bank.QueryBalanceRequest(address=account, denom="BNB")
    path = "/cosmos.bank.v1beta1.Query/Balance"
    return int(chain.ask(path, asked, wire.bank.QueryBalanceResponse).balance.amount)


def accounts_of(chain: ChainByHand, owner: str) -> list[str]:
    asked = wire.payment.QueryGetPaymentAccountsByOwnerRequest(owner=owner)
    answer = chain.ask(
        PAYMENT + "GetPaymentAccountsByOwner",
        asked,
        wire.payment.QueryGetPaymentAccountsByOwnerResponse,
    )
    return list(answer.paymentAccounts)


def test_a_payment_account_is_made_and_found(chain: ChainByHand) -> None:
    result = chain.one("user", dialect.MsgCreatePaymentAccount(USER))
    assert (result.code, result.gas_used) == (0, 200_000)
    ((name, fields),) = events_of(result)
    assert name == "payment.EventPaymentAccountUpdate"
    assert (fields["owner"], fields["refundable"]) == (USER, True)
    assert chain.run(("user", dialect.MsgCreatePaymentAccount(USER))) == [OK]
    first, second = accounts_of(chain, USER)
    assert fields["addr"] == first != second
    asked = wire.payment.QueryGetPaymentAccountRequest(addr=first)
    found = chain.ask(
        PAYMENT + "PaymentAccount", asked, wire.payment.QueryGetPaymentAccountResponse
    ).payment_account
    assert (found.addr, found.owner, found.refundable) == (first, USER, True)
    count = chain.ask(
        PAYMENT + "PaymentAccountCount",
        wire.payment.QueryGetPaymentAccountCountRequest(owner=USER),
        wire.payment.QueryGetPaymentAccountCountResponse,
    ).payment_account_count
    assert (count.owner, count.count) == (USER, 2)


def test_who_has_no_payment_account_is_told_so(chain: ChainByHand) -> None:
    not_found = (22, "rpc error: code = NotFound desc = not found: key not found")
    by_owner = wire.payment.QueryGetPaymentAccountsByOwnerRequest(owner=USER)
    assert chain.refused_answer(PAYMENT + "GetPaymentAccountsByOwner", by_owner) == not_found
    account = wire.payment.QueryGetPaymentAccountRequest(addr=USER)
    assert chain.refused_answer(PAYMENT + "PaymentAccount", account) == not_found
    nonsense = wire.payment.QueryGetPaymentAccountRequest(addr="0x1")
    assert chain.refused_answer(PAYMENT + "PaymentAccount", nonsense) == (
        18,
        "rpc error: code = InvalidArgument desc = invalid address: invalid request",
    )


def test_a_deposit_moves_coins_into_the_account_and_a_withdrawal_back(
    chain: ChainByHand, account: str
) -> None:
    result = chain.one("user", dialect.MsgDeposit(USER, account, 1000))
    assert (result.code, result.gas_used) == (0, 1200)
    assert [name for name, _ in events_of(result)] == [
        "payment.EventStreamRecordUpdate",
        "payment.EventDeposit",
    ]
    assert events_of(result)[-1][1] == {"from": USER, "to": account, "amount": "1000"}
    assert chain.run(("user", dialect.MsgDeposit(USER, account, 500))) == [OK]
    assert (static_balance(chain, account), balance(chain, POOL)) == (1500, 1500)

    before = balance(chain, USER)
    result = chain.one("user", dialect.MsgWithdraw(USER, account, 400))
    assert result.code == 0
    assert [name for name, _ in events_of(result)] == [
        "payment.EventStreamRecordUpdate",
        "payment.EventWithdraw",
    ]
    assert events_of(result)[-1][1] == {"from": account, "to": USER, "amount": "400"}
    assert (static_balance(chain, account), balance(chain, POOL)) == (1100, 1100)
    assert balance(chain, USER) == before + 400 - 1200 * GENESIS.min_gas_price


def test_a_withdrawal_is_refused_as_the_node_refuses_it(chain: ChainByHand, account: str) -> None:
    withdraw = dialect.MsgWithdraw(USER, account, 1000)
    assert chain.refusal("user", withdraw) == ("payment", 1203, "stream record not found")
    assert chain.run(("user", dialect.MsgDeposit(USER, account, 999))) == [OK]
    assert chain.refusal("user", withdraw) == (
        "undefined",
        1,
        f"stream account {account} balance not enough, lack of 1 BNB wei",
    )
    foreign = dialect.MsgWithdraw(GUEST, account, 1)
    assert chain.refusal("sp-5-gc", foreign) == ("payment", 1204, "not payment account owner")
    assert static_balance(chain, account) == 999


def test_a_deposit_is_refused_as_the_node_refuses_it(chain: ChainByHand, account: str) -> None:
    nobody = "0x7777777777777777777777777777777777777777"
    assert chain.refusal("user", dialect.MsgDeposit(USER, nobody, 1)) == (
        "payment",
        1207,
        "receive account not exist",
    )
    codespace, code, log = chain.refusal("user", dialect.MsgDeposit(USER, account, 10**30))
    assert (codespace, code) == ("sdk", 5)
    assert log.endswith(f"is smaller than {10**30}BNB: insufficient funds")


@pytest.mark.parametrize("amount", [0, -5])
def test_an_amount_is_positive(chain: ChainByHand, amount: int) -> None:
    for message in (
        dialect.MsgDeposit(USER, GUEST, amount),
        dialect.MsgWithdraw(USER, USER, amount),
    ):
        checked = chain.app.check_tx(signed(GENESIS, "user", message, 0))
        assert (checked.codespace, checked.code) == ("sdk", 10)
        assert checked.log == f"invalid amount ({amount}): invalid coins"


def test_nothing_is_withdrawn_once_refunds_are_disabled(chain: ChainByHand, account: str) -> None:
    assert chain.run(("user", dialect.MsgDeposit(USER, account, 1000))) == [OK]
    foreign = dialect.MsgDisableRefund(GUEST, account)
    assert chain.refusal("sp-5-gc", foreign) == ("payment", 1204, "not payment account owner")
    result = chain.one("user", dialect.MsgDisableRefund(USER, account))
    assert events_of(result) == [
        (
            "payment.EventPaymentAccountUpdate",
            {"addr": account, "owner": USER, "refundable": False},
        )
    ]
    closed = ("payment", 1205, "payment account has already be set as non-refundable")
    assert chain.refusal("user", dialect.MsgWithdraw(USER, account, 1)) == closed
    assert chain.refusal("user", dialect.MsgDisableRefund(USER, account)) == closed
    assert chain.refusal("user", dialect.MsgDisableRefund(USER, GUEST)) == (
        "payment",
        1202,
        "payment account not found",
    )


def test_a_bucket_is_paid_for_by_a_payment_account_of_its_owner(
    chain: ChainByHand, account: str
) -> None:
    message = approved(replace(create_bucket(), payment_address=account), 0)
    assert chain.run(("user", message)) == [OK]
    foreign = replace(create_bucket("guests-bucket"), creator=GUEST, payment_address=account)
    assert chain.refusal("sp-5-gc", approved(foreign, 0)) == (
        "payment",
        1204,
        "not payment account owner",
    )


def test_the_balance_of_an_account_is_told_with_what_flows(
    chain: ChainByHand, account: str
) -> None:
    assert chain.run(("user", dialect.MsgDeposit(USER, account, 700))) == [OK]
    asked = wire.payment.QueryDynamicBalanceRequest(account=account)
    found = chain.ask(PAYMENT + "DynamicBalance", asked, wire.payment.QueryDynamicBalanceResponse)
    assert (found.dynamic_balance, found.available_balance, found.bank_balance) == (
        "700",
        "700",
        "0",
    )
    assert (found.locked_fee, found.change_rate) == ("0", "0")
    assert found.current_timestamp == chain.app.head.time_s
    params = chain.ask(
        PAYMENT + "Params", wire.payment.QueryParamsRequest(), wire.payment.QueryParamsResponse
    ).params
    assert (params.reserve_time, params.payment_account_count_limit) == (60, 200)
    assert (params.forced_settle_time, params.validator_tax_rate) == (30, str(10**16))


def test_the_chain_deletes_by_itself_also_what_nobody_can_pay_for_any_more(
    chain: ChainByHand, account: str
) -> None:
    bucket = approved(replace(create_bucket(), payment_address=account), 0)
    assert (
        chain.run(
            ("user", dialect.MsgDeposit(USER, account, 10**7)),
            ("user", bucket),
            ("user", create_object("sealed")),
            ("user", create_object("created")),
            ("user", create_object("kept")),
        )
        == [OK] * 5
    )
    seals = [("sp-0-seal", seal_object(name, one)) for name, one in (("sealed", 1), ("kept", 3))]
    assert chain.run(*seals) == [OK, OK]
    discontinue = dialect.discontinue_object_message(address("sp-0-gc"), BUCKET, [1, 2], "cleanup")
    assert chain.run(("sp-0-gc", discontinue)) == [OK]
    a_month_ns = 30 * 86_400 * 10**9
    chain.app.make_block([], chain.app.head.time_ns + a_month_ns)
    assert (chain.object("sealed"), chain.object("created")) == (None, None)
    assert chain.object("kept") is not None
    assert static_balance(chain, account) < 0, "it is in debt"
    enough = dialect.MsgDeposit(USER, account, 10**18)
    assert chain.run(("user", enough)) == [OK]
    assert static_balance(chain, account) > 0


def test_what_one_account_locked_is_not_given_back_to_the_next(
    chain: ChainByHand, account: str
) -> None:
    change = dialect.MsgUpdateBucketInfo(USER, BUCKET, payment_address=account)
    assert (
        chain.run(
            ("user", dialect.MsgDeposit(USER, account, 10**9)),
            ("user", create_bucket()),
            ("user", create_object("created")),
            ("user", change),
        )
        == [OK] * 4
    )
    locked = chain.locked_fee("user")
    cancel = dialect.cancel_create_object_message(USER, BUCKET, "created")
    assert chain.refusal("user", cancel) == (
        "undefined",
        1,
        f"update stream record failed: lock balance can not become negative, current: -{locked}",
    )
    discontinue = dialect.discontinue_object_message(address("sp-0-gc"), BUCKET, [1], "cleanup")
    assert chain.run(("sp-0-gc", discontinue)) == [OK]
    chain.app.make_block([], chain.app.head.time_ns + 30 * 86_400 * 10**9)
    assert chain.object("created") is None
    assert static_balance(chain, account) == 10**9
