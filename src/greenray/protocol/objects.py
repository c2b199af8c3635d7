"""What the chain knows: buckets, objects, storage providers (protocol 05 §2-3, v0.2.0 names).

Values only; their encodings live in ``greenray.chain.dialects``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Visibility(IntEnum):
    VISIBILITY_TYPE_UNSPECIFIED = 0
    VISIBILITY_TYPE_PUBLIC_READ = 1
    VISIBILITY_TYPE_PRIVATE = 2
    VISIBILITY_TYPE_INHERIT = 3


class RedundancyType(IntEnum):
    REDUNDANCY_EC_TYPE = 0
    REDUNDANCY_REPLICA_TYPE = 1

    @classmethod
    def of(cls, *, replica: bool) -> RedundancyType:
        """Whole copies, or erasure coding."""
        return cls.REDUNDANCY_REPLICA_TYPE if replica else cls.REDUNDANCY_EC_TYPE


class ObjectStatus(IntEnum):
    OBJECT_STATUS_CREATED = 0
    OBJECT_STATUS_SEALED = 1
    OBJECT_STATUS_DISCONTINUED = 2


class BucketStatus(IntEnum):
    BUCKET_STATUS_CREATED = 0
    BUCKET_STATUS_DISCONTINUED = 1


class SourceType(IntEnum):
    SOURCE_TYPE_ORIGIN = 0
    SOURCE_TYPE_BSC_CROSS_CHAIN = 1
    SOURCE_TYPE_MIRROR_PENDING = 2


class ProviderStatus(IntEnum):
    STATUS_IN_SERVICE = 0
    STATUS_IN_JAILED = 1
    STATUS_GRACEFUL_EXITING = 2
    STATUS_OUT_OF_SERVICE = 3


class ActionType(IntEnum):
    ACTION_UNSPECIFIED = 0
    ACTION_UPDATE_BUCKET_INFO = 1
    ACTION_DELETE_BUCKET = 2
    ACTION_CREATE_OBJECT = 3
    ACTION_DELETE_OBJECT = 4
    ACTION_COPY_OBJECT = 5
    ACTION_GET_OBJECT = 6
    ACTION_EXECUTE_OBJECT = 7
    ACTION_LIST_OBJECT = 8
    ACTION_UPDATE_GROUP_MEMBER = 9
    ACTION_DELETE_GROUP = 10
    ACTION_UPDATE_OBJECT_INFO = 11
    ACTION_TYPE_ALL = 99


@dataclass(frozen=True, slots=True)
class StorageParams:
    """The consensus parameters of one object; read from the chain, never configured."""

    max_segment_size_bytes: int = 16 * 1024 * 1024
    redundant_data_chunk_num: int = 4
    redundant_parity_chunk_num: int = 2
    max_payload_size_bytes: int = 2 * 1024 * 1024 * 1024
    min_charge_size_bytes: int = 1024 * 1024

    @property
    def k(self) -> int:
        return self.redundant_data_chunk_num

    @property
    def m(self) -> int:
        return self.redundant_parity_chunk_num

    @property
    def n(self) -> int:
        return self.k + self.m

    @property
    def providers_needed(self) -> int:
        return providers_needed(self.k, self.m)


def providers_needed(k: int, m: int) -> int:
    """How many SPs an object takes: its primary, and one secondary for each redundancy index. A
    replica object takes as many."""
    return 1 + k + m


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """protocol 05 §2.2 (v0.2.0); addresses are EIP-55 text."""

    owner: str
    bucket_name: str
    visibility: Visibility
    id: int
    create_at: int
    payment_address: str
    primary_sp_address: str
    source_type: SourceType = SourceType.SOURCE_TYPE_ORIGIN
    charged_read_quota: int = 0
    bucket_status: BucketStatus = BucketStatus.BUCKET_STATUS_CREATED


@dataclass(frozen=True, slots=True)
class ObjectIdentity:
    """Who an object is, on its chain. Ids are counted from 1 again when a chain goes back to an
    older copy, so another object may have the same id, the same name, or both."""

    id: int
    create_at: int
    bucket_name: str
    object_name: str
    checksums: tuple[bytes, ...]

    def __str__(self) -> str:
        root = self.checksums[0].hex()[:12] if self.checksums else "none"
        return (
            f"object {self.id}, {self.bucket_name}/{self.object_name} of {self.create_at} with "
            f"checksum {root}"
        )


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """protocol 05 §2.3 (v0.2.0); ``checksums`` has 1 + n entries of 32 bytes."""

    owner: str
    bucket_name: str
    object_name: str
    id: int
    payload_size: int
    visibility: Visibility
    content_type: str
    create_at: int
    object_status: ObjectStatus = ObjectStatus.OBJECT_STATUS_CREATED
    redundancy_type: RedundancyType = RedundancyType.REDUNDANCY_EC_TYPE
    source_type: SourceType = SourceType.SOURCE_TYPE_ORIGIN
    checksums: tuple[bytes, ...] = ()
    secondary_sp_addresses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``bucket/object``, for messages."""
        return f"{self.bucket_name}/{self.object_name}"

    @property
    def identity(self) -> ObjectIdentity:
        return ObjectIdentity(
            self.id, self.create_at, self.bucket_name, self.object_name, self.checksums
        )


@dataclass(frozen=True, slots=True)
class StorageProvider:
    """protocol 05 §3 (v0.2.0)."""

    operator_address: str
    funding_address: str
    seal_address: str
    approval_address: str
    gc_address: str
    total_deposit: str = "0"
    status: ProviderStatus = ProviderStatus.STATUS_IN_SERVICE
    endpoint: str = ""
    moniker: str = ""
    identity: str = ""
    website: str = ""
    security_contact: str = ""
    details: str = ""

    @property
    def in_service(self) -> bool:
        return self.status is ProviderStatus.STATUS_IN_SERVICE
