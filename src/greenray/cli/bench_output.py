"""What the commands of ``greenray bench`` do with a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from greenray.cli.bench_table import print_table
from greenray.cli.output import EXIT_ERROR, note, print_result

if TYPE_CHECKING:
    from greenray.bench.compare import Comparison
    from greenray.bench.records import BenchResult

_NUMERIC = ("median", "p99", "min - max", "repeats", "CPU s/GB", "first", "second", "change")


def finish(result: BenchResult, out: Path | None, plot: bool, as_json: bool) -> None:
    """Keep it, show it, and fail if it does not count."""
    keep(result, out, plot)
    document = result.to_json()
    if as_json:
        print_result(document, "", as_json)
        warn_if_busy(document)
    else:
        show(document)
    fail_if_failed(result.failures)


def keep(result: BenchResult, out: Path | None, plot: bool) -> None:
    from greenray.bench.records import write_result

    if out is not None:
        json_file, parquet_file = write_result(result, out)
        note(f"written: {json_file}, {parquet_file}")
    if plot:
        from greenray.bench.plots import draw

        note(f"drawn: {draw(result.to_json(), out or Path())}")


def fail_if_failed(failures: Sequence[str]) -> None:
    for failure in failures:
        note(f"error: {failure}")
    if failures:
        raise typer.Exit(EXIT_ERROR)


def show(document: Mapping[str, Any]) -> None:
    from greenray.bench.table import HEADINGS, shared_parts, table_rows
    from greenray.bench.trust import busy_mark

    quick = " (quick: for a first look only)" if document["quick"] else ""
    shared = shared_parts(document["rows"])
    title = f"greenray bench {document['bench']}{quick}"
    title += f"\n{', '.join(shared)}" if shared else ""
    mark = busy_mark(document["environment"])
    title += f"\n{mark}" if mark else ""
    print_table(title, HEADINGS, table_rows(document["rows"], shared), _NUMERIC)
    warn_if_busy(document)


def warn_if_busy(document: Mapping[str, Any]) -> None:
    from greenray.bench.trust import busy_mark

    if mark := busy_mark(document["environment"]):
        note(f"warning: {mark}. Measure again on an idle machine before these numbers are believed")


def show_comparison(comparison: Comparison) -> None:
    """What changed; how much did not is only counted."""
    from greenray.bench.compare import RULE, Verdict
    from greenray.bench.trust import field_text
    from greenray.display.units import number

    for warning in comparison.warnings:
        typer.echo(f"warning: {warning}")
    for name, first, second in comparison.fields:
        typer.echo(f"{name}: {field_text(first)} / {field_text(second)}")
    changed = [c for c in comparison.changes if c.verdict in (Verdict.BETTER, Verdict.WORSE)]
    rows = [
        (
            f"{change.bench}: {change.case}",
            f"{change.metric}, {change.unit}",
            *(number(value or 0.0) for value in (change.before, change.after)),
            f"{change.change or 0.0:+.0%}",
            change.verdict.value,
        )
        for change in sorted(changed, key=lambda c: abs(c.change or 0.0), reverse=True)
    ]
    headings = ("case", "metric", "first", "second", "change", "verdict")
    if rows:
        title = "changed beyond noise"
        title += "\nread the warnings above first" if comparison.warnings else ""
        print_table(title, headings, rows, _NUMERIC)
    for verdict in Verdict:
        count = sum(change.verdict is verdict for change in comparison.changes)
        typer.echo(f"{count:5} {verdict.value}")
    typer.echo(RULE)
