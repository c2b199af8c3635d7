"""Stream records: what an account holds, pays and gets per second, and how they change.

Rates and balances are BNB wei (per second). An account is settled when it is next used. Left out:
the settlement that the real chain does by itself when a buffer runs low, and with it the freezing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, module_address, parse_address
from greenray.chain.dialects.v0_2.local_rules.faults import unregistered
from greenray.chain.dialects.v0_2.local_rules.records import get_stream, put_stream
from greenray.chain.local.ledger.accounts import get_account
from greenray.chain.local.ledger.bank import send_coins
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.faults import ChainFault

PAYMENT_POOL = module_address("payment")
_ACTIVE = "STREAM_ACCOUNT_STATUS_ACTIVE"


@dataclass(frozen=True, slots=True)
class StreamChange:
    """Of one stream record."""

    rate: int = 0
    static: int = 0
    lock: int = 0


def new_record(address: bytes, time_s: int) -> Any:
    return wire.payment.StreamRecord(
        account=address_text(address),
        crud_timestamp=time_s,
        netflow_rate="0",
        static_balance="0",
        buffer_balance="0",
        lock_balance="0",
    )


def record_of(context: Context, address: bytes) -> Any:
    """The account's stream record, or a new one that is not stored yet."""
    return get_stream(context.state, address) or new_record(address, context.time_s)


def store(context: Context, record: Any) -> None:
    """Keep a record, and say so in an event."""
    put_stream(context.state, parse_address(record.account), record)
    fields = {
        "account": record.account,
        "buffer_balance": record.buffer_balance,
        "crud_timestamp": str(record.crud_timestamp),
        "lock_balance": record.lock_balance,
        "netflow_rate": record.netflow_rate,
        "out_flows": [{"to_address": f.to_address, "rate": f.rate} for f in record.out_flows],
        "settle_timestamp": str(record.settle_timestamp),
        "static_balance": record.static_balance,
        "status": _ACTIVE,
    }
    context.emit(typed_event("greenfield.payment.EventStreamRecordUpdate", fields))


def change_by_address(context: Context, address: bytes, change: StreamChange) -> Any:
    """Change the record of an account and keep it; returns it. Raises as ``change_record``."""
    record = record_of(context, address)
    try:
        change_record(context, record, change)
    except ChainFault as error:
        raise unregistered(f"update stream record failed: {error.log}") from error
    store(context, record)
    return record


def change_record(context: Context, record: Any, change: StreamChange) -> None:
    """Settle a record up to now, change it, and top it up from the account's balance. What the
    chain does by itself may leave a debt: it goes on, whoever pays for it.

    Raises:
        ChainFault: undefined/1 when the account cannot pay.
    """
    params = context.rules.params
    rate, static = int(record.netflow_rate), int(record.static_balance)
    lock, buffer = int(record.lock_balance), int(record.buffer_balance)
    static += rate * (context.time_s - record.crud_timestamp)
    lock += change.lock
    static -= change.lock
    if lock < 0:
        if not context.by_itself:
            raise unregistered(f"lock balance can not become negative, current: {lock}")
        static, lock = static + lock, 0
    if change.rate:
        rate += change.rate
        new_buffer = max(0, -rate) * params.reserve_time_s
        static -= new_buffer - buffer
        buffer = new_buffer
    static += change.static
    if static < 0:
        static = _topped_up(context, parse_address(record.account), static)
    is_pay = change.static < 0 or change.rate < 0
    if static < 0 and is_pay and not context.by_itself:
        raise _cannot_pay(record, static, "BNB wei")
    settle_at_s = 0
    if rate < 0:
        paid_s = abs(static + buffer) // -rate * (1 if static + buffer >= 0 else -1)
        if paid_s <= params.forced_settle_time_s and not context.by_itself:
            raise _cannot_pay(record, static, "BNB")
        settle_at_s = context.time_s - params.forced_settle_time_s + paid_s
    record.netflow_rate, record.static_balance = str(rate), str(static)
    record.lock_balance, record.buffer_balance = str(lock), str(buffer)
    record.crud_timestamp, record.settle_timestamp = context.time_s, settle_at_s


def _cannot_pay(record: Any, static: int, unit: str) -> ChainFault:
    text = f"stream account {record.account} balance not enough, lack of {abs(static)} {unit}"
    return unregistered(text)


def _topped_up(context: Context, address: bytes, static: int) -> int:
    """The static balance after what lacks has been taken from the account, if there is one that has
    it."""
    if get_account(context.state, address) is None:
        return static
    try:
        send_coins(context, address, PAYMENT_POOL, [(context.rules.params.fee_denom, -static)])
    except ChainFault:
        return static
    return 0


# --- flows ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flows:
    """By what the rates change at which an account pays others."""

    payer: bytes
    rates: Mapping[str, int]


def merged(flows: Iterable[Flows]) -> list[Flows]:
    """One for each payer, in the order of their texts, without rates that cancel out."""
    by_payer: dict[str, dict[str, int]] = {}
    for one in flows:
        rates = by_payer.setdefault(address_text(one.payer), {})
        for address, rate in one.rates.items():
            rates[address] = rates.get(address, 0) + rate
    return [
        Flows(parse_address(payer), {a: rate for a, rate in sorted(rates.items()) if rate})
        for payer, rates in sorted(by_payer.items())
    ]


def apply_flows(context: Context, flows: Iterable[Flows]) -> None:
    """Change what payers pay, then what is received. Raises ChainFault (undefined/1)."""
    received: dict[str, int] = {}
    for one in flows:
        for address, rate in one.rates.items():
            received[address] = received.get(address, 0) + rate
        try:
            _pay(context, one)
        except ChainFault as error:
            text = f"apply stream record changes for user failed: {error.log}"
            raise unregistered(text) from error
    for address in sorted(received):
        try:
            change_by_address(context, parse_address(address), StreamChange(rate=received[address]))
        except ChainFault as error:
            raise unregistered(f"apply stream record changes failed: {error.log}") from error


def _pay(context: Context, flows: Flows) -> None:
    record = record_of(context, flows.payer)
    rates = {flow.to_address: int(flow.rate) for flow in record.out_flows}
    for address, rate in flows.rates.items():
        rates[address] = rates.get(address, 0) + rate
    del record.out_flows[:]
    for address in sorted(rates):
        if rates[address]:
            record.out_flows.add(to_address=address, rate=str(rates[address]))
    total = sum(flows.rates.values())
    reserved = -total * context.rules.params.reserve_time_s
    kind = "UNLOCKED" if reserved > 0 else "PRELOCKED"
    preview_fee(context, flows.payer, abs(reserved), kind)
    change_record(context, record, StreamChange(rate=-total))
    store(context, record)


def preview_fee(context: Context, address: bytes, amount: int, kind: str) -> None:
    """Tell a simulation what would be locked or given back."""
    if not context.is_check:
        return
    fields = {
        "account": address_text(address),
        "amount": str(amount),
        "fee_preview_type": f"FEE_PREVIEW_TYPE_{kind}_FEE",
    }
    context.emit(typed_event("greenfield.payment.EventFeePreview", fields))
