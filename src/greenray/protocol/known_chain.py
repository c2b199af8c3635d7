"""What is remembered of a chain, and what a node's answers mean beside it. Pure.

A chain makes a block final at once, so a block that was seen is in the chain for ever. A node that
has another one at that height is not a fork of ours: somebody has put the chain back to an older
copy, or another chain answers at the same address. A node that does not have it yet lags behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True, order=True)
class KnownBlock:
    """``hash``: upper-case hexadecimal."""

    height: int
    hash: str


@dataclass(frozen=True, slots=True)
class KnownChain:
    """``blocks``: some of those that were seen, ascending; the first of them is kept for ever, and
    the older the others are, the fewer. Empty texts are not known."""

    chain_id: str = ""
    blocks: tuple[KnownBlock, ...] = ()

    @property
    def height(self) -> int:
        """Of the highest block that was seen; 0 when none was."""
        return self.blocks[-1].height if self.blocks else 0

    def newest_up_to(self, height: int) -> KnownBlock | None:
        return next((b for b in reversed(self.blocks) if b.height <= height), None)

    def with_block(self, block: KnownBlock) -> KnownChain:
        """With a block that continues this chain."""
        if self.newest_up_to(block.height) == block:
            return self
        return replace(self, blocks=_thinned(tuple(sorted((*self.blocks, block)))))

    def up_to(self, height: int) -> KnownChain:
        """Without the blocks above ``height``."""
        return replace(self, blocks=tuple(b for b in self.blocks if b.height <= height))


def _thinned(blocks: tuple[KnownBlock, ...]) -> tuple[KnownBlock, ...]:
    """At most two for each power of two that lies between a block and the newest."""
    newest = blocks[-1].height
    by_age: dict[int, list[KnownBlock]] = {}
    for block in blocks:
        by_age.setdefault((newest - block.height).bit_length(), []).append(block)
    kept = {blocks[0], *(b for group in by_age.values() for b in (group[0], group[-1]))}
    return tuple(sorted(kept))


class Continuity(Enum):
    """What a node is, beside what is known of its chain."""

    CONTINUES = "continues"
    BEHIND = "behind"
    """It lacks blocks that were seen. It may catch up, or the chain was put back and will have
    others in their place: nobody can tell yet."""
    WENT_BACK = "went-back"
    """It has another block where one was seen."""
    ANOTHER_CHAIN = "another-chain"


def block_to_compare(known: KnownChain, head: KnownBlock) -> KnownBlock | None:
    """The block that tells whether a node with this head continues the chain; None when its head
    tells it, or nothing does."""
    anchor = known.newest_up_to(head.height)
    return None if anchor is None or anchor.height == head.height else anchor


def judge(known: KnownChain, chain_id: str, head: KnownBlock, hash_there: str = "") -> Continuity:
    """``hash_there``: which hash the node has at the height of ``block_to_compare``; empty when
    that is None, or when the node has the block no more, which proves nothing."""
    if known.chain_id and known.chain_id != chain_id:
        return Continuity.ANOTHER_CHAIN
    anchor = known.newest_up_to(head.height)
    if anchor is not None:
        found = head.hash if anchor.height == head.height else hash_there
        if found and found != anchor.hash:
            return Continuity.WENT_BACK
    return Continuity.BEHIND if head.height < known.height else Continuity.CONTINUES
