"""Parity columns in shared blocks, which are lent to who reads them and used again after that.

A lent column is a reference as one of Ray's is: its memory is free when the last reference has
gone, and a call that is under way has one until it is answered, however long ago its caller has
given up. A call that ended without an answer may still be read from, so its block is never used
again. Beyond that, every loan has a number, which stands at the beginning of its block: who reads
looks there before and after. So nobody takes the bytes of a later loan for those of an earlier one.
"""

from __future__ import annotations

import logging
import mmap
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from greenray.actors.ports import BorrowedColumn
from greenray.cluster.on_ray.shared_block import BlockName, SharedBlock, opened_block
from greenray.protocol.errors import SharedBlockGone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenray.actors.ports import Column

log = logging.getLogger(__name__)

_HEAD_BYTES = mmap.PAGESIZE
"""Before the columns, each of which begins at a page, so that it can be written from there."""


def _number_in(memory: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return memory[:8].view(np.uint64)


def _pages(size_bytes: int) -> int:
    return size_bytes + -size_bytes % mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class LoanName:
    """What a borrower is told: some columns of one size, in a block."""

    block: BlockName
    number: int
    columns: int
    column_size_bytes: int

    def opened(self) -> list[Column]:
        """The columns, to be made, in another process. Raises SharedBlockGone."""
        memory = opened_block(self.block, writable=True)
        self._check(memory)
        return self.columns_in(memory)

    def borrowed(self, index: int) -> BorrowedColumn:
        """One of the columns, to be read, in another process. Raises SharedBlockGone."""
        memory = opened_block(self.block)
        check = partial(self._check, memory)
        check()
        return BorrowedColumn(self.columns_in(memory)[index], check)

    def columns_in(self, memory: NDArray[np.uint8]) -> list[Column]:
        starts = [_HEAD_BYTES + i * _pages(self.column_size_bytes) for i in range(self.columns)]
        return [memory[start : start + self.column_size_bytes] for start in starts]

    def _check(self, memory: NDArray[np.uint8]) -> None:
        if _number_in(memory)[0] != self.number:
            raise SharedBlockGone(
                "its memory is used for something else by now", f"loan {self.number}"
            )


class ColumnLoan:
    """Ends when nobody has it any more."""

    def __init__(self, lender: ParityMemory, block: SharedBlock, name: LoanName) -> None:
        self._lender = lender
        self._block = block
        self._is_given_up = False
        self.name = name

    def column(self, index: int) -> Column:
        return self.name.columns_in(self._block.memory)[index]

    def give_up(self, error: BaseException) -> None:
        """Somebody may use the block for longer than the loan lasts: it is not lent again. Who did
        not find what he was lent will not find the next one either, so nothing is lent any more.
        """
        self._is_given_up = True
        if isinstance(error, SharedBlockGone):
            self._lender.close(error)

    def __del__(self) -> None:
        # Whoever drops the last reference may be any thread, or the garbage collector.
        self._lender.ended.append((self._block, self._is_given_up))


class ParityMemory:
    """Lends blocks of up to ``limit_bytes`` in all, from one event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._idle: list[SharedBlock] = []
        self._number = secrets.randbits(63)
        """Of the last loan; no other lender has it."""
        self.allocated_bytes = 0
        """Lent, and kept to be lent again."""
        self.ended: deque[tuple[SharedBlock, bool]] = deque()
        """Blocks whose loan has ended, and whether they were given up."""

    def lend(self, columns: int, column_size_bytes: int) -> ColumnLoan | None:
        """None when there is no room; then they have to be placed elsewhere."""
        self._take_back()
        block = self._block_of(_HEAD_BYTES + columns * _pages(column_size_bytes))
        if block is None:
            return None
        self._number += 1
        _number_in(block.memory)[0] = self._number
        return ColumnLoan(
            self, block, LoanName(block.name, self._number, columns, column_size_bytes)
        )

    def close(self, cause: SharedBlockGone) -> None:
        """Lend nothing any more."""
        if self._limit_bytes:
            log.warning("parity goes through the object store from now on: %s", cause)
        self._limit_bytes = 0
        self._take_back()

    def _take_back(self) -> None:
        while self.ended:
            block, is_given_up = self.ended.popleft()
            if is_given_up or not self._limit_bytes:
                self._drop(block)
            else:
                self._idle.append(block)
        if not self._limit_bytes:
            while self._idle:
                self._drop(self._idle.pop())

    def _block_of(self, size_bytes: int) -> SharedBlock | None:
        """The smallest idle one that is large enough, else a new one if there is room, for which
        smaller ones are dropped."""
        fitting = [block for block in self._idle if block.memory.size >= size_bytes]
        if fitting:
            found = min(fitting, key=lambda block: block.memory.size)
            self._idle.remove(found)
            return found
        while self._idle and self.allocated_bytes + size_bytes > self._limit_bytes:
            self._drop(self._idle.pop(0))
        if self.allocated_bytes + size_bytes > self._limit_bytes:
            return None
        try:
            block = SharedBlock(size_bytes)
        except OSError as error:
            log.warning("no memory can be shared: %s", error)
            return None
        self.allocated_bytes += size_bytes
        return block

    def _drop(self, block: SharedBlock) -> None:
        self.allocated_bytes -= block.memory.size
        block.close()


@dataclass(frozen=True, slots=True, eq=False)
class LentColumn:
    """A reference to a column of a loan, which is there when ``made`` (of Ray) is."""

    loan: ColumnLoan
    index: int
    made: Any


@dataclass(frozen=True, slots=True)
class LentName:
    """How a borrower finds a lent column that is made."""

    loan: LoanName
    index: int

    def borrowed(self) -> BorrowedColumn:
        """Raises SharedBlockGone."""
        return self.loan.borrowed(self.index)


def carried_for(column: Any) -> Any:
    """What Ray carries, or waits for, for a reference of any kind."""
    return column.made if isinstance(column, LentColumn) else column


def name_of(column: Any) -> LentName | None:
    """None for references of other kinds."""
    return LentName(column.loan.name, column.index) if isinstance(column, LentColumn) else None


@contextmanager
def given_up_unless_answered(columns: Iterable[Any]) -> Iterator[None]:
    """Around a call that carries ``columns``, references of any kind."""
    try:
        yield
    except BaseException as error:
        give_up(columns, error)
        raise


def give_up(columns: Iterable[Any], error: BaseException) -> None:
    for column in columns:
        if isinstance(column, LentColumn):
            column.loan.give_up(error)


def give_up_what_was_not_found(columns: Sequence[Any], outcomes: Sequence[Any]) -> None:
    """``outcomes``: of the calls that carried ``columns``."""
    for column, outcome in zip(columns, outcomes, strict=True):
        if isinstance(outcome, SharedBlockGone):
            give_up([column], outcome)
