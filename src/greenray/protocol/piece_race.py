"""Which holders are asked for the pieces of one broken segment, and when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from greenray.protocol.layout import SEGMENTS


@dataclass(frozen=True, slots=True)
class PieceRace:
    """Any ``needed`` of the pieces in ``order`` make the segment; all are redundancy indices.

    A piece that was asked for is in exactly one of ``running``, ``arrived`` and ``failed``; in
    ``slow`` as well while it is running but not counted on.
    """

    order: tuple[int, ...]
    needed: int
    running: frozenset[int] = frozenset()
    slow: frozenset[int] = frozenset()
    arrived: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()

    @classmethod
    def of(cls, indices: Iterable[int], needed: int, distrusted: Collection[int] = ()) -> PieceRace:
        """Data pieces come first: no decoding when all of them arrive. Holders that have failed
        before (``distrusted``) come last."""
        return cls(tuple(sorted(indices, key=lambda index: (index in distrusted, index))), needed)

    @property
    def is_won(self) -> bool:
        return len(self.arrived) >= self.needed

    @property
    def is_lost(self) -> bool:
        """Too few pieces are left, whatever those that are running bring."""
        return len(self.order) - len(self.failed) < self.needed

    @property
    def next_indices(self) -> tuple[int, ...]:
        """What to ask for now: just as many as it takes if all of them come."""
        counted_on = len(self.arrived) + len(self.running - self.slow)
        asked = self.running | self.arrived | self.failed
        unasked = (index for index in self.order if index not in asked)
        return tuple(islice(unasked, max(0, self.needed - counted_on)))

    def asked(self, indices: Iterable[int]) -> PieceRace:
        return replace(self, running=self.running.union(indices))

    def came(self, index: int) -> PieceRace:
        return replace(self._ended(index), arrived=self.arrived | {index})

    def broke(self, index: int) -> PieceRace:
        return replace(self._ended(index), failed=self.failed | {index})

    def exposed(self, indices: Iterable[int]) -> PieceRace:
        """What has arrived there is false after all: others are asked instead."""
        false = frozenset(indices)
        return replace(self, arrived=self.arrived - false, failed=self.failed | false)

    def stalled(self) -> PieceRace:
        """Nothing has come for a while: whoever is running is slow, and raced by spares."""
        return replace(self, slow=self.running)

    def _ended(self, index: int) -> PieceRace:
        return replace(self, running=self.running - {index}, slow=self.slow - {index})


def races_for(
    repaired_index: int, indices: Collection[int], needed: int, distrusted: Collection[int] = ()
) -> tuple[PieceRace, ...]:
    """The races that are run one after the other, until one is won, for a segment that the column
    ``repaired_index`` wants: first for the primary's own, which is one read without decoding, then
    for ``needed`` pieces of secondaries. Nothing is asked of the column that is repaired.

    ``indices``: columns that have a holder, ``SEGMENTS`` among them if the primary may be asked.
    """
    others = [index for index in indices if index not in (SEGMENTS, repaired_index)]
    by_pieces = PieceRace.of(others, needed, distrusted)
    if repaired_index == SEGMENTS or SEGMENTS not in indices:
        return (by_pieces,)
    whole = PieceRace((SEGMENTS,), 1)
    return (by_pieces, whole) if SEGMENTS in distrusted else (whole, by_pieces)
