"""Who is lent memory next, and whom it is taken back from. Pure.

Everything that is lent to a peer is lent by these rules: buffers that payloads, replicate groups
and downloads lie in while somebody sends or takes them at a pace of his own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Borrower:
    """Whom memory is lent to: an account (its address on chain), at an address of the network.
    Either is empty where nobody knows it, and has no share then."""

    account: str = ""
    address: str = ""


OURSELVES = Borrower()
"""Work of our own, which waits for no peer."""


@dataclass(frozen=True, slots=True)
class Loan:
    borrower: Borrower
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WatchedLoan(Loan):
    """What was seen of a loan while others waited."""

    moved_bytes: int
    """How much came, or went, in ``during_s`` seconds."""
    during_s: float
    fill_s: float
    """How long all of it may take, while others wait."""


@dataclass(frozen=True, slots=True)
class LendingRules:
    budget_bytes: int
    account_share: float
    """Of the budget, what one account has before others; the same for one address."""
    address_share: float
    least_bytes_per_s: int
    """Who is slower may lose what he has while others wait, however little it is."""


@dataclass(slots=True)
class Held:
    """How much each account and each address has, in bytes."""

    of_account: Counter[str] = field(default_factory=Counter)
    of_address: Counter[str] = field(default_factory=Counter)

    def add(self, loan: Loan) -> None:
        self.of_account[loan.borrower.account] += loan.size_bytes
        self.of_address[loan.borrower.address] += loan.size_bytes

    def remove(self, loan: Loan) -> None:
        for held, name in (
            (self.of_account, loan.borrower.account),
            (self.of_address, loan.borrower.address),
        ):
            held[name] -= loan.size_bytes
            if not held[name]:
                del held[name]


def exceeded_shares(wish: Loan, held: Held, rules: LendingRules) -> int:
    """How many shares of the budget, of its account and of its address, ``wish`` exceeds together
    with what is held: 0 to 2."""
    who = wish.borrower
    shares = (
        (who.account, held.of_account, rules.account_share),
        (who.address, held.of_address, rules.address_share),
    )
    return sum(
        1
        for name, of, share in shares
        if name and of[name] + wish.size_bytes > share * rules.budget_bytes
    )


def whom_to_serve(waiting: Sequence[Loan], held: Held, rules: LendingRules) -> int:
    """The index of who is served next: of those that exceed the fewest shares, the first.

    ``waiting``: at least one, in the order in which they came.
    """
    exceeded = [exceeded_shares(wish, held, rules) for wish in waiting]
    return exceeded.index(min(exceeded))


def whom_to_take_back(
    loans: Mapping[K, WatchedLoan], wish: Loan, free_bytes: int, held: Held, rules: LendingRules
) -> tuple[K, ...]:
    """Of whose loans ``wish`` can be had, beside ``free_bytes``; none when they are too little for
    it: nobody loses anything in vain.

    Who is too slow for what he has loses it, the slowest first. Before them the slowest of those
    who exceed more shares than ``wish`` does, however fast they are.
    """
    exceeded = exceeded_shares(wish, held, rules)
    over = {key for key, loan in loans.items() if _exceeded_by(loan, held, rules) > exceeded}
    slow = {key for key, loan in loans.items() if _is_too_slow(loan, rules)}
    order = sorted(over | slow, key=lambda key: (key not in over, _filled_per_s(loans[key])))
    chosen: list[K] = []
    for key in order:
        if free_bytes >= wish.size_bytes:
            break
        chosen.append(key)
        free_bytes += loans[key].size_bytes
    return tuple(chosen) if free_bytes >= wish.size_bytes else ()


def merits(size_bytes: int, moved_bytes: int, during_s: float, within_s: float) -> bool:
    """Whether at this pace ``size_bytes`` come within that time."""
    return moved_bytes * within_s >= size_bytes * during_s


def _exceeded_by(loan: WatchedLoan, held: Held, rules: LendingRules) -> int:
    return exceeded_shares(Loan(loan.borrower, 0), held, rules)


def _is_too_slow(loan: WatchedLoan, rules: LendingRules) -> bool:
    least_bytes_per_s = max(rules.least_bytes_per_s, loan.size_bytes / loan.fill_s)
    return loan.moved_bytes < least_bytes_per_s * loan.during_s


def _filled_per_s(loan: WatchedLoan) -> float:
    return loan.moved_bytes / max(loan.during_s, 1e-9) / loan.size_bytes
