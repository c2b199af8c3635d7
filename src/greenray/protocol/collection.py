"""What may be collected: columns whose object the chain has no more, groups of secondaries that
were replaced, and segments whose id belongs to another SP's object. Pure: chain answers, rows,
listings and the time come as arguments.

An object that a node does not find may be one that was deleted, one that the node has not seen
yet, or one of a history that was rolled back, whose id another object will get. The chain numbers
objects one after the other and never twice. So an id that is not higher than one that was given
away in this history, and is not found in a state that is not older than that, belongs to nobody,
for ever; of any other id nothing is known, and nothing is collected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from greenray.protocol.errors import GreenrayError, ObjectGone
from greenray.protocol.job import JobError
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, ObjectStatus

FORGOTTEN_AFTER_BLOCKS = 1000
"""A node that is so far ahead of a block, and does not have it, has dropped it."""


class Cause(Enum):
    """Why something is collected; the names are in the journal and in JSON."""

    DELETED = "deleted"
    """By its owner, or by the chain after it was discontinued."""
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NOT_ON_CHAIN = "not-on-chain"
    """Found by comparing what is stored with the chain."""
    REPLACED = "secondary-replaced"
    """The object is sealed with another SP at this redundancy index."""
    ANOTHER_PRIMARY = "another-primary"
    """Segments at an SP that is not the primary of the object that has their id now. (At its own
    primary, what an earlier object left is replaced by the upload of the present one, and goes with
    it when it is never uploaded.)"""
    LEFT_UNFINISHED = "left-unfinished"
    """A column that nobody finishes, of an object that is sealed."""


_OF_ONE_COLUMN = (Cause.REPLACED, Cause.ANOTHER_PRIMARY)


# --- what the chain says -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChainTip:
    """The newest block of a node. ``block_hash``: hexadecimal."""

    height: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class Removal:
    object_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class BlockNews:
    """What one block did to objects. ``highest_created_id``: 0 when it created none."""

    height: int
    highest_created_id: int = 0
    removals: tuple[Removal, ...] = ()
    sealed_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectSighting:
    """What a node says of an object id in its state after block ``height``; None: not found.

    ``primary_sp_address``: of the object's bucket, in that state or a later one; empty: not known.
    """

    object_id: int
    height: int
    object_info: ObjectInfo | None
    primary_sp_address: str = ""


class Standing(Enum):
    """How a node's chain compares with what is known."""

    NEW = "new"
    SAME = "same"
    BEHIND = "behind"
    OTHER_HISTORY = "other history"
    OTHER_CHAIN = "other chain"


@dataclass(frozen=True, slots=True)
class ChainKnowledge:
    """What was learnt of one history of the chain.

    ``anchor``: a block of that history; ``highest_object_id`` was given away in it or before.
    ``read_height``: of the last block whose news was read, not above the anchor.
    ``first_block_hash``: hexadecimal; empty when the node has it no more.
    """

    first_block_hash: str
    anchor: ChainTip
    read_height: int
    highest_object_id: int = 0

    @classmethod
    def start(cls, first_block_hash: str, tip: ChainTip) -> ChainKnowledge:
        """Of a history that nothing is known of but its newest block."""
        return cls(first_block_hash, tip, tip.height)

    def standing(self, first_block_hash: str, tip: ChainTip, anchor_hash: str) -> Standing:
        """Of a node with that tip. ``anchor_hash``: of its block at the anchor's height; empty: it
        does not have it."""
        if self.first_block_hash and first_block_hash not in ("", self.first_block_hash):
            return Standing.OTHER_CHAIN
        if not anchor_hash and tip.height <= self.anchor.height + FORGOTTEN_AFTER_BLOCKS:
            return Standing.BEHIND
        is_same = anchor_hash == self.anchor.block_hash
        return Standing.SAME if is_same else Standing.OTHER_HISTORY

    def after_blocks(self, news: Iterable[BlockNews], tip: ChainTip) -> ChainKnowledge:
        """Once all blocks up to ``tip`` were read; ``news``: what they did."""
        ids = [self.highest_object_id]
        for block in news:
            ids.append(block.highest_created_id)
            ids += (removal.object_id for removal in block.removals)
        return replace(self, anchor=tip, read_height=tip.height, highest_object_id=max(ids))

    def after_sightings(self, sightings: Iterable[ObjectSighting], tip: ChainTip) -> ChainKnowledge:
        """An object that is there shows that its id was given away. ``tip``: asked for after them,
        so that what they show is within the new anchor; one that is not is passed over."""
        if tip.height < self.anchor.height:
            return self
        ids = [s.object_id for s in sightings if s.object_info and s.height <= tip.height]
        return replace(self, anchor=tip, highest_object_id=max([self.highest_object_id, *ids]))

    def proves_gone(self, sighting: ObjectSighting) -> bool:
        """Whether the object is gone for ever."""
        return (
            sighting.object_info is None
            and sighting.height >= self.anchor.height
            and sighting.object_id <= self.highest_object_id
        )


# --- what may be collected -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holding:
    """A column at one SP, or only a row of the journal about it."""

    sp_address: str
    object_id: int
    redundancy_index: int
    is_finished: bool = True


def cause_of(holding: Holding, sighting: ObjectSighting, knowledge: ChainKnowledge) -> Cause | None:
    """Why the chain has no use for it; None: it is needed, or nothing is proven."""
    info = sighting.object_info
    if info is None:
        return Cause.NOT_ON_CHAIN if knowledge.proves_gone(sighting) else None
    if _has_another_primary(sighting, holding):
        return Cause.ANOTHER_PRIMARY
    if info.object_status is not ObjectStatus.OBJECT_STATUS_SEALED:
        return None
    if not _is_sealed_with(info, holding):
        return Cause.REPLACED
    return None if holding.is_finished else Cause.LEFT_UNFINISHED


def _has_another_primary(sighting: ObjectSighting, holding: Holding) -> bool:
    """Whatever the status of the object is: a bucket keeps its primary, and nobody else ever needs
    the segments. A bucket that was made anew elsewhere in a later state has none of its objects."""
    primary = sighting.primary_sp_address
    if holding.redundancy_index != SEGMENTS or not primary:
        return False
    return primary.lower() != holding.sp_address.lower()


def _is_sealed_with(info: ObjectInfo, holding: Holding) -> bool:
    """Segments are the primary's, which a sealed object does not name: they always count."""
    index = holding.redundancy_index
    if index == SEGMENTS:
        return True
    secondaries = info.secondary_sp_addresses
    return index < len(secondaries) and (secondaries[index].lower() == holding.sp_address.lower())


@dataclass(frozen=True, slots=True)
class Collectable:
    """What waits for its collection: all of an object, or one column at one SP.

    ``noticed_at``: unix seconds; ``noticed_height``: the height of the answer that showed it.
    ``sp_address`` empty: all of the object.
    """

    object_id: int
    cause: Cause
    noticed_at: float
    noticed_height: int
    sp_address: str = ""
    redundancy_index: int = SEGMENTS

    @property
    def is_whole_object(self) -> bool:
        return not self.sp_address

    @property
    def key(self) -> tuple[int, str, int]:
        return self.object_id, self.sp_address, self.redundancy_index

    def is_due(self, now: float, delay_s: float) -> bool:
        """``now``: unix seconds."""
        return now >= self.noticed_at + delay_s

    def covers(self, holding: Holding) -> bool:
        if holding.object_id != self.object_id:
            return False
        return self.is_whole_object or (
            (holding.sp_address, holding.redundancy_index)
            == (self.sp_address, self.redundancy_index)
        )

    def holds_still(self, sighting: ObjectSighting, knowledge: ChainKnowledge) -> bool:
        """Whether the chain, asked again, still has no use for it."""
        if self.is_whole_object:
            return knowledge.proves_gone(sighting)
        holding = Holding(self.sp_address, self.object_id, self.redundancy_index)
        return cause_of(holding, sighting, knowledge) in _OF_ONE_COLUMN


def collectable_of(
    holding: Holding, cause: Cause, sighting: ObjectSighting, now: float
) -> Collectable:
    """What waits from now on (unix seconds), because of ``cause``."""
    if cause in _OF_ONE_COLUMN:
        return Collectable(
            holding.object_id,
            cause,
            now,
            sighting.height,
            holding.sp_address,
            holding.redundancy_index,
        )
    return Collectable(holding.object_id, cause, now, sighting.height)


_GONE = {
    Cause.DELETED: "it was deleted from the chain",
    Cause.CANCELLED: "its creation was cancelled",
    Cause.REJECTED: "its seal was rejected",
    Cause.NOT_ON_CHAIN: "it is not on the chain any more",
}


def unseen_error(object_id: int) -> JobError:
    """What is said of a job whose object is not found, before it is known what became of it."""
    return JobError.of(ObjectGone("it is not on the chain", f"object {object_id}"))


def gone_error(object_id: int, cause: Cause, height: int) -> JobError:
    """What a job says whose object is gone, as of block ``height``."""
    error: GreenrayError = ObjectGone(
        f"{_GONE[cause]} (seen at height {height})",
        f"object {object_id}",
        "Put it again; it will have another id",
    )
    return JobError.of(error)
