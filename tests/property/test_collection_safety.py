"""A chain that is written, restored from older copies and asked through nodes that lag: whatever is
proven gone does not live, and never will in that history."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.protocol.collection import ChainKnowledge, Standing
from tests.support.chain_history import Chain

MAX_ID = 12


@dataclass
class Learner:
    """Learns as a Collector does, through nodes of which each lags as it likes."""

    chain: Chain
    known: ChainKnowledge | None = None

    def standing(self, lag: int) -> Standing:
        if self.known is None:
            return Standing.NEW
        anchor_hash = self.chain.hash_at(self.known.anchor.height, lag)
        return self.known.standing("first", self.chain.tip(lag), anchor_hash)

    def read_blocks(self, lag: int) -> None:
        tip = self.chain.tip(lag)
        match self.standing(lag):
            case Standing.NEW | Standing.OTHER_HISTORY:
                self.known = ChainKnowledge.start("first", tip)
            case Standing.SAME:
                assert self.known is not None
                states = self.chain.states[self.known.read_height : tip.height]
                self.known = self.known.after_blocks([state.news for state in states], tip)
            case _:
                pass

    def compare(self, lag: int) -> None:
        if self.known is None or self.standing(lag) is not Standing.SAME:
            return
        sightings = [self.chain.sight(one, lag) for one in range(1, MAX_ID)]
        # Another node may answer the question for the newest block.
        self.known = self.known.after_sightings(sightings, self.chain.tip(0))

    def proven_gone(self, lag: int, lag_of_another: int) -> list[int]:
        """By what another node says than the one that was compared."""
        if self.known is None or self.standing(lag) is not Standing.SAME:
            return []
        ids = range(1, MAX_ID)
        return [one for one in ids if self._proves(one, lag_of_another)]

    def _proves(self, object_id: int, lag: int) -> bool:
        assert self.known is not None
        return self.known.proves_gone(self.chain.sight(object_id, lag))


lags = st.integers(0, 4)
steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 2), st.sets(st.integers(1, MAX_ID), max_size=3)),
    st.tuples(st.just("restore"), st.integers(1, 6)),
    st.tuples(st.just("read"), lags),
    st.tuples(st.just("compare"), lags),
    st.tuples(st.just("prove"), lags, lags),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40))
def test_what_is_proven_gone_neither_lives_nor_comes_back(steps: list[tuple[object, ...]]) -> None:
    chain = Chain()
    learner = Learner(chain)
    gone: set[int] = set()
    restores = 0
    for step in steps:
        match step:
            case ("write", int(creates), set(deleted)):
                chain.write(creates, deleted)
            case ("restore", int(blocks)):
                chain.restore(blocks)
            case ("read", int(lag)):
                learner.read_blocks(lag)
            case ("compare", int(lag)):
                learner.compare(lag)
            case ("prove", int(lag), int(other)):
                if restores != chain.restores:
                    # What was right in the history that is gone says nothing of this one.
                    gone, restores = set(), chain.restores
                gone |= set(learner.proven_gone(lag, other))
        if restores == chain.restores:
            assert not gone & chain.states[-1].living
            assert all(one < chain.states[-1].next_id for one in gone)


@given(st.integers(1, 5), st.sets(st.integers(1, 5)))
def test_what_was_deleted_is_proven_gone_once_the_blocks_are_read(
    creates: int, deleted: set[int]
) -> None:
    chain = Chain()
    learner = Learner(chain)
    learner.read_blocks(0)
    chain.write(creates, set())
    chain.write(0, deleted)
    learner.read_blocks(0)
    assert set(learner.proven_gone(0, 0)) == deleted & set(range(1, creates + 1))
