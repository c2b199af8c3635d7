"""Accounts, their balances, and the counters that number what is made.

Values are protobuf bytes as the queries return them, so that a query is one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenray.chain import wire
from greenray.chain.addresses import address_text
from greenray.chain.local.ledger.state import State

ACCOUNT, BALANCE, COUNTER = "account", "balance", "counter"


def next_number(state: State, name: str, first: int) -> int:
    """Take the next number of a counter."""
    key = name.encode()
    stored = state.get(COUNTER, key)
    number = first if stored is None else int(stored)
    state.put(COUNTER, key, str(number + 1).encode())
    return number


# --- accounts and balances ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """``public_key`` is 33 bytes, or empty until the account's first transaction."""

    address: bytes
    account_number: int
    sequence: int
    public_key: bytes = b""


def get_account(state: State, address: bytes) -> AccountRecord | None:
    value = state.get(ACCOUNT, address)
    if value is None:
        return None
    message = wire.auth.BaseAccount.FromString(value)
    key = wire.ethsecp256k1.PubKey.FromString(message.pub_key.value).key
    return AccountRecord(address, message.account_number, message.sequence, key)


def put_account(state: State, account: AccountRecord) -> None:
    message = wire.auth.BaseAccount(
        address=address_text(account.address),
        account_number=account.account_number,
        sequence=account.sequence,
    )
    if account.public_key:
        message.pub_key.type_url = wire.PUBLIC_KEY_TYPE_URL
        message.pub_key.value = wire.ethsecp256k1.PubKey(key=account.public_key).SerializeToString()
    state.put(ACCOUNT, account.address, message.SerializeToString())


def ensure_account(state: State, address: bytes) -> None:
    """An account comes into being when it first receives coins (protocol 04 §7.2)."""
    if state.get(ACCOUNT, address) is None:
        put_account(state, AccountRecord(address, next_number(state, "account", 0), 0))


def get_balance(state: State, address: bytes, denom: str) -> int:
    value = state.get(BALANCE, address + denom.encode())
    return 0 if value is None else int(value)


def put_balance(state: State, address: bytes, denom: str, amount: int) -> None:
    value = str(amount).encode() if amount else None
    state.put(BALANCE, address + denom.encode(), value)
