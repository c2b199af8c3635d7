"""Typed reading and writing of the chain's state.

Values are protobuf bytes as the queries return them, so that a query is one look-up. Messages
handed out are private copies: changing one changes nothing until it is put back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.chain.crypto import keccak256
from greenray.chain.local.addresses import address_text, parse_address
from greenray.chain.local.events import Event
from greenray.chain.local.genesis import ChainParams, Genesis, GenesisProvider
from greenray.chain.local.state import State

ACCOUNT, BALANCE, BUCKET, BUCKET_NAME = "account", "balance", "bucket", "bucket_name"
OBJECT, OBJECT_PLACE, POLICY, STREAM, COUNTER = (
    "object",
    "object_place",
    "policy",
    "stream",
    "counter",
)


class Rules:
    """The constant part of a chain: its genesis, indexed."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.chain_id = genesis.chain_id
        self.params: ChainParams = genesis.params
        by_operator = {parse_address(p.operator_address): p for p in genesis.storage_providers}
        # In the order in which the chain lists them.
        self.providers: dict[bytes, GenesisProvider] = dict(sorted(by_operator.items()))
        self.providers_by_seal: dict[bytes, GenesisProvider] = {
            parse_address(p.seal_address): p for p in genesis.storage_providers
        }


class GasMeter:
    """Counts gas against a limit; ``limit`` 2^64-1 stands for none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def consume(self, amount: int) -> bool:
        """False when the limit is exceeded; what was asked for counts as used all the same."""
        self.used += amount
        return self.used <= self.limit


NO_GAS_LIMIT = 2**64 - 1


@dataclass(slots=True)
class Context:
    """What a transaction runs in. ``time_s`` is the block's time in unix seconds."""

    state: State
    rules: Rules
    height: int
    time_s: int
    is_check: bool = False
    simulate: bool = False
    events: list[Event] = field(default_factory=list)
    gas: GasMeter = field(default_factory=lambda: GasMeter(NO_GAS_LIMIT))

    def emit(self, *events: Event) -> None:
        self.events.extend(events)


# --- counters ----------------------------------------------------------------------------------


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


# --- buckets and objects -----------------------------------------------------------------------


def number_key(number: int) -> bytes:
    """The bytes of an id without leading zeros, as the real store has them: pages of buckets come
    in the order of these, so that bucket 256 follows bucket 1."""
    return number.to_bytes(-(-number.bit_length() // 8), "big")


@lru_cache(maxsize=65_536)
def bucket_key(bucket_name: str) -> bytes:
    return keccak256(bucket_name.encode())


@lru_cache(maxsize=65_536)
def object_key(bucket_name: str, object_name: str) -> bytes:
    """Objects of a bucket lie together, in the order of their hashed names."""
    return bucket_key(bucket_name) + keccak256(object_name.encode())


def get_bucket(state: State, bucket_name: str) -> Any | None:
    """BucketInfo, or None."""
    id_key = state.get(BUCKET_NAME, bucket_key(bucket_name))
    return None if id_key is None else get_bucket_by_id(state, id_key)


def get_bucket_by_id(state: State, id_key: bytes) -> Any | None:
    value = state.get(BUCKET, id_key)
    return None if value is None else wire.storage.BucketInfo.FromString(value)


def put_bucket(state: State, bucket: Any) -> None:
    id_key = number_key(int(bucket.id))
    state.put(BUCKET, id_key, bucket.SerializeToString())
    state.put(BUCKET_NAME, bucket_key(bucket.bucket_name), id_key)


def get_object(state: State, bucket_name: str, object_name: str) -> Any | None:
    """ObjectInfo, or None."""
    id_key = state.get(OBJECT_PLACE, object_key(bucket_name, object_name))
    return None if id_key is None else get_object_by_id(state, id_key)


def get_object_by_id(state: State, id_key: bytes) -> Any | None:
    value = state.get(OBJECT, id_key)
    return None if value is None else wire.storage.ObjectInfo.FromString(value)


def put_object(state: State, info: Any) -> None:
    id_key = number_key(int(info.id))
    state.put(OBJECT, id_key, info.SerializeToString())
    state.put(OBJECT_PLACE, object_key(info.bucket_name, info.object_name), id_key)


def delete_object(state: State, info: Any) -> None:
    state.put(OBJECT, number_key(int(info.id)), None)
    state.put(OBJECT_PLACE, object_key(info.bucket_name, info.object_name), None)


# --- streams -----------------------------------------------------------------------------------


def get_stream(state: State, address: bytes) -> Any | None:
    """greenfield.payment.StreamRecord, or None."""
    value = state.get(STREAM, address)
    return None if value is None else wire.payment.StreamRecord.FromString(value)


def put_stream(state: State, address: bytes, record: Any) -> None:
    state.put(STREAM, address, record.SerializeToString())
