"""``greenray bench ec --answer``: how many cores a wanted rate takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from greenray.cli.bench_table import print_table
from greenray.cli.output import print_result
from greenray.protocol.errors import InvalidInput

if TYPE_CHECKING:
    from greenray.bench.answer import Answer, CoresNeeded


def ec_result(path: Path) -> Mapping[str, Any]:
    """The kept result of ``bench ec``: the file, or the one in that directory.

    Raises InvalidInput.
    """
    from greenray.bench.records import read_results

    documents = read_results(path)
    of_ec = [document for document in documents if document["bench"] == "ec"]
    if not of_ec:
        raise InvalidInput(
            "there is no result of bench ec", str(path), "Make one: greenray bench ec --out DIR"
        )
    return of_ec[0]


def show_answer(
    document: Mapping[str, Any],
    wanted_gb_s: float,
    shapes: Sequence[tuple[int, int]],
    chosen: Mapping[str, Sequence[Any]],
    as_json: bool,
) -> None:
    """``shapes``, ``chosen``: what to answer for; of none all. Raises InvalidInput."""
    from greenray.bench.answer import answer
    from greenray.bench.trust import busy_mark

    rows = [row for row in document["rows"] if not shapes or (row["k"], row["m"]) in shapes]
    found = answer({**document, "rows": rows}, wanted_gb_s, **chosen)
    if as_json:
        print_result({**document, "answer": found.to_json()}, "", as_json)
    else:
        _print_answer(found, busy_mark(document["environment"]))


def _print_answer(found: Answer, mark: str) -> None:
    from greenray.bench.answer import ASSUMES
    from greenray.display.units import number

    headings = ("way", "measured GB/s", "by workers", "CPU s/GB", "cores", "how")
    print_table(
        f"encoding at {number(found.wanted_gb_s)} GB/s, from a machine with "
        f"{found.cores_measured_on} cores" + (f"\n{mark}" if mark else ""),
        headings,
        [_cells(way) for way in found.ways],
        headings[1:5],
    )
    for way in found.ways:
        if way.reason:
            typer.echo(f"{way.way}: does not reach it; {way.reason}.")
    if found.left_out:
        typer.echo(f"Not answered for, choose it with --segment-size: {', '.join(found.left_out)}.")
    typer.echo(ASSUMES)


def _cells(way: CoresNeeded) -> tuple[str, ...]:
    from greenray.display.units import number

    how = "does not reach it" if way.cores is None else "extrapolated"
    return (
        way.way,
        " / ".join(number(point.gb_s) for point in way.points),
        " / ".join(str(point.workers) for point in way.points),
        number(way.points[-1].cpu_s_per_gb),
        "-" if way.cores is None else str(way.cores),
        "measured" if way.measured else how,
    )
