"""Buffers that are lent to peers, who fill or empty them at a pace of their own.

Credit alone is a lock that a slow peer keeps. What is lent here is taken back: from the slowest,
when somebody else waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from greenray.actors.credit.buffers import BufferShelf, capacity_for
from greenray.actors.credit.lending import (
    OURSELVES,
    Borrower,
    Held,
    LendingRules,
    Loan,
    WatchedLoan,
    whom_to_serve,
    whom_to_take_back,
)
from greenray.actors.credit.settings import LendingSettings
from greenray.actors.ports import Column
from greenray.protocol.errors import Overloaded

_SMALL_SHARE = 1 / 8
"""Of a budget, what is for small loans only: who begins is not kept waiting by who is at work."""

FIRST_BYTES = 128 * 1024
"""What a peer has before it has sent anything."""


@dataclass(slots=True, eq=False)
class _Watch:
    """Since when a loan is observed, and how much had moved by then."""

    at_s: float
    moved_bytes: int


class LentBuffer:
    """A buffer until ``give_back``, which its holder has to call whatever happens."""

    def __init__(self, pool: LendingPool, buffer: Column, loan: Loan, since_s: float) -> None:
        self._pool = pool
        self._buffer: Column | None = buffer
        self._watch: _Watch | None = None
        self._moved: Callable[[], int] = lambda: 0
        self._take_back: Callable[[], None] | None = None
        self._fill_s = 0.0
        self.loan = loan
        self.since_s = since_s
        self.is_asked_back = False

    @property
    def buffer(self) -> Column:
        """Flat uint8 with undefined contents, as large as asked for or larger."""
        assert self._buffer is not None, "it was given back"
        return self._buffer

    @property
    def is_over(self) -> bool:
        return self._buffer is None

    def give_back(self) -> None:
        """Nothing may touch the buffer afterwards. Idempotent."""
        buffer, self._buffer = self._buffer, None
        self.hold()
        if buffer is not None:
            self._pool._put(self, buffer)

    def may_be_taken_back(
        self, moved_bytes: Callable[[], int], take_back: Callable[[], None], fill_s: float
    ) -> None:
        """From now on a peer decides how fast it goes. ``moved_bytes``: how much has come or gone;
        ``take_back``: see to it that the buffer is given back soon. It is called at most once, when
        others wait and the peer would need more than ``fill_s`` for all of the buffer."""
        self._moved, self._take_back, self._fill_s = moved_bytes, take_back, fill_s
        self._watch = None

    def hold(self) -> None:
        """From now on no peer is waited for."""
        self._take_back = None
        self._moved = lambda: 0  # no reference to who had it
        self._watch = None

    def _watched(self, now_s: float, least_s: float) -> WatchedLoan | None:
        """What was seen of it for ``least_s`` or more; observing begins anew then."""
        if self._take_back is None:
            return None
        moved_bytes = self._moved()
        before = self._watch
        if before is not None and now_s - before.at_s < least_s:
            return None
        self._watch = _Watch(now_s, moved_bytes)
        if before is None:
            return None
        return WatchedLoan(
            self.loan.borrower,
            self.loan.size_bytes,
            moved_bytes - before.moved_bytes,
            now_s - before.at_s,
            self._fill_s,
        )

    def _ask_back(self) -> None:
        take_back = self._take_back
        self.hold()
        self.is_asked_back = True
        if take_back is not None:
            take_back()


@dataclass(slots=True, eq=False)
class _Waiter:
    wish: Loan
    lent: asyncio.Future[LentBuffer]
    since_s: float
    limit_bytes: int


class LendingPool:
    """Lends buffers under ``budget_bytes``; a larger one is had alone.

    No more than ``at_once_bytes`` (all by default) is given to who comes; the rest is for who has
    waited ``patience_s``: those that use buffers quickly then share a few warm ones. Who keeps one
    for longer is not among them, and does not count. An eighth is for loans of ``FIRST_BYTES``
    only. Who waits is served in order, those first who exceed the fewest shares. What others hold
    is judged by what moves in ``judged_s`` while somebody waits.
    """

    def __init__(
        self,
        budget_bytes: int,
        settings: LendingSettings,
        *,
        what: str,
        least_bytes_per_s: int,
        at_once_bytes: int | None = None,
        patience_s: float = 1.0,
        judged_s: float = 2.0,
    ) -> None:
        """``what`` is lent this memory, in words: ``uploads``."""
        self._rules = LendingRules(
            budget_bytes, settings.account_share, settings.address_share, least_bytes_per_s
        )
        self._what = what
        self.wait_s: float | None = settings.memory_wait_s
        """How long a request may wait for its first loan."""
        self._reserved_bytes = int(budget_bytes * _SMALL_SHARE)
        if self._reserved_bytes < FIRST_BYTES:
            self._reserved_bytes = 0
        self._at_once_bytes = budget_bytes if at_once_bytes is None else at_once_bytes
        self._patience_s = patience_s
        self._judged_s = judged_s
        self._shelf = BufferShelf()
        self._lent: set[LentBuffer] = set()
        self._held = Held()
        self._waiting: list[_Waiter] = []
        self._looks: asyncio.TimerHandle | None = None

    @property
    def allocated_bytes(self) -> int:
        """Lent and kept."""
        return self._shelf.allocated_bytes

    @property
    def lent_bytes(self) -> int:
        return sum(lent.loan.size_bytes for lent in self._lent)

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether so much can be had beside a small loan, at some time."""
        wish = Loan(OURSELVES, capacity_for(size_bytes))
        return wish.size_bytes + FIRST_BYTES <= self._limit(wish, self._rules.budget_bytes)

    async def lend(
        self, size_bytes: int, borrower: Borrower = OURSELVES, *, wait_s: float | None = None
    ) -> LentBuffer:
        """At least ``size_bytes``. Raises Overloaded after ``wait_s``; None: however long it
        takes."""
        wish = Loan(borrower, capacity_for(size_bytes))
        lent = self._lend_now(wish, self._quick_bytes())
        if lent is not None:
            return lent
        loop = asyncio.get_running_loop()
        limit_bytes = self._limit(wish, self._quick_bytes())
        waiter = _Waiter(wish, loop.create_future(), loop.time(), limit_bytes)
        self._waiting.append(waiter)
        self._look_soon()
        try:
            async with asyncio.timeout(wait_s):
                return await waiter.lent
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter.lent.done() and not waiter.lent.cancelled():
                waiter.lent.result().give_back()
            self._serve()
            if isinstance(error, TimeoutError):
                raise self._overloaded() from None
            raise

    async def lend_first(self, size_bytes: int, borrower: Borrower) -> LentBuffer:
        """What somebody begins with: as much as asked for, or FIRST_BYTES, before anything of his
        is read. Raises Overloaded."""
        return await self.lend(min(size_bytes, FIRST_BYTES), borrower, wait_s=self.wait_s)

    def lend_at_once(self, size_bytes: int, borrower: Borrower) -> LentBuffer | None:
        """More than somebody has already; None when it is not there."""
        return self._lend_now(Loan(borrower, capacity_for(size_bytes)), self._at_once_bytes)

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            f"{self._what} have all the memory that there is for them", "", "Try again later"
        )

    def _lend_now(self, wish: Loan, limit_bytes: int) -> LentBuffer | None:
        if self._waiting and not self._is_small(wish):
            return None
        return self._try(wish, self._limit(wish, limit_bytes))

    def _quick_bytes(self) -> int:
        """What may be lent at once, beside that which others keep."""
        long_ago_s = asyncio.get_running_loop().time() - self._patience_s
        return self._at_once_bytes + sum(
            lent.loan.size_bytes for lent in self._lent if lent.since_s < long_ago_s
        )

    def _is_small(self, wish: Loan) -> bool:
        return bool(self._reserved_bytes) and wish.size_bytes <= FIRST_BYTES

    def _limit(self, wish: Loan, limit_bytes: int) -> int:
        budget_bytes = self._rules.budget_bytes
        if self._is_small(wish):
            return budget_bytes
        return min(limit_bytes, budget_bytes - self._reserved_bytes)

    def _try(self, wish: Loan, limit_bytes: int) -> LentBuffer | None:
        buffer = self._shelf.take(wish.size_bytes, limit_bytes)
        if buffer is None:
            return None
        lent = LentBuffer(self, buffer, wish, asyncio.get_running_loop().time())
        self._lent.add(lent)
        self._held.add(wish)
        return lent

    def _put(self, lent: LentBuffer, buffer: Column) -> None:
        self._lent.discard(lent)
        self._held.remove(lent.loan)
        self._shelf.put(buffer, self._at_once_bytes)
        self._serve()

    def _serve(self) -> None:
        while (waiter := self._next()) is not None:
            lent = self._try(waiter.wish, waiter.limit_bytes)
            if lent is None:
                return
            self._waiting.remove(waiter)
            if waiter.lent.done():  # cancelled, and not told yet
                lent.give_back()
            else:
                waiter.lent.set_result(lent)

    def _next(self) -> _Waiter | None:
        if not self._waiting:
            return None
        small = next((one for one in self._waiting if self._is_small(one.wish)), None)
        if small is not None:
            return small
        wishes = [one.wish for one in self._waiting]
        return self._waiting[whom_to_serve(wishes, self._held, self._rules)]

    # --- while somebody waits --------------------------------------------------------------------

    def _look_soon(self) -> None:
        if self._looks is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._looks = loop.call_later(self._patience_s, self._look)

    def _look(self) -> None:
        self._looks = None
        now_s = asyncio.get_running_loop().time()
        for waiter in self._waiting:
            if now_s - waiter.since_s >= self._patience_s:
                waiter.limit_bytes = self._limit(waiter.wish, self._rules.budget_bytes)
        self._serve()
        if not self._waiting:
            for lent in self._lent:
                lent._watch = None
            return
        patient = [one for one in self._waiting if now_s - one.since_s >= self._patience_s]
        if patient:
            self._take_back_for(patient, now_s)
        self._look_soon()

    def _take_back_for(self, waiting: list[_Waiter], now_s: float) -> None:
        seen = {lent: lent._watched(now_s, self._judged_s) for lent in self._lent}
        loans = {lent: loan for lent, loan in seen.items() if loan is not None}
        # What was asked back before, and what is free, is for who is served first.
        spoken_for_bytes = -sum(one.loan.size_bytes for one in self._lent if one.is_asked_back)
        while waiting and loans:
            wishes = [one.wish for one in waiting]
            waiter = waiting.pop(whom_to_serve(wishes, self._held, self._rules))
            size_bytes = waiter.wish.size_bytes
            # One that is larger than the limit is had alone.
            limit_bytes = max(waiter.limit_bytes, size_bytes)
            free_bytes = limit_bytes - self.lent_bytes - spoken_for_bytes
            spoken_for_bytes += size_bytes
            for lent in whom_to_take_back(loans, waiter.wish, free_bytes, self._held, self._rules):
                spoken_for_bytes -= loans.pop(lent).size_bytes
                lent._ask_back()


def unshared_pool(budget_bytes: int) -> LendingPool:
    """For work of our own that no peer waits for."""
    return LendingPool(budget_bytes, LendingSettings(), what="repairs", least_bytes_per_s=0)
