"""Typed reading and writing of buckets, objects, groups and payments in the chain's state.

Values are protobuf bytes as the queries return them, so that a query is one look-up. Messages
handed out are private copies: changing one changes nothing until it is put back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import ADDRESS_SIZE_BYTES, parse_address
from greenray.chain.crypto import keccak256
from greenray.chain.local.ledger.state import State

BUCKET, BUCKET_NAME = "bucket", "bucket_name"
OBJECT, OBJECT_PLACE, STREAM = "object", "object_place", "stream"
GROUP, GROUP_NAME, GROUP_MEMBER = "group", "group_name", "group_member"
PAYMENT_ACCOUNT, PAYMENT_ACCOUNT_COUNT = "payment_account", "payment_account_count"
DISCONTINUED = "discontinued"

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


def objects_of(state: State, bucket_name: str) -> Iterator[Any]:
    """ObjectInfo of every object in a bucket, in the order of their hashed names."""
    for _, id_key in state.scan(OBJECT_PLACE, bucket_key(bucket_name)):
        info = get_object_by_id(state, id_key)
        if info is not None:
            yield info


def is_empty_bucket(state: State, bucket_name: str) -> bool:
    return next(objects_of(state, bucket_name), None) is None


def delete_bucket(state: State, bucket: Any) -> None:
    state.put(BUCKET, number_key(int(bucket.id)), None)
    state.put(BUCKET_NAME, bucket_key(bucket.bucket_name), None)


# --- streams -----------------------------------------------------------------------------------


def get_stream(state: State, address: bytes) -> Any | None:
    """greenfield.payment.StreamRecord, or None."""
    value = state.get(STREAM, address)
    return None if value is None else wire.payment.StreamRecord.FromString(value)


def put_stream(state: State, address: bytes, record: Any) -> None:
    state.put(STREAM, address, record.SerializeToString())


# --- payment accounts --------------------------------------------------------------------------


def get_payment_account(state: State, address: bytes) -> Any | None:
    """greenfield.payment.PaymentAccount, or None."""
    value = state.get(PAYMENT_ACCOUNT, address)
    return None if value is None else wire.payment.PaymentAccount.FromString(value)


def put_payment_account(state: State, account: Any) -> None:
    state.put(PAYMENT_ACCOUNT, parse_address(account.addr), account.SerializeToString())


def payment_account_count(state: State, owner: bytes) -> int | None:
    """How many payment accounts the owner has made, None for none ever."""
    value = state.get(PAYMENT_ACCOUNT_COUNT, owner)
    return None if value is None else int(value)


def put_payment_account_count(state: State, owner: bytes, count: int) -> None:
    state.put(PAYMENT_ACCOUNT_COUNT, owner, str(count).encode())


def derived_payment_account(owner: bytes, index: int) -> bytes:
    """The address of an owner's payment account of that number, from 0."""
    typed = hashlib.sha256(hashlib.sha256(owner).digest() + index.to_bytes(8, "little")).digest()
    return hashlib.sha256(typed).digest()[:ADDRESS_SIZE_BYTES]


# --- groups ------------------------------------------------------------------------------------


def group_key(owner: bytes, group_name: str) -> bytes:
    """Groups of an owner lie together, in the order of their hashed names."""
    return owner + keccak256(group_name.encode())


def get_group(state: State, owner: bytes, group_name: str) -> Any | None:
    """GroupInfo, or None."""
    id_key = state.get(GROUP_NAME, group_key(owner, group_name))
    return None if id_key is None else get_group_by_id(state, id_key)


def get_group_by_id(state: State, id_key: bytes) -> Any | None:
    value = state.get(GROUP, id_key)
    return None if value is None else wire.storage.GroupInfo.FromString(value)


def put_group(state: State, group: Any) -> None:
    id_key = number_key(int(group.id))
    state.put(GROUP, id_key, group.SerializeToString())
    state.put(GROUP_NAME, group_key(parse_address(group.owner), group.group_name), id_key)


def delete_group(state: State, group: Any) -> None:
    state.put(GROUP, number_key(int(group.id)), None)
    state.put(GROUP_NAME, group_key(parse_address(group.owner), group.group_name), None)


def member_key(group_id: str, member: bytes) -> bytes:
    return number_key(int(group_id)) + member


def get_member(state: State, group_id: str, member: bytes) -> Any | None:
    """greenfield.permission.GroupMember, or None."""
    value = state.get(GROUP_MEMBER, member_key(group_id, member))
    return None if value is None else wire.permission.GroupMember.FromString(value)
