"""What is remembered of a chain tells every chain that is not its continuation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.known_chain import (
    Continuity,
    KnownBlock,
    KnownChain,
    block_to_compare,
    judge,
)

ID = "greenfield_9000-121"


def hash_of(height: int, fork_at: int | None = None, fork: str = "b") -> str:
    """Of a chain whose blocks from ``fork_at`` on are other ones."""
    branch = "a" if fork_at is None or height < fork_at else fork
    return f"{branch}{height}"


def learnt(heights: list[int]) -> KnownChain:
    history = KnownChain(ID)
    for height in heights:
        history = history.with_block(KnownBlock(height, hash_of(height)))
    return history


def verdict(known: KnownChain, height: int, fork_at: int | None = None) -> Continuity:
    """What a node at this height is judged to be."""
    head = KnownBlock(height, hash_of(height, fork_at))
    anchor = block_to_compare(known, head)
    there = hash_of(anchor.height, fork_at) if anchor else ""
    return judge(known, ID, head, there)


seen_heights = st.lists(st.integers(1, 100_000), min_size=1, max_size=200, unique=True).map(sorted)


@given(seen_heights, st.integers(0, 100_000))
def test_the_same_chain_continues_from_its_height_on_and_is_behind_below(
    heights: list[int], further: int
) -> None:
    known = learnt(heights)
    assert verdict(known, heights[-1] + further) is Continuity.CONTINUES
    if heights[-1] > 1:
        assert verdict(known, heights[-1] - 1) is Continuity.BEHIND


@given(seen_heights, st.integers(1, 100_000), st.integers(1, 200_000))
def test_a_chain_that_went_back_never_continues(
    heights: list[int], fork_at: int, height: int
) -> None:
    known = learnt(heights)
    if fork_at > known.height:
        return  # nothing that was seen is lost
    found = verdict(known, height, fork_at)
    assert found in (Continuity.BEHIND, Continuity.WENT_BACK)
    if height >= known.height:
        assert found is Continuity.WENT_BACK


@given(seen_heights)
def test_the_newest_and_the_first_block_are_kept_and_few_of_the_others(heights: list[int]) -> None:
    known = learnt(heights)
    assert known.height == heights[-1]
    assert known.blocks[0].height == heights[0]
    assert set(known.blocks) <= {KnownBlock(h, hash_of(h)) for h in heights}
    assert len(known.blocks) <= 2 * (100_000).bit_length() + 3


@given(seen_heights, st.integers(1, 100_000))
def test_what_is_left_after_a_rollback_is_continued_by_the_chain_that_went_back(
    heights: list[int], fork_at: int
) -> None:
    kept = learnt(heights).up_to(fork_at - 1)
    assert verdict(kept, fork_at + 5, fork_at) is Continuity.CONTINUES


def test_another_id_is_another_chain_and_nothing_known_is_continued_by_anything() -> None:
    head = KnownBlock(5, "a5")
    assert judge(learnt([1, 4]), "greenfield_5600-1", head) is Continuity.ANOTHER_CHAIN
    assert judge(KnownChain(), ID, head) is Continuity.CONTINUES


def test_a_node_that_has_the_block_no_more_proves_nothing() -> None:
    assert judge(learnt([1, 4]), ID, KnownBlock(9, "a9"), "") is Continuity.CONTINUES
