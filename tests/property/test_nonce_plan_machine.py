"""The pure nonce planning against a chain that puts any living transaction into any block.

The adversary may include whatever was ever signed, as long as sequence and timeout height allow it:
also what the plan has declared dead. If that ever happens, or a job is done twice, the plan is
wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenray.protocol.nonce_plan import (
    ChainView,
    Fate,
    distinct_timeout_height,
    free_nonces,
    transaction_fate,
)

JOBS = range(5)
SETTLE_BLOCKS = 2
INDEX_LAG_BLOCKS = 1


@dataclass(eq=False)
class Transaction:
    job: int
    nonce: int
    timeout_height: int
    fate: Fate = Fate.IN_FLIGHT
    consumed_since_height: int | None = None
    included_height: int | None = None
    code: int = 0


class NonceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sequence = 0
        self.height = 1
        self.transactions: list[Transaction] = []

    def in_flight(self) -> list[Transaction]:
        return [t for t in self.transactions if t.fate is Fate.IN_FLIGHT]

    def includable(self) -> list[Transaction]:
        return [
            t
            for t in self.transactions
            if t.included_height is None
            and t.nonce == self.sequence
            and self.height + 1 <= t.timeout_height
        ]

    @rule(job=st.sampled_from(JOBS), timeout_blocks=st.integers(1, 6))
    def sign_for(self, job: int, timeout_blocks: int) -> None:
        own = [t for t in self.transactions if t.job == job]
        if any(t.fate in (Fate.IN_FLIGHT, Fate.COMMITTED) for t in own):
            return
        held = {t.nonce for t in self.in_flight()}
        (nonce,) = free_nonces(sequence=self.sequence, held=held, count=1)
        timeout = distinct_timeout_height(
            height=self.height,
            timeout_blocks=timeout_blocks,
            nonce=nonce,
            earlier=[(t.nonce, t.timeout_height) for t in own],
        )
        self.transactions.append(Transaction(job, nonce, timeout))

    @rule()
    def make_an_empty_block(self) -> None:
        self.height += 1

    @precondition(lambda self: self.includable())
    @rule(data=st.data(), code=st.sampled_from([0, 0, 0, 1108]))
    def make_a_block(self, data: st.DataObject, code: int) -> None:
        chosen = data.draw(st.sampled_from(self.includable()))
        self.height += 1
        self.sequence += 1
        chosen.included_height = self.height
        chosen.code = code

    @rule()
    def make_a_block_with_a_foreign_transaction(self) -> None:
        self.height += 1
        self.sequence += 1

    @precondition(lambda self: self.in_flight())
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.in_flight()))
        if self.sequence > chosen.nonce and chosen.consumed_since_height is None:
            chosen.consumed_since_height = self.height
        visible = (
            chosen.included_height is not None
            and self.height >= chosen.included_height + INDEX_LAG_BLOCKS
        )
        chosen.fate = transaction_fate(
            nonce=chosen.nonce,
            timeout_height=chosen.timeout_height,
            code=chosen.code if visible else None,
            view=ChainView(self.sequence, self.height),
            consumed_since_height=chosen.consumed_since_height,
            settle_blocks=SETTLE_BLOCKS,
        )

    @invariant()
    def nothing_dead_is_in_a_block(self) -> None:
        for t in self.transactions:
            assert not (t.fate is Fate.DEAD and t.included_height is not None)

    @invariant()
    def no_job_is_done_twice(self) -> None:
        for job in JOBS:
            done = [t for t in self.transactions if t.job == job and t.included_height is not None]
            assert len([t for t in done if t.code == 0]) <= 1

    @invariant()
    def no_two_living_transactions_share_a_nonce(self) -> None:
        nonces = [t.nonce for t in self.in_flight()]
        assert len(nonces) == len(set(nonces))

    @invariant()
    def a_jobs_transactions_are_all_different(self) -> None:
        signed = [(t.job, t.nonce, t.timeout_height) for t in self.transactions]
        assert len(signed) == len(set(signed))


TestNonceMachine = NonceMachine.TestCase
TestNonceMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, frozenset[int], int]:
    sequence = draw(st.integers(0, 50))
    held = draw(st.frozensets(st.integers(0, 80), max_size=30))
    return sequence, held, draw(st.integers(1, 20))


@given(plans())
def test_planned_nonces_fill_every_gap_from_the_sequence_on(
    plan: tuple[int, frozenset[int], int],
) -> None:
    sequence, held, count = plan
    nonces = free_nonces(sequence=sequence, held=held, count=count)
    assert len(nonces) == count
    assert not held.intersection(nonces)
    assert set(range(sequence, nonces[-1] + 1)) <= held.union(nonces)
