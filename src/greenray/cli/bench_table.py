"""Tables of benchmarks: as wide as what is in them, and readable where there is no room for that.

In a pipe or a file nothing is folded or cut. On a terminal too narrow for the whole table the first
column is folded; on one too narrow for that as well a row becomes a heading and its values below.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

_LEAST_FIRST_COLUMN = 24
_BETWEEN_COLUMNS = 3
_INDENT = "  "

Cells = Sequence[str]


def print_table(
    title: str, headings: Cells, rows: Sequence[Cells], numeric: Collection[str] = ()
) -> None:
    """``numeric``: the headings whose cells end at the right edge."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo(table_text(title, headings, rows, numeric, columns))


def table_text(
    title: str,
    headings: Cells,
    rows: Sequence[Cells],
    numeric: Collection[str],
    columns: int | None,
) -> str:
    """``columns``: how many characters a line may have; None: as many as it takes."""
    widths = [max(map(len, cells)) for cells in zip(headings, *rows, strict=True)]
    borders = _BETWEEN_COLUMNS * len(widths) + 1
    needed = sum(widths) + borders
    if columns is None or needed <= columns:
        return _framed(title, _table(headings, rows, numeric), needed, columns)
    if sum(widths[1:]) + borders + _LEAST_FIRST_COLUMN <= columns:
        return _framed(title, _table(headings, rows, numeric), columns, columns)
    return "\n".join([*_told(title, columns), *_stacked(headings, rows, columns)])


def _table(headings: Cells, rows: Sequence[Cells], numeric: Collection[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if heading in numeric else "left"
        table.add_column(heading, justify=justify, no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _framed(title: str, table: Table, width: int, columns: int | None) -> str:
    """The title stands above the middle of the table; only a terminal folds it."""
    from rich.console import Console

    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    head = [line.center(width).rstrip() for line in _told(title, columns)]
    return "\n".join([*head, captured.get().rstrip("\n")])


def _told(title: str, columns: int | None) -> list[str]:
    lines = title.splitlines()
    return lines if columns is None else [fill(line, columns) for line in lines]


def _stacked(headings: Cells, rows: Sequence[Cells], columns: int) -> Iterator[str]:
    """The first cell once for all rows that have it, what the others say below it, with its name
    where that is not told by the second cell."""
    for first, having in groupby(rows, key=lambda row: row[0]):
        yield fill(first, columns)
        for row in having:
            named = [
                f"{name} {cell}" for name, cell in zip(headings[2:], row[2:], strict=True) if cell
            ]
            text = f"{row[1]}: {', '.join(named)}"
            yield fill(text, columns, initial_indent=_INDENT, subsequent_indent=2 * _INDENT)
