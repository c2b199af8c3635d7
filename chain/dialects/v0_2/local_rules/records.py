"""Typed reading and writing of buckets, objects and payment streams in the chain's state.

Values are protobuf bytes as the queries return them, so that a query is one look-up. Messages
handed out are private copies: changing one changes nothing until it is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.chain.crypto import keccak256
from greenray.chain.local.ledger.state import State

BUCKET, BUCKET_NAME = "bucket", "bucket_name"
OBJECT, OBJECT_PLACE, POLICY, STREAM = "object", "object_place", "policy", "stream"
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
