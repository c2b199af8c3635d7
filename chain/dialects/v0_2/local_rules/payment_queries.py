"""abci_query of the payment module, and of the prices of storage providers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, address_text, parse_address
from greenray.chain.dialects.v0_2.local_rules import payment_accounts, records, streams
from greenray.chain.local.ledger.accounts import get_balance
from greenray.chain.local.ledger.context import Rules
from greenray.chain.local.ledger.genesis import GenesisProvider
from greenray.chain.local.ledger.reading import (
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    StateAt,
    fail,
)
from greenray.protocol.objects import ProviderStatus

_E18 = 10**18
NS_PER_S = 1_000_000_000

# --- payment -------------------------------------------------------------------------------------


def params(request: Any, state: StateAt, rules: Rules) -> Any:
    return wire.payment.QueryParamsResponse(
        params=wire.payment.Params(
            reserve_time=rules.params.reserve_time_s,
            payment_account_count_limit=payment_accounts.MAX_ACCOUNTS_OF_OWNER,
            forced_settle_time=rules.params.forced_settle_time_s,
            max_auto_force_settle_num=payment_accounts.MAX_AUTO_FORCE_SETTLE_NUM,
            fee_denom=rules.params.fee_denom,
            validator_tax_rate=decimal_wire(rules.params.validator_tax_rate),
        )
    )


def stream_record(request: Any, state: StateAt, rules: Rules) -> Any:
    record = records.get_stream(state, _address(request.account, "account"))
    if record is None:
        fail(NOT_FOUND, "not found", prefixed=True)
    return wire.payment.QueryGetStreamRecordResponse(stream_record=record)


def payment_account(request: Any, state: StateAt, rules: Rules) -> Any:
    account = records.get_payment_account(state, _address(request.addr, "address"))
    if account is None:
        fail(NOT_FOUND, "not found", prefixed=True)
    return wire.payment.QueryGetPaymentAccountResponse(payment_account=account)


def payment_account_count(request: Any, state: StateAt, rules: Rules) -> Any:
    owner = _address(request.owner, "owner")
    count = _count(state, owner)
    return wire.payment.QueryGetPaymentAccountCountResponse(
        payment_account_count=wire.payment.PaymentAccountCount(
            owner=address_text(owner), count=count
        )
    )


def payment_accounts_by_owner(request: Any, state: StateAt, rules: Rules) -> Any:
    owner = _address(request.owner, "owner address")
    accounts = [
        address_text(records.derived_payment_account(owner, index))
        for index in range(_count(state, owner))
    ]
    return wire.payment.QueryGetPaymentAccountsByOwnerResponse(paymentAccounts=accounts)


def dynamic_balance(request: Any, state: StateAt, rules: Rules) -> Any:
    address = _address(request.account, "account")
    time_s = state.time_ns // NS_PER_S
    record = records.get_stream(state, address) or streams.new_record(address, time_s)
    static, rate = int(record.static_balance), int(record.netflow_rate)
    locked = int(record.lock_balance) + int(record.buffer_balance)
    bank = get_balance(state, address, rules.params.fee_denom)
    return wire.payment.QueryDynamicBalanceResponse(
        dynamic_balance=str(static + rate * (time_s - record.crud_timestamp)),
        stream_record=record,
        current_timestamp=time_s,
        bank_balance=str(bank),
        available_balance=str(bank + max(0, static)),
        locked_fee=str(locked + min(0, static)),
        change_rate=record.netflow_rate,
    )


def _count(state: StateAt, owner: bytes) -> int:
    count = records.payment_account_count(state, owner)
    if count is None:
        fail(NOT_FOUND, "not found", prefixed=True)
    return count


def _address(text: str, what: str) -> bytes:
    try:
        return parse_address(text)
    except InvalidAddress:
        fail(INVALID_ARGUMENT, f"invalid {what}", prefixed=True)


# --- prices: those of the genesis, which no message of v0.2.0 here changes -----------------------


def sp_storage_price(request: Any, state: StateAt, rules: Rules) -> Any:
    at_s = _asked_time_s(request.timestamp, state)
    address = _address(request.sp_addr, "sp address")
    price = _price_before(rules, address, at_s, state.first_block_time_ns // NS_PER_S)
    if price is None:
        fail(NOT_FOUND, "not found, err: no price found", prefixed=True)
    return wire.sp.QueryGetSpStoragePriceByTimeResponse(
        sp_storage_price=wire.sp.SpStoragePrice(
            sp_address=address_text(address),
            update_time_sec=state.first_block_time_ns // NS_PER_S,
            read_price=decimal_wire(price.read_price),
            free_read_quota=price.free_read_quota,
            store_price=decimal_wire(price.store_price),
        )
    )


def secondary_store_price(request: Any, state: StateAt, rules: Rules) -> Any:
    at_s = _asked_time_s(request.timestamp, state)
    set_at_s = state.first_block_time_ns // NS_PER_S
    prices = [
        Fraction(Decimal(provider.store_price))
        for provider in rules.providers.values()
        if provider.status == ProviderStatus.STATUS_IN_SERVICE
    ]
    if at_s <= set_at_s or not prices:
        fail(INTERNAL, "err: no price found", prefixed=True)
    ratio = Fraction(Decimal(rules.params.secondary_sp_store_price_ratio))
    price = ratio * sum(prices, Fraction(0)) / len(prices)
    return wire.sp.QueryGetSecondarySpStorePriceByTimeResponse(
        secondary_sp_store_price=wire.sp.SecondarySpStorePrice(
            update_time_sec=set_at_s, store_price=str(round(price * _E18))
        )
    )


def _asked_time_s(timestamp: int, state: StateAt) -> int:
    """0 asks for now. Prices count from the second after they were set."""
    if timestamp < 0:
        fail(INVALID_ARGUMENT, "invalid timestamp", prefixed=True)
    return timestamp or state.time_ns // NS_PER_S + 1


def _price_before(rules: Rules, address: bytes, at_s: int, set_at_s: int) -> GenesisProvider | None:
    """Where a provider has no price yet, the node finds that of the provider before it."""
    before = [one for one in rules.providers if (one, set_at_s) < (address, at_s)]
    return rules.providers[before[-1]] if before else None


def decimal_wire(text: str) -> str:
    """A Dec on the wire is its value times 10^18."""
    whole, _, fraction = text.partition(".")
    return str(int(whole + fraction.ljust(18, "0")[:18]))
