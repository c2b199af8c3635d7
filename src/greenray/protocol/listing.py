"""What a list of buckets or objects is made of: the provider's view of them, and its JSON.

A provider keeps more of a bucket or an object than the chain does: in which block it was changed
last, by whom, and that it was removed. The JSON is that of the v0.2 provider byte for byte (names,
order, 64-bit integers as text, enums as numbers). Pure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from greenray.protocol import go_json
from greenray.protocol.document_form import misfit
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import (
    BucketInfo,
    BucketStatus,
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    Visibility,
)

NO_ADDRESS = "0x" + "0" * 40
NO_HASH = "0x" + "0" * 64
"""Where the provider knows none."""

LARGEST_PAGE = 1000
DEFAULT_PAGE = 50
LARGEST_BUCKET_LIST = 100

WITHOUT_REMOVED_QUERY = "without-removed"
"""Ours: leave out what was removed. Other providers ignore it, so clients look themselves, too."""


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """``update_at``: height of the block that changed it last; ``delete_at``: unix seconds, of an
    object that is discontinued. Hashes of transactions: ``0x`` and 64 hex digits."""

    info: ObjectInfo
    removed: bool = False
    update_at: int = 0
    delete_at: int = 0
    delete_reason: str = ""
    operator: str = NO_ADDRESS
    create_tx_hash: str = NO_HASH
    update_tx_hash: str = NO_HASH
    seal_tx_hash: str = NO_HASH

    def to_json(self) -> dict[str, Any]:
        info = self.info
        return {
            "object_info": {
                "owner": info.owner,
                "bucket_name": info.bucket_name,
                "object_name": info.object_name,
                "id": str(info.id),
                "payload_size": str(info.payload_size),
                "visibility": int(info.visibility),
                "content_type": info.content_type,
                "create_at": str(info.create_at),
                "object_status": int(info.object_status),
                "redundancy_type": int(info.redundancy_type),
                "source_type": int(info.source_type),
                "checksums": [base64.b64encode(one).decode() for one in info.checksums],
                "secondary_sp_addresses": list(info.secondary_sp_addresses),
            },
            # v0.2.0 has the field, and nothing ever fills it.
            "locked_balance": NO_HASH,
            "removed": self.removed,
            "update_at": str(self.update_at),
            "delete_at": str(self.delete_at),
            "delete_reason": self.delete_reason,
            "operator": self.operator,
            "create_tx_hash": self.create_tx_hash,
            "update_tx_hash": self.update_tx_hash,
            "seal_tx_hash": self.seal_tx_hash,
        }

    @classmethod
    def from_json(cls, document: Any) -> ObjectMeta:
        """Raises InvalidInput, which names what is wrong with it."""
        _check_form(document, _OBJECT_META, "object")
        info = document["object_info"]
        return cls(
            ObjectInfo(
                owner=info["owner"],
                bucket_name=info["bucket_name"],
                object_name=info["object_name"],
                id=_number(info["id"]),
                payload_size=_number(info["payload_size"]),
                visibility=Visibility(info["visibility"]),
                content_type=info["content_type"],
                create_at=_number(info["create_at"]),
                object_status=ObjectStatus(info["object_status"]),
                redundancy_type=RedundancyType(info["redundancy_type"]),
                source_type=SourceType(info["source_type"]),
                checksums=tuple(map(_bytes, info["checksums"])),
                secondary_sp_addresses=tuple(info["secondary_sp_addresses"]),
            ),
            removed=document["removed"],
            update_at=_number(document["update_at"]),
            delete_at=_number(document["delete_at"]),
            delete_reason=document["delete_reason"],
            operator=document["operator"],
            create_tx_hash=document["create_tx_hash"],
            update_tx_hash=document["update_tx_hash"],
            seal_tx_hash=document["seal_tx_hash"],
        )


@dataclass(frozen=True, slots=True)
class BucketMeta:
    """As ``ObjectMeta``. ``create_height``: of the block that created it, which newer buckets stand
    before others by, and which no answer carries; ``update_time``: unix seconds."""

    info: BucketInfo
    removed: bool = False
    delete_at: int = 0
    delete_reason: str = ""
    operator: str = NO_ADDRESS
    create_tx_hash: str = NO_HASH
    update_tx_hash: str = NO_HASH
    update_at: int = 0
    update_time: int = 0
    create_height: int = 0

    def to_json(self) -> dict[str, Any]:
        info = self.info
        return {
            "bucket_info": {
                "owner": info.owner,
                "bucket_name": info.bucket_name,
                "visibility": int(info.visibility),
                "id": str(info.id),
                "source_type": int(info.source_type),
                "create_at": str(info.create_at),
                "payment_address": info.payment_address,
                "primary_sp_address": info.primary_sp_address,
                "charged_read_quota": str(info.charged_read_quota),
                # The provider does not follow it, and answers with nothing in it.
                "billing_info": {
                    "price_time": "0",
                    "total_charge_size": "0",
                    "secondary_sp_objects_size": [],
                },
                "bucket_status": int(info.bucket_status),
            },
            "removed": self.removed,
            "delete_at": str(self.delete_at),
            "delete_reason": self.delete_reason,
            "operator": self.operator,
            "create_tx_hash": self.create_tx_hash,
            "update_tx_hash": self.update_tx_hash,
            "update_at": str(self.update_at),
            "update_time": str(self.update_time),
        }

    @classmethod
    def from_json(cls, document: Any, create_height: int = 0) -> BucketMeta:
        """Raises InvalidInput, which names what is wrong with it."""
        _check_form(document, _BUCKET_META, "bucket")
        info = document["bucket_info"]
        return cls(
            BucketInfo(
                owner=info["owner"],
                bucket_name=info["bucket_name"],
                visibility=Visibility(info["visibility"]),
                id=_number(info["id"]),
                create_at=_number(info["create_at"]),
                payment_address=info["payment_address"],
                primary_sp_address=info["primary_sp_address"],
                source_type=SourceType(info["source_type"]),
                charged_read_quota=_number(info["charged_read_quota"]),
                bucket_status=BucketStatus(info["bucket_status"]),
            ),
            removed=document["removed"],
            delete_at=_number(document["delete_at"]),
            delete_reason=document["delete_reason"],
            operator=document["operator"],
            create_tx_hash=document["create_tx_hash"],
            update_tx_hash=document["update_tx_hash"],
            update_at=_number(document["update_at"]),
            update_time=_number(document["update_time"]),
            create_height=create_height,
        )


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What an account pays and holds (protocol 05 §5); amounts in the smallest unit of the coin, as
    the chain writes them. ``out_flows``: (address, amount per second)."""

    account: str
    crud_timestamp: int
    netflow_rate: str
    static_balance: str
    buffer_balance: str
    lock_balance: str
    status: int
    settle_timestamp: int
    out_flows: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "crud_timestamp": str(self.crud_timestamp),
            "netflow_rate": self.netflow_rate,
            "static_balance": self.static_balance,
            "buffer_balance": self.buffer_balance,
            "lock_balance": self.lock_balance,
            "status": self.status,
            "settle_timestamp": str(self.settle_timestamp),
            "out_flows": [{"to_address": to, "rate": rate} for to, rate in self.out_flows],
        }


@dataclass(frozen=True, slots=True)
class ObjectQuery:
    """Which objects of a bucket a page is wanted of, and from where on.

    ``start``: names before it are left out; it is the name that a token carries, or ``start-after``
    of a request, which v0.2 takes for the first name that is wanted. ``page_size``: objects and
    common prefixes together. ``with_removed``: also what was removed.
    """

    bucket_name: str
    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    page_size: int = DEFAULT_PAGE
    with_removed: bool = True


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One answer. ``next_token`` empty: it was the last one."""

    objects: tuple[ObjectMeta, ...]
    common_prefixes: tuple[str, ...] = ()
    next_token: str = ""


def token_of(name: str) -> str:
    """The token of a page that begins with this name."""
    return base64.b64encode(name.encode()).decode()


def name_of_token(token: str) -> str:
    """Raises InvalidInput: it is no token."""
    try:
        # Go passes over ends of lines.
        text = token.replace("\r", "").replace("\n", "")
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{token[:80]!r} is not a continuation token") from error


def buckets_from_json(document: Any) -> tuple[BucketMeta, ...]:
    """The answer to GetUserBuckets, without what was removed. Raises InvalidInput."""
    _check_form(document, {"buckets": list}, "list of buckets")
    found = map(BucketMeta.from_json, document["buckets"])
    return tuple(one for one in found if not one.removed)


def page_from_json(document: Any) -> ObjectPage:
    """The answer to ListObjectsByBucketName, without what was removed. Raises InvalidInput."""
    _check_form(document, _PAGE, "list of objects")
    found = map(ObjectMeta.from_json, document["objects"])
    return ObjectPage(
        tuple(one for one in found if not one.removed),
        tuple(document["common_prefixes"]),
        document["next_continuation_token"] if document["is_truncated"] else "",
    )


def document_of(meta: ObjectMeta | BucketMeta | StreamRecord) -> bytes:
    """Its JSON as it stands in an answer."""
    return go_json.dump(meta.to_json(), sort_keys=False).encode()


_OBJECT_META = {
    "object_info": {
        "owner": str,
        "bucket_name": str,
        "object_name": str,
        "id": str,
        "payload_size": str,
        "visibility": frozenset(map(int, Visibility)),
        "content_type": str,
        "create_at": str,
        "object_status": frozenset(map(int, ObjectStatus)),
        "redundancy_type": frozenset(map(int, RedundancyType)),
        "source_type": frozenset(map(int, SourceType)),
        "checksums": [str],
        "secondary_sp_addresses": [str],
    },
    "removed": bool,
    "update_at": str,
    "delete_at": str,
    "delete_reason": str,
    "operator": str,
    "create_tx_hash": str,
    "update_tx_hash": str,
    "seal_tx_hash": str,
}
_BUCKET_META = {
    "bucket_info": {
        "owner": str,
        "bucket_name": str,
        "visibility": frozenset(map(int, Visibility)),
        "id": str,
        "source_type": frozenset(map(int, SourceType)),
        "create_at": str,
        "payment_address": str,
        "primary_sp_address": str,
        "charged_read_quota": str,
        "bucket_status": frozenset(map(int, BucketStatus)),
    },
    "removed": bool,
    "delete_at": str,
    "delete_reason": str,
    "operator": str,
    "create_tx_hash": str,
    "update_tx_hash": str,
    "update_at": str,
    "update_time": str,
}
_PAGE = {
    "objects": list,
    "is_truncated": bool,
    "next_continuation_token": str,
    "common_prefixes": [str],
}


def _check_form(document: Any, form: Mapping[str, Any], name: str) -> None:
    problem = misfit(document, form, name)
    if problem is not None:
        raise InvalidInput(problem)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise InvalidInput(f"{text[:80]!r} is not a 64-bit number")
    return int(text)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidInput(f"{text[:80]!r} is not base64") from error
