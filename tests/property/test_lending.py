"""Whoever waits, borrows and moves: what the rules of lending never do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.credit.lending import (
    Borrower,
    Held,
    LendingRules,
    Loan,
    WatchedLoan,
    exceeded_shares,
    merits,
    whom_to_serve,
    whom_to_take_back,
)

BUDGET_BYTES = 1000
BORROWERS = st.builds(Borrower, st.sampled_from(["", "a", "b"]), st.sampled_from(["", "x", "y"]))
LOANS = st.builds(Loan, BORROWERS, st.integers(1, 600))
WATCHED = st.builds(
    WatchedLoan,
    BORROWERS,
    st.integers(1, 600),
    st.integers(0, 2000),
    st.floats(1.0, 10.0),
    st.floats(1.0, 100.0),
)
RULES = st.builds(
    LendingRules,
    st.just(BUDGET_BYTES),
    st.floats(0.1, 1.0),
    st.floats(0.1, 1.0),
    st.integers(0, 100),
)


def held_of(loans: list[WatchedLoan]) -> Held:
    held = Held()
    for loan in loans:
        held.add(loan)
    return held


@given(loans=st.lists(WATCHED, max_size=8), wish=LOANS, free=st.integers(0, 600), rules=RULES)
def test_what_is_taken_back_is_enough_and_nothing_of_it_too_much(
    loans: list[WatchedLoan], wish: Loan, free: int, rules: LendingRules
) -> None:
    named = dict(enumerate(loans))
    taken = whom_to_take_back(named, wish, free, held_of(loans), rules)
    sizes = [named[key].size_bytes for key in taken]
    assert len(set(taken)) == len(taken)
    if taken:
        assert free + sum(sizes) >= wish.size_bytes
        assert free + sum(sizes[:-1]) < wish.size_bytes


@given(loans=st.lists(WATCHED, max_size=8), wish=LOANS, free=st.integers(0, 600), rules=RULES)
def test_only_who_is_too_slow_or_has_more_than_a_share_loses_anything(
    loans: list[WatchedLoan], wish: Loan, free: int, rules: LendingRules
) -> None:
    named, held = dict(enumerate(loans)), held_of(loans)
    for key in whom_to_take_back(named, wish, free, held, rules):
        loan = named[key]
        least = max(rules.least_bytes_per_s, loan.size_bytes / loan.fill_s)
        too_slow = loan.moved_bytes < least * loan.during_s
        exceeded = exceeded_shares(Loan(loan.borrower, 0), held, rules)
        assert too_slow or exceeded > exceeded_shares(wish, held, rules)


@given(loans=st.lists(WATCHED, max_size=8), wish=LOANS, rules=RULES)
def test_of_two_that_are_too_slow_for_the_same_loan_the_slower_one_loses_it(
    loans: list[WatchedLoan], wish: Loan, rules: LendingRules
) -> None:
    same = [
        WatchedLoan(wish.borrower, wish.size_bytes, one.moved_bytes, one.during_s, one.fill_s)
        for one in loans
    ]
    taken = whom_to_take_back(dict(enumerate(same)), wish, 0, Held(), rules)
    if taken:
        slowest = min(
            (one for one in same if is_slow(one, rules)),
            key=lambda one: one.moved_bytes / one.during_s,
        )
        chosen = same[taken[0]]
        assert chosen.moved_bytes / chosen.during_s == slowest.moved_bytes / slowest.during_s


def is_slow(loan: WatchedLoan, rules: LendingRules) -> bool:
    least = max(rules.least_bytes_per_s, loan.size_bytes / loan.fill_s)
    return loan.moved_bytes < least * loan.during_s


@given(waiting=st.lists(LOANS, min_size=1, max_size=8), loans=st.lists(WATCHED), rules=RULES)
def test_who_is_served_next_came_first_of_those_who_exceed_the_fewest_shares(
    waiting: list[Loan], loans: list[WatchedLoan], rules: LendingRules
) -> None:
    held = held_of(loans)
    chosen = whom_to_serve(waiting, held, rules)
    exceeded = [exceeded_shares(wish, held, rules) for wish in waiting]
    assert exceeded[chosen] == min(exceeded)
    assert min(exceeded) not in exceeded[:chosen]


@given(loans=st.lists(LOANS))
def test_who_has_given_everything_back_holds_nothing(loans: list[Loan]) -> None:
    held = Held()
    for loan in loans:
        held.add(loan)
    for loan in reversed(loans):
        held.remove(loan)
    assert held == Held()


@given(size=st.integers(1, 1 << 40), moved=st.integers(0, 1 << 40), s=st.floats(0, 1e6))
def test_nobody_who_sends_nothing_merits_anything(size: int, moved: int, s: float) -> None:
    assert not merits(size, 0, s + 1e-3, 20.0)
    assert merits(size, moved, s, 20.0) or moved * 20.0 < size * s
