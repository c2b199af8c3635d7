"""What buckets and objects cost their payment account (protocol 04 §10).

Prices and rates are BNB wei (per byte, per second).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects.v0_2.local_rules.faults import fault, storage, unregistered
from greenray.chain.dialects.v0_2.local_rules.records import get_payment_account
from greenray.chain.dialects.v0_2.local_rules.streams import (
    Flows,
    StreamChange,
    apply_flows,
    change_by_address,
    merged,
    preview_fee,
)
from greenray.chain.local.ledger.context import Context, Rules
from greenray.chain.local.ledger.faults import ChainFault

# Recorded from a v0.2.0 node; it receives the payment module's validator tax.
VALIDATOR_TAX_POOL = bytes.fromhex("dF5F0588f6B09f0B9E58D3426252db25Dc74E7a1")


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


def payment_address(context: Context, wanted: str, owner: bytes) -> str:
    """Who pays for a bucket of the owner: the owner, or a payment account of the owner's.

    Raises:
        ChainFault: payment/1204.
    """
    if not wanted:
        return address_text(owner)
    address = parse_address(wanted)
    if address != owner:
        account = get_payment_account(context.state, address)
        if account is None or account.owner != address_text(owner):
            raise fault("payment", 1204)
    return address_text(address)


# --- fees of objects: each raises ChainFault, undefined/1, when the account cannot pay -----------


def lock_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Reserve the fee of an object that is not sealed yet."""
    amount = _lock_amount(context.rules, bucket, info)
    payer = parse_address(bucket.payment_address)
    preview_fee(context, payer, amount, "PRELOCKED")
    record = change_by_address(context, payer, StreamChange(lock=amount))
    if int(record.static_balance) < 0:
        lacks = -int(record.static_balance)
        raise unregistered(f"static balance is not enough, lacks {lacks}")


def unlock_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Give the reserved fee back."""
    amount = _lock_amount(context.rules, bucket, info)
    change_by_address(context, parse_address(bucket.payment_address), StreamChange(lock=-amount))


def unlock_and_charge_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Give the reserved fee back and start paying, when an object is sealed."""
    with _wrapping("unlock store fee failed: "):
        unlock_store_fee(context, bucket, info)
    charge_store_fee(context, bucket, info)


def charge_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Start paying for a sealed object; ``bucket.billing_info`` is changed in place."""
    size = charge_size(context.rules, info.payload_size)

    def charge() -> None:
        bucket.billing_info.total_charge_size += size
        for secondary in _secondaries(context.rules, info):
            _add_secondary(bucket.billing_info, secondary, size)

    _charge_change(context, bucket, charge)


def stop_store_fee(context: Context, bucket: Any, info: Any) -> None:
    """Stop paying for a sealed object; ``bucket.billing_info`` is changed in place."""
    size = charge_size(context.rules, info.payload_size)

    def stop() -> None:
        billing = bucket.billing_info
        billing.total_charge_size -= size
        left = {e.sp_address: e.total_charge_size for e in billing.secondary_sp_objects_size}
        for secondary in _secondaries(context.rules, info):
            left[secondary] -= size
        del billing.secondary_sp_objects_size[:]
        for address, charged in left.items():
            if charged:
                billing.secondary_sp_objects_size.add(sp_address=address, total_charge_size=charged)

    _charge_change(context, bucket, stop)


# --- of buckets ----------------------------------------------------------------------------------


def charge_read_quota(context: Context, bucket: Any) -> None:
    """Start paying for the read quota of a new bucket. Raises ChainFault (undefined/1)."""
    if bucket.charged_read_quota == 0:
        return
    bucket.billing_info.price_time = context.time_s
    apply_flows(context, [_bill(context.rules, bucket)])


def stop_read_quota(context: Context, bucket: Any) -> None:
    """Stop paying for the read quota of an empty bucket. Raises ChainFault (storage/1117)."""
    bill = _bill(context.rules, bucket)
    if not bill.rates:
        return
    try:
        apply_flows(context, [_negative(bill)])
    except ChainFault as error:
        raise storage(1117, f"ChargeDeleteBucket error: {error.log}") from error


def change_payment(context: Context, bucket: Any, payment_address: str, read_quota: int) -> None:
    """Let another account pay, or pay for another read quota (bytes); ``bucket`` is changed.

    Raises:
        ChainFault: undefined/1: both at once, or an account that cannot pay.
    """
    if bucket.payment_address != payment_address and bucket.charged_read_quota != read_quota:
        raise unregistered("payment address and read quota can not be changed at the same time")

    def change() -> None:
        bucket.payment_address = payment_address
        bucket.charged_read_quota = read_quota

    _charge_change(context, bucket, change)


# --- parts ---------------------------------------------------------------------------------------


def _charge_change(context: Context, bucket: Any, change: Callable[[], None]) -> None:
    """Pay by the bucket's bill after the change instead of the one before it."""
    before = _bill(context.rules, bucket)
    change()
    bucket.billing_info.price_time = context.time_s
    after = _bill(context.rules, bucket)
    with _wrapping("charge according to bill change failed: apply user flows list failed: "):
        apply_flows(context, merged([_negative(before), after]))


@contextmanager
def _wrapping(text: str) -> Iterator[None]:
    try:
        yield
    except ChainFault as error:
        raise unregistered(f"{text}{error.log}") from error


def _negative(bill: Flows) -> Flows:
    return Flows(bill.payer, {address: -rate for address, rate in bill.rates.items()})


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


def _bill(rules: Rules, bucket: Any) -> Flows:
    """Rate per receiving address that the bucket costs its payment account."""
    billing = bucket.billing_info
    rates: dict[str, int] = {}
    payer = parse_address(bucket.payment_address)
    if billing.total_charge_size == 0 and bucket.charged_read_quota == 0:
        return Flows(payer, rates)
    price = prices(rules, bucket.primary_sp_address)

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
    return Flows(payer, rates)


def _rate(price: Fraction, size_bytes: int) -> int:
    """Rounded down. A product of fractions would look for common divisors first."""
    return price.numerator * size_bytes // price.denominator


@lru_cache(maxsize=1024)
def _fraction(text: str) -> Fraction:
    return Fraction(Decimal(text))
