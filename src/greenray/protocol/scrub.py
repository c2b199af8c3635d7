"""What a scrub is asked for and finds: which columns an SP must have, what is wrong with one, and
what mends it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, ObjectStatus


class DamageKind(Enum):
    MISSING = "missing"
    """The column is not there."""
    SHORT = "short"
    """The column is there and ends before the piece does."""
    UNREADABLE = "unreadable"
    FLIPPED = "flipped"
    """The piece does not have its checksum."""
    NO_RECORD = "no-record"
    """The journal has no integrity record of the column."""
    WRONG_RECORD = "wrong-record"
    """The recorded checksums are not those of the object on chain."""


@dataclass(frozen=True, slots=True)
class Damage:
    """``pieces``: the indices of those that have it; none when it is the record's."""

    kind: DamageKind
    pieces: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """For people: ``flipped: pieces 3, 8-11``."""
        return (
            f"{self.kind.value}: pieces {_ranges(self.pieces)}" if self.pieces else self.kind.value
        )


class Mending(Enum):
    NOTHING = "nothing"
    RECORD = "record"
    """The pieces are the chain's; their checksums are recorded again."""
    COLUMN = "column"
    """The column is written anew."""


@dataclass(frozen=True, slots=True)
class ColumnVerdict:
    """``checksums``: of all pieces as they must be, None when nothing proves them. ``good``: pieces
    that are there and proved."""

    damages: tuple[Damage, ...]
    mending: Mending
    checksums: tuple[bytes, ...] | None
    good: frozenset[int]


PieceFound = bytes | DamageKind
"""The checksum that a stored piece has, or why it could not be read."""


def judge_column(
    found: Sequence[PieceFound], recorded: Sequence[bytes] | None, expected_hash: bytes
) -> ColumnVerdict:
    """``found``: of all pieces of a column, in order. ``recorded``: the checksums that the journal
    has, None without a record. ``expected_hash``: the chain's integrity hash of the column.

    The chain's hash is of all checksums together: it proves those that are recorded, or else those
    of a column that is whole. Without either every piece is in doubt.
    """
    record = _judge_record(recorded, len(found), expected_hash)
    unread = [Damage(kind, _of_kind(found, kind)) for kind in DamageKind if kind in found]
    if not unread and integrity_hash(_read(found)) == expected_hash:
        mending = Mending.NOTHING if record is None else Mending.RECORD
        checksums = tuple(_read(found))
        return ColumnVerdict(
            () if record is None else (record,), mending, checksums, frozenset(range(len(found)))
        )
    if record is not None or recorded is None:
        flipped = tuple(i for i, piece in enumerate(found) if isinstance(piece, bytes))
        doubtful = [] if unread else [Damage(DamageKind.FLIPPED, flipped)]
        damages = (*unread, *doubtful, *([record] if record else ()))
        return ColumnVerdict(damages, Mending.COLUMN, None, frozenset())
    good = frozenset(i for i, piece in enumerate(found) if piece == recorded[i])
    flipped = tuple(i for i, p in enumerate(found) if isinstance(p, bytes) and i not in good)
    damages = (*unread, *([Damage(DamageKind.FLIPPED, flipped)] if flipped else ()))
    return ColumnVerdict(damages, Mending.COLUMN, tuple(recorded), good)


def _judge_record(
    recorded: Sequence[bytes] | None, pieces: int, expected_hash: bytes
) -> Damage | None:
    if recorded is None:
        return Damage(DamageKind.NO_RECORD)
    if len(recorded) != pieces or integrity_hash(recorded) != expected_hash:
        return Damage(DamageKind.WRONG_RECORD)
    return None


def _of_kind(found: Sequence[PieceFound], kind: DamageKind) -> tuple[int, ...]:
    return tuple(i for i, piece in enumerate(found) if piece is kind)


def _read(found: Sequence[PieceFound]) -> list[bytes]:
    return [piece for piece in found if isinstance(piece, bytes)]


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


# --- objects -------------------------------------------------------------------------------------


def is_scrubbed(info: ObjectInfo) -> bool:
    """Whether every holder must have its column: the object is sealed, and has bytes. One that is
    not sealed yet is its job's matter, one that is discontinued will be collected."""
    return info.object_status is ObjectStatus.OBJECT_STATUS_SEALED and info.payload_size > 0


def columns_of(info: ObjectInfo, primary: str) -> Mapping[int, str]:
    """Who holds each column of a sealed object, by redundancy index."""
    return {SEGMENTS: primary, **dict(enumerate(info.secondary_sp_addresses))}


HeldColumn = tuple[str, int]
"""(operator address, redundancy index) of a finished column of some object."""


def orphans_among(
    stored: Iterable[HeldColumn], holders: Mapping[int, str]
) -> tuple[HeldColumn, ...]:
    """Columns that their SP does not have to hold: of secondaries that were replaced."""
    return tuple(
        sorted((sp, index) for sp, index in stored if holders.get(index, "").lower() != sp.lower())
    )


# --- what is asked for, and what is found --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScrubOrder:
    """``bucket_name``, ``object_name``: empty for all. ``created_since``: only objects that were
    created then or later (unix seconds). ``bandwidth_bytes_s``: 0 for no limit."""

    repair: bool = False
    bucket_name: str = ""
    object_name: str = ""
    created_since: float = 0.0
    bandwidth_bytes_s: int = 0
    background: bool = False

    def wants(self, info: ObjectInfo) -> bool:
        return (
            self.bucket_name in ("", info.bucket_name)
            and self.object_name in ("", info.object_name)
            and info.create_at >= self.created_since
        )


class FindingState(Enum):
    BROKEN = "broken"
    REPAIRED = "repaired"
    ORPHAN = "orphan"
    """Nobody needs the column."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One column with which something is, or was, the matter. ``name``: bucket/object, empty where
    the chain does not know it. ``reason``: why it is broken still, or an orphan."""

    sp_address: str
    object_id: int
    redundancy_index: int
    name: str
    state: FindingState
    damages: tuple[Damage, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ScrubCounts:
    """``left_alone``: objects that are not sealed. ``size_bytes``: read and hashed."""

    objects: int = 0
    columns: int = 0
    size_bytes: int = 0
    left_alone: int = 0
    repaired: int = 0
    broken: int = 0
    orphans: int = 0

    def __add__(self, other: ScrubCounts) -> ScrubCounts:
        return ScrubCounts(
            self.objects + other.objects,
            self.columns + other.columns,
            self.size_bytes + other.size_bytes,
            self.left_alone + other.left_alone,
            self.repaired + other.repaired,
            self.broken + other.broken,
            self.orphans + other.orphans,
        )


NOTHING_DONE = -1
"""The position of a scrub that has not come to any object."""


@dataclass(frozen=True, slots=True)
class ScrubRun:
    """One scrub of one Scrubber, as far as it got. ``position``: all objects up to this id are
    done. ``ended_at``: unix seconds, None while it goes on or waits for its turn. ``cancelled``: it
    ended before its end."""

    run_id: int
    scrubber: str
    order: ScrubOrder
    began_at: float
    position: int = NOTHING_DONE
    counts: ScrubCounts = ScrubCounts()
    ended_at: float | None = None
    cancelled: bool = False


def next_run(runs: Sequence[ScrubRun]) -> ScrubRun | None:
    """Which unfinished run goes on: one that somebody waits for before the background's, the
    earliest first."""
    unfinished = [run for run in runs if run.ended_at is None]
    return min(unfinished, key=lambda run: (run.order.background, run.run_id), default=None)


def next_background_at(runs: Sequence[ScrubRun], interval_s: float, now: float) -> float:
    """When the next background scrub is due (unix seconds), if none is under way; the first one an
    interval after now."""
    began = [run.began_at for run in runs if run.order.background]
    return max(began, default=now) + interval_s
