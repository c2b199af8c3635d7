"""Payment accounts, deposits and withdrawals."""

from __future__ import annotations

from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules import records, streams
from greenray.chain.dialects.v0_2.local_rules.faults import fault
from greenray.chain.local.ledger.accounts import get_account
from greenray.chain.local.ledger.bank import send_coins
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event

MAX_ACCOUNTS_OF_OWNER = 200
MAX_AUTO_FORCE_SETTLE_NUM = 100


def create_payment_account(context: Context, message: dialect.MsgCreatePaymentAccount) -> Any:
    """Raises ChainFault: payment/1200."""
    owner = parse_address(message.creator)
    count = records.payment_account_count(context.state, owner) or 0
    if count >= MAX_ACCOUNTS_OF_OWNER:
        raise fault("payment", 1200, f"current count: {count}, limit: {MAX_ACCOUNTS_OF_OWNER}")
    records.put_payment_account_count(context.state, owner, count + 1)
    account = wire.payment.PaymentAccount(
        addr=address_text(records.derived_payment_account(owner, count)),
        # As written in the message, which is what the node compares with later.
        owner=message.creator,
        refundable=True,
    )
    _put(context, account)
    return wire.payment.MsgCreatePaymentAccountResponse()


def disable_refund(context: Context, message: dialect.MsgDisableRefund) -> Any:
    """Raises ChainFault: payment/1202, 1204, 1205."""
    account = _own_account(context, message.addr, message.owner)
    account.refundable = False
    _put(context, account)
    return wire.payment.MsgDisableRefundResponse()


def deposit(context: Context, message: dialect.MsgDeposit) -> Any:
    """To a payment account, or to any other that has been used. Raises ChainFault: sdk/5,
    payment/1207, undefined/1."""
    creator, to = parse_address(message.creator), parse_address(message.to)
    coin = (context.rules.params.fee_denom, message.amount)
    send_coins(context, creator, streams.PAYMENT_POOL, [coin])
    record = records.get_stream(context.state, to)
    if record is None:
        known = records.get_payment_account(context.state, to) or get_account(context.state, to)
        if known is None:
            raise fault("payment", 1207)
        record = streams.new_record(to, context.time_s)
        record.static_balance = str(message.amount)
    else:
        streams.change_record(context, record, streams.StreamChange(static=message.amount))
    streams.store(context, record)
    _emit(context, "EventDeposit", address_text(creator), address_text(to), message.amount)
    return wire.payment.MsgDepositResponse()


def withdraw(context: Context, message: dialect.MsgWithdraw) -> Any:
    """Raises ChainFault: payment/1202 to 1206, undefined/1."""
    record = records.get_stream(context.state, parse_address(message.from_))
    if record is None:
        raise fault("payment", 1203)
    if message.creator != message.from_:
        _own_account(context, message.from_, message.creator)
    streams.change_record(context, record, streams.StreamChange(static=-message.amount))
    streams.store(context, record)
    coin = (context.rules.params.fee_denom, message.amount)
    send_coins(context, streams.PAYMENT_POOL, parse_address(message.creator), [coin])
    _emit(context, "EventWithdraw", message.from_, message.creator, message.amount)
    return wire.payment.MsgWithdrawResponse()


def _own_account(context: Context, address: str, owner: str) -> Any:
    """A refundable payment account of the owner. Raises ChainFault."""
    account = records.get_payment_account(context.state, parse_address(address))
    if account is None:
        raise fault("payment", 1202)
    if account.owner != owner:
        raise fault("payment", 1204)
    if not account.refundable:
        raise fault("payment", 1205)
    return account


def _put(context: Context, account: Any) -> None:
    records.put_payment_account(context.state, account)
    context.emit(
        typed_event(
            "greenfield.payment.EventPaymentAccountUpdate",
            {"addr": account.addr, "owner": account.owner, "refundable": account.refundable},
        )
    )


def _emit(context: Context, name: str, sender: str, receiver: str, amount: int) -> None:
    fields = {"from": sender, "to": receiver, "amount": str(amount)}
    context.emit(typed_event(f"greenfield.payment.{name}", fields))
