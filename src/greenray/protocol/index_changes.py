"""What the events of blocks do to the index of buckets and objects. Pure.

A change names its object by name and id. One that the index has under the name with another id is
not meant: the index may be ahead of the block that is read, because it was made from questions to
the chain. So blocks may be applied to an index that has their outcome already; when all of them
have been, it is what the chain is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from greenray.protocol.collection import BlockNews
from greenray.protocol.listing import NO_HASH, BucketMeta, ObjectMeta
from greenray.protocol.objects import (
    BucketInfo,
    BucketStatus,
    ObjectInfo,
    ObjectStatus,
    Visibility,
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a change was made. ``time_s``: of the block, unix seconds; ``tx_hash``: of the
    transaction, NO_HASH for what the chain does by itself at the ends of a block."""

    height: int
    time_s: int = 0
    tx_hash: str = NO_HASH


# --- objects -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    info: ObjectInfo

    @property
    def place(self) -> tuple[str, str]:
        return self.info.bucket_name, self.info.object_name

    def applied(self, stamp: Stamp, before: ObjectMeta | None) -> ObjectMeta | None:
        """What the index has of the name afterwards; None: what it had. ``before``: what it had."""
        return ObjectMeta(
            self.info,
            update_at=stamp.height,
            create_tx_hash=stamp.tx_hash,
            update_tx_hash=stamp.tx_hash,
        )


@dataclass(frozen=True, slots=True)
class ObjectCopied:
    """``source``: bucket and object name. ``place``, ``object_id``: of the copy."""

    source: tuple[str, str]
    source_id: int
    place: tuple[str, str]
    object_id: int
    operator: str

    def created(self, stamp: Stamp, source: ObjectMeta | None) -> ObjectCreated | None:
        """The copy as a new object, which it is; None: ``source`` is not what was copied."""
        if source is None or source.info.id != self.source_id:
            return None
        bucket_name, object_name = self.place
        status = ObjectStatus.OBJECT_STATUS_CREATED
        if source.info.payload_size == 0:
            status = ObjectStatus.OBJECT_STATUS_SEALED
        return ObjectCreated(
            replace(
                source.info,
                owner=self.operator,
                bucket_name=bucket_name,
                object_name=object_name,
                id=self.object_id,
                visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
                create_at=stamp.time_s,
                object_status=status,
                secondary_sp_addresses=(),
            )
        )


@dataclass(frozen=True, slots=True)
class ObjectSealed:
    place: tuple[str, str]
    object_id: int
    operator: str
    status: ObjectStatus
    secondary_sp_addresses: tuple[str, ...]

    def applied(self, stamp: Stamp, before: ObjectMeta | None) -> ObjectMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.info.id != self.object_id:
            return None
        info = replace(
            before.info,
            object_status=self.status,
            secondary_sp_addresses=self.secondary_sp_addresses,
        )
        sealed = replace(before, info=info, operator=self.operator, seal_tx_hash=stamp.tx_hash)
        return _changed(sealed, stamp)


@dataclass(frozen=True, slots=True)
class ObjectUpdated:
    """Its event has no id, or none that is right."""

    place: tuple[str, str]
    operator: str
    visibility: Visibility

    def applied(self, stamp: Stamp, before: ObjectMeta | None) -> ObjectMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.removed:
            return None
        info = replace(before.info, visibility=self.visibility)
        return _changed(replace(before, info=info, operator=self.operator), stamp)


@dataclass(frozen=True, slots=True)
class ObjectDiscontinued:
    """Its event has no name. ``delete_at``: unix seconds."""

    object_id: int
    delete_reason: str
    delete_at: int

    def applied(self, stamp: Stamp, before: ObjectMeta | None) -> ObjectMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.info.id != self.object_id:
            return None
        info = replace(before.info, object_status=ObjectStatus.OBJECT_STATUS_DISCONTINUED)
        discontinued = replace(
            before, info=info, delete_reason=self.delete_reason, delete_at=self.delete_at
        )
        return _changed(discontinued, stamp)


@dataclass(frozen=True, slots=True)
class ObjectDeleted:
    """Deleted, cancelled or rejected. ``operator``: empty where the provider keeps the one that it
    has; ``secondary_sp_addresses``: likewise."""

    place: tuple[str, str]
    object_id: int
    operator: str = ""
    secondary_sp_addresses: tuple[str, ...] = ()

    def applied(self, stamp: Stamp, before: ObjectMeta | None) -> ObjectMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.info.id != self.object_id:
            return None
        secondaries = self.secondary_sp_addresses or before.info.secondary_sp_addresses
        info = replace(before.info, secondary_sp_addresses=secondaries)
        operator = self.operator or before.operator
        return _changed(replace(before, info=info, operator=operator, removed=True), stamp)


# --- buckets -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BucketCreated:
    info: BucketInfo

    @property
    def bucket_name(self) -> str:
        return self.info.bucket_name

    def applied(self, stamp: Stamp, before: BucketMeta | None) -> BucketMeta | None:
        """See ``ObjectCreated.applied``."""
        return BucketMeta(
            self.info,
            operator=self.info.owner,
            create_tx_hash=stamp.tx_hash,
            update_tx_hash=stamp.tx_hash,
            update_at=stamp.height,
            update_time=stamp.time_s,
            create_height=stamp.height,
        )


@dataclass(frozen=True, slots=True)
class BucketUpdated:
    bucket_name: str
    bucket_id: int
    operator: str
    charged_read_quota: int
    payment_address: str
    visibility: Visibility

    def applied(self, stamp: Stamp, before: BucketMeta | None) -> BucketMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.info.id != self.bucket_id:
            return None
        info = replace(
            before.info,
            charged_read_quota=self.charged_read_quota,
            payment_address=self.payment_address,
            visibility=self.visibility,
        )
        return _changed_bucket(replace(before, info=info, operator=self.operator), stamp)


@dataclass(frozen=True, slots=True)
class BucketDiscontinued:
    bucket_name: str
    bucket_id: int
    delete_reason: str
    delete_at: int

    def applied(self, stamp: Stamp, before: BucketMeta | None) -> BucketMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.info.id != self.bucket_id:
            return None
        info = replace(before.info, bucket_status=BucketStatus.BUCKET_STATUS_DISCONTINUED)
        discontinued = replace(
            before, info=info, delete_reason=self.delete_reason, delete_at=self.delete_at
        )
        return _changed_bucket(discontinued, stamp)


@dataclass(frozen=True, slots=True)
class BucketDeleted:
    bucket_name: str
    bucket_id: int
    operator: str

    def applied(self, stamp: Stamp, before: BucketMeta | None) -> BucketMeta | None:
        """See ``ObjectCreated.applied``."""
        if before is None or before.info.id != self.bucket_id:
            return None
        return _changed_bucket(replace(before, removed=True, operator=self.operator), stamp)


ObjectChange: TypeAlias = ObjectCreated | ObjectSealed | ObjectUpdated | ObjectDeleted
"""Those that name the object that they change."""
BucketChange: TypeAlias = BucketCreated | BucketUpdated | BucketDiscontinued | BucketDeleted
IndexChange: TypeAlias = ObjectChange | ObjectCopied | ObjectDiscontinued | BucketChange


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block as it was read once, for all who follow the chain. ``changes``: in their order."""

    news: BlockNews
    changes: tuple[tuple[Stamp, IndexChange], ...] = field(default=())

    @property
    def height(self) -> int:
        return self.news.height


# --- what is found by asking the chain -----------------------------------------------------------


def found_object(info: ObjectInfo, before: ObjectMeta | None) -> ObjectMeta:
    """As the chain has it now. What only blocks tell is kept, if it is of the same object."""
    if info.object_status is ObjectStatus.OBJECT_STATUS_CREATED:
        # The chain has the expected ones there, and the creator; providers tell of sealed ones.
        info = replace(info, secondary_sp_addresses=())
    if before is None or before.info.id != info.id:
        return ObjectMeta(info)
    return replace(before, info=info, removed=False)


def found_bucket(info: BucketInfo, before: BucketMeta | None) -> BucketMeta:
    """As ``found_object``."""
    if before is None or before.info.id != info.id:
        return BucketMeta(info, operator=info.owner)
    return replace(before, info=info, removed=False)


def _changed(meta: ObjectMeta, stamp: Stamp) -> ObjectMeta:
    return replace(meta, update_at=stamp.height, update_tx_hash=_hash(stamp, meta.update_tx_hash))


def _changed_bucket(meta: BucketMeta, stamp: Stamp) -> BucketMeta:
    return replace(
        meta,
        update_at=stamp.height,
        update_time=stamp.time_s,
        update_tx_hash=_hash(stamp, meta.update_tx_hash),
    )


def _hash(stamp: Stamp, before: str) -> str:
    """The provider keeps the last one that it knows."""
    return before if stamp.tx_hash == NO_HASH else stamp.tx_hash
