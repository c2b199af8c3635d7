"""Parity in memory that is lent: when it is used again, when never, and what a reader notices."""

from __future__ import annotations

import asyncio
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from greenray.actors.ports import BorrowedColumn
from greenray.cluster.on_ray.call_groups import ColumnCallGroups, answer_column_group
from greenray.cluster.on_ray.lent_columns import ColumnLoan, LentColumn, LentName, ParityMemory
from greenray.protocol.errors import ComponentUnavailable, NoSuchPiece, SharedBlockGone

COLUMN_BYTES = 5000
LOAN_BYTES = 4096 + 2 * 8192
"""Of two columns: each begins at a page, behind a page for the number."""


def lent(memory: ParityMemory, column_size_bytes: int = COLUMN_BYTES) -> ColumnLoan:
    loan = memory.lend(2, column_size_bytes)
    assert loan is not None
    return loan


def test_columns_are_made_and_read_by_name() -> None:
    loan = lent(ParityMemory(LOAN_BYTES))
    made = pickle.loads(pickle.dumps(loan.name)).opened()
    made[0][:] = 1
    made[1][:] = 2
    for index, value in ((0, 1), (1, 2)):
        borrowed = LentName(loan.name, index).borrowed()
        borrowed.check()
        assert borrowed.column.tolist() == [value] * COLUMN_BYTES
        assert loan.column(index).tolist() == [value] * COLUMN_BYTES


def test_every_column_begins_at_a_page() -> None:
    loan = lent(ParityMemory(LOAN_BYTES))
    addresses = [loan.column(index).__array_interface__["data"][0] for index in (0, 1)]
    assert [address % 4096 for address in addresses] == [0, 0]


def test_memory_is_lent_again_when_the_last_reference_has_gone() -> None:
    memory = ParityMemory(LOAN_BYTES)
    loan = lent(memory)
    first, second = LentColumn(loan, 0, None), LentColumn(loan, 1, None)
    block = loan.name.block
    del loan, first
    assert memory.lend(2, COLUMN_BYTES) is None
    del second
    assert lent(memory).name.block == block


def test_no_more_is_lent_than_there_is() -> None:
    memory = ParityMemory(2 * LOAN_BYTES)
    loans = [memory.lend(2, COLUMN_BYTES) for _ in range(3)]
    assert [loan is None for loan in loans] == [False, False, True]
    assert memory.allocated_bytes == 2 * LOAN_BYTES
    assert ParityMemory(0).lend(1, 1) is None


def test_smaller_blocks_make_room_for_a_larger_one() -> None:
    memory = ParityMemory(2 * LOAN_BYTES)
    small = [lent(memory, 100).name.block for _ in range(2)]
    assert small[0] == small[1]  # the first was free again
    large = lent(memory, 2 * COLUMN_BYTES)
    assert large.name.block.size_bytes <= memory.allocated_bytes <= 2 * LOAN_BYTES


def test_a_block_that_was_given_up_is_never_lent_again() -> None:
    memory = ParityMemory(LOAN_BYTES)
    loan = lent(memory)
    block = loan.name.block
    loan.give_up(ComponentUnavailable("its process died", "receiver"))
    del loan
    assert lent(memory).name.block != block
    assert memory.allocated_bytes == LOAN_BYTES


def test_a_reader_is_told_when_its_memory_is_used_for_something_else() -> None:
    memory = ParityMemory(LOAN_BYTES)
    loan = lent(memory)
    name = LentName(loan.name, 0)
    borrowed = name.borrowed()
    borrowed.check()
    del loan
    again = lent(memory)
    assert again.name.block == name.loan.block
    with pytest.raises(SharedBlockGone, match="something else"):
        borrowed.check()
    with pytest.raises(SharedBlockGone, match="something else"):
        name.borrowed()
    with pytest.raises(SharedBlockGone):
        name.loan.opened()


def test_a_reader_is_told_when_its_memory_was_dropped() -> None:
    memory = ParityMemory(LOAN_BYTES)
    loan = lent(memory)
    borrowed = LentName(loan.name, 0).borrowed()
    loan.give_up(ComponentUnavailable("its process died", "receiver"))
    del loan
    memory.lend(2, COLUMN_BYTES)
    with pytest.raises(SharedBlockGone):
        borrowed.check()


def test_nothing_is_lent_any_more_when_somebody_did_not_find_it() -> None:
    memory = ParityMemory(2 * LOAN_BYTES)
    idle = lent(memory)
    loan = lent(memory)
    del idle
    loan.give_up(SharedBlockGone("it cannot be opened", "/proc/1/fd/5"))
    assert memory.lend(2, COLUMN_BYTES) is None
    del loan
    assert memory.lend(2, COLUMN_BYTES) is None
    assert memory.allocated_bytes == 0


# --- on their way ---------------------------------------------------------------------------------


class Reader:
    """At the far end; reads while ``open`` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = asyncio.Event()

    async def write_batch(self, key: str, column: BorrowedColumn | np.ndarray[Any, Any]) -> int:
        if not isinstance(column, BorrowedColumn):
            return int(column[0])
        self.asked.set()
        await self.open.wait()
        read = int(column.column[0])
        if key == "torn":
            raise SharedBlockGone("its memory is used for something else by now", key)
        column.check()
        return read


@dataclass
class Way:
    reader: Reader
    error: Exception | None = None

    async def send(self, group: bytes, *carried: Any) -> bytes:
        if self.error is not None:
            raise self.error
        return await answer_column_group({"reader": self.reader}.__getitem__, group, carried)

    def calls(self) -> ColumnCallGroups:
        return ColumnCallGroups(self.send)


def end_of(column: LentColumn) -> asyncio.Event:
    """Set when the last reference to its loan has gone."""
    ended = asyncio.Event()
    weakref.finalize(column.loan, ended.set)
    return ended


def column_of(memory: ParityMemory, value: int) -> LentColumn:
    loan = lent(memory)
    loan.column(1)[:] = value
    return LentColumn(loan, 1, None)


async def test_a_lent_column_arrives_beside_others() -> None:
    reader = Reader()
    reader.open.set()
    calls = Way(reader).calls()
    memory = ParityMemory(LOAN_BYTES)
    other = np.full(10, 3, dtype=np.uint8)
    sent = [("a", column_of(memory, 7)), ("b", other)]
    outcomes = await asyncio.gather(
        *(calls.call("reader", "write_batch", key, column) for key, column in sent)
    )
    assert outcomes == [7, 3]


async def test_memory_stays_lent_to_a_call_whose_caller_has_given_up() -> None:
    reader = Reader()
    calls = Way(reader).calls()
    memory = ParityMemory(LOAN_BYTES)
    column = column_of(memory, 7)
    ended = end_of(column)
    calling = asyncio.create_task(calls.call("reader", "write_batch", "a", column))
    del column
    await reader.asked.wait()
    calling.cancel()
    await asyncio.wait([calling])
    del calling
    assert memory.lend(2, COLUMN_BYTES) is None
    reader.open.set()
    await ended.wait()
    assert memory.lend(2, COLUMN_BYTES) is not None


async def test_memory_of_a_call_that_was_not_answered_is_given_up() -> None:
    calls = Way(Reader(), ComponentUnavailable("its process died", "reader")).calls()
    memory = ParityMemory(LOAN_BYTES)
    column = column_of(memory, 7)
    block, ended = column.loan.name.block, end_of(column)
    with pytest.raises(ComponentUnavailable):
        await calls.call("reader", "write_batch", "a", column)
    del column
    await ended.wait()
    assert lent(memory).name.block != block


async def test_after_a_torn_reading_nothing_is_lent_any_more() -> None:
    reader = Reader()
    reader.open.set()
    calls = Way(reader).calls()
    memory = ParityMemory(2 * LOAN_BYTES)
    with pytest.raises(NoSuchPiece):
        await calls.call("reader", "write_batch", "torn", column_of(memory, 7))
    assert memory.lend(2, COLUMN_BYTES) is None
