"""Payment streams as far as a storage provider can see them.

Buckets and objects lock and charge the storage fee of their payment account; the account's
stream record follows, topped up from its balance. Rates are BNB wei per second. Left out:
payment accounts of their own, deposits and withdrawals, forced settlement and freezing, and the
settlement that the real chain does by itself when a buffer runs low (here an account is settled
when it is next used).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, module_address, parse_address
from greenray.chain.dialects.v0_2.local_rules.faults import storage
from greenray.chain.dialects.v0_2.local_rules.records import get_stream, put_stream
from greenray.chain.local.ledger.bank import send_coins
from greenray.chain.local.ledger.context import Context, Rules
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.faults import ChainFault

PAYMENT_POOL = module_address("payment")
# Recorded from a v0.2.0 node; it receives the payment module's validator tax.
VALIDATOR_TAX_POOL = bytes.fromhex("dF5F0588f6B09f0B9E58D3426252db25Dc74E7a1")
_ACTIVE = "STREAM_ACCOUNT_STATUS_ACTIVE"


@dataclass(frozen=True, slots=True)
class Prices:
    """BNB wei per byte and second."""

    read: Fraction
    primary_store: Fraction
    secondary_store: Fraction


@lru_cache(maxsize=1024)
def prices(rules: Rules, primary_sp_address: str) -> Prices:
    """Read and store price of the primary; a secondary gets a share of the average store price."""
    primary = rules.providers[parse_address(primary_sp_address)]
    store_prices = [_fraction(p.store_price) for p in rules.providers.values()]
    average = sum(store_prices, Fraction(0)) / len(store_prices)
    return Prices(
        read=_fraction(primary.read_price),
        primary_store=_fraction(primary.store_price),
        secondary_store=average * _fraction(rules.params.secondary_sp_store_price_ratio),
    )


def charge_size(rules: Rules, payload_size: int) -> int:
    """The size that is paid for, bytes."""
    return max(payload_size, rules.params.storage.min_charge_size)


def lock_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Reserve the fee of an object that is not sealed yet. Raises ChainFault (storage/1117)."""
    amount = _lock_amount(context.rules, bucket, info)
    _update(context, parse_address(bucket.payment_address), lock_change=amount)


def unlock_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Give the reserved fee back. Raises ChainFault (storage/1117)."""
    amount = _lock_amount(context.rules, bucket, info)
    _update(context, parse_address(bucket.payment_address), lock_change=-amount)


def charge_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Start paying for a sealed object; ``bucket.billing_info`` is changed in place.

    Raises ChainFault (storage/1117).
    """
    before = _bill(context.rules, bucket)
    size = charge_size(context.rules, info.payload_size)
    billing = bucket.billing_info
    billing.total_charge_size += size
    for secondary in _secondaries(context.rules, info):
        _add_secondary(billing, secondary, size)
    billing.price_time = context.time_s
    _apply_bills(context, bucket, before, _bill(context.rules, bucket))


def stop_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Stop paying for a sealed object; ``bucket.billing_info`` is changed in place.

    Raises ChainFault (storage/1117).
    """
    before = _bill(context.rules, bucket)
    size = charge_size(context.rules, info.payload_size)
    billing = bucket.billing_info
    billing.total_charge_size -= size
    left = {e.sp_address: e.total_charge_size for e in billing.secondary_sp_objects_size}
    for secondary in _secondaries(context.rules, info):
        left[secondary] -= size
    del billing.secondary_sp_objects_size[:]
    for address, charged in left.items():
        if charged:
            billing.secondary_sp_objects_size.add(sp_address=address, total_charge_size=charged)
    billing.price_time = context.time_s
    _apply_bills(context, bucket, before, _bill(context.rules, bucket))


def stop_read_quota(context: Context, bucket: Any) -> None:
    """Stop paying for the read quota of an empty bucket. Raises ChainFault (storage/1117)."""
    _apply_bills(context, bucket, _bill(context.rules, bucket), {})


def charge_read_quota(context: Context, bucket: Any) -> None:
    """Start paying for the read quota of a new bucket. Raises ChainFault (storage/1117)."""
    if bucket.charged_read_quota == 0:
        return
    bucket.billing_info.price_time = context.time_s
    _apply_bills(context, bucket, {}, _bill(context.rules, bucket))


def _lock_amount(rules: Rules, bucket: Any, info: Any) -> int:
    price = prices(rules, bucket.primary_sp_address)
    n = rules.params.storage.secondary_count
    per_byte = price.primary_store + price.secondary_store * n
    return _rate(per_byte, charge_size(rules, info.payload_size)) * rules.params.reserve_time_s


def _secondaries(rules: Rules, info: Any) -> list[str]:
    """Who is paid. An empty object is sealed at once, with its creator among the addresses if that
    is not the owner (see ``create_object``): no provider, mostly."""
    addresses = info.secondary_sp_addresses
    return [address for address in addresses if parse_address(address) in rules.providers]


def _add_secondary(billing: Any, address: str, size: int) -> None:
    for entry in billing.secondary_sp_objects_size:
        if entry.sp_address == address:
            entry.total_charge_size += size
            return
    billing.secondary_sp_objects_size.add(sp_address=address, total_charge_size=size)
    billing.secondary_sp_objects_size.sort(key=lambda entry: str(entry.sp_address))


def _bill(rules: Rules, bucket: Any) -> dict[str, int]:
    """Rate per receiving address that the bucket costs its payment account."""
    billing = bucket.billing_info
    if billing.total_charge_size == 0 and bucket.charged_read_quota == 0:
        return {}
    price = prices(rules, bucket.primary_sp_address)
    rates: dict[str, int] = {}

    def add(address: str, rate: int) -> None:
        if rate > 0:
            rates[address] = rates.get(address, 0) + rate

    primary = rules.providers[parse_address(bucket.primary_sp_address)]
    read_rate = _rate(price.read, bucket.charged_read_quota)
    store_rate = _rate(price.primary_store, billing.total_charge_size)
    add(primary.funding_address, read_rate + store_rate)
    for entry in billing.secondary_sp_objects_size:
        provider = rules.providers[parse_address(entry.sp_address)]
        add(provider.funding_address, _rate(price.secondary_store, entry.total_charge_size))
    tax = _rate(_fraction(rules.params.validator_tax_rate), sum(rates.values()))
    add(address_text(VALIDATOR_TAX_POOL), tax)
    return rates


def _rate(price: Fraction, size_bytes: int) -> int:
    """Rounded down. A product of fractions would look for common divisors first."""
    return price.numerator * size_bytes // price.denominator


def _apply_bills(
    context: Context, bucket: Any, before: dict[str, int], after: dict[str, int]
) -> None:
    changes = {
        address: after.get(address, 0) - before.get(address, 0)
        for address in sorted({*before, *after})
    }
    changes = {address: change for address, change in changes.items() if change}
    payer = parse_address(bucket.payment_address)
    _update(context, payer, rate_change=-sum(changes.values()), flow_changes=changes)
    for address, change in changes.items():
        _update(context, parse_address(address), rate_change=change)


def _update(
    context: Context,
    address: bytes,
    *,
    lock_change: int = 0,
    rate_change: int = 0,
    flow_changes: dict[str, int] | None = None,
) -> None:
    """Settle a stream record up to now, change it, and top it up from the account's balance."""
    params = context.rules.params
    record = get_stream(context.state, address) or _new_record(context, address)
    rate, static = int(record.netflow_rate), int(record.static_balance)
    lock, buffer = int(record.lock_balance), int(record.buffer_balance)
    static += rate * (context.time_s - record.crud_timestamp)
    if lock_change:
        lock += lock_change
        static -= lock_change
        _emit_preview(context, address, lock_change)
    if rate_change:
        rate += rate_change
        new_buffer = max(0, -rate) * params.reserve_time_s
        static -= new_buffer - buffer
        _emit_preview(context, address, new_buffer - buffer)
        buffer = new_buffer
    if static < 0:
        _top_up(context, address, -static)
        static = 0
    settle_at_s = 0
    if rate < 0:
        settle_at_s = context.time_s - params.forced_settle_time_s + (static + buffer) // -rate
    record.netflow_rate, record.static_balance = str(rate), str(static)
    record.lock_balance, record.buffer_balance = str(lock), str(buffer)
    record.crud_timestamp, record.settle_timestamp = context.time_s, settle_at_s
    _merge_flows(record, flow_changes or {})
    put_stream(context.state, address, record)
    _emit_update(context, record)


def _new_record(context: Context, address: bytes) -> Any:
    return wire.payment.StreamRecord(
        account=address_text(address),
        crud_timestamp=context.time_s,
        netflow_rate="0",
        static_balance="0",
        buffer_balance="0",
        lock_balance="0",
    )


def _top_up(context: Context, address: bytes, amount: int) -> None:
    coin = (context.rules.params.fee_denom, amount)
    try:
        send_coins(context, address, PAYMENT_POOL, [coin])
    except ChainFault as error:
        raise storage(1117, error.log) from error


def _merge_flows(record: Any, changes: dict[str, int]) -> None:
    if not changes:
        return
    rates = {flow.to_address: int(flow.rate) for flow in record.out_flows}
    for address, change in changes.items():
        rates[address] = rates.get(address, 0) + change
    del record.out_flows[:]
    for address in sorted(rates):
        if rates[address]:
            record.out_flows.add(to_address=address, rate=str(rates[address]))


def _emit_preview(context: Context, address: bytes, change: int) -> None:
    if not context.simulate or not change:
        return
    kind = "PRELOCKED" if change > 0 else "UNLOCKED"
    fields = {
        "account": address_text(address),
        "amount": str(abs(change)),
        "fee_preview_type": f"FEE_PREVIEW_TYPE_{kind}_FEE",
    }
    context.emit(typed_event("greenfield.payment.EventFeePreview", fields))


def _emit_update(context: Context, record: Any) -> None:
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


@lru_cache(maxsize=1024)
def _fraction(text: str) -> Fraction:
    return Fraction(Decimal(text))
