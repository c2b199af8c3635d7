"""``greenray bench``: what each stage costs, beside what the machine allows."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import ConfigOption, SpsOption
from greenray.cli.output import (
    EXIT_ERROR,
    Json,
    command_app,
    note,
    parse_size,
    print_result,
    reporting_errors,
)

if TYPE_CHECKING:
    from cluster.bench.records import BenchResult
    from cluster.settings import Settings

app = command_app()

_REPEATS = 5
_QUICK_REPEATS = 3

Quick = Annotated[
    bool, typer.Option("--quick", help="Few repeats and little data, for a first look.")
]
Repeats = Annotated[
    int | None,
    typer.Option(min=1, help=f"Measured ones; {_REPEATS}, or {_QUICK_REPEATS} with --quick."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Keep the results there, as JSON and Parquet."),
]
WorkDir = Annotated[
    Path,
    typer.Option(
        "--work-dir",
        metavar="DIR",
        help="A directory on the disk to measure; a new one is made in it and removed again.",
    ),
]


@app.callback()
def bench() -> None:
    """Measure what each stage costs, beside what the machine allows.

    Settings that are not options here come from --config and GREENRAY_... variables.
    """
    # SIGTERM ends a run like Ctrl-C: the network is stopped and its directory removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@app.command()
def pipeline(
    object_size_bytes: Annotated[
        int | None,
        typer.Option(
            "--object-size", parser=parse_size, metavar="SIZE", help="1GiB; 256MiB with --quick."
        ),
    ] = None,
    repeats: Repeats = None,
    sps: SpsOption = None,
    work_dir: WorkDir = Path(),
    config: ConfigOption = None,
    quick: Quick = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Put to sealed through HTTP, and the floor: plain processes that do only the unavoidable."""
    with reporting_errors(as_json):
        from cluster.bench.pipeline import PipelineOptions, run_pipeline

        options = PipelineOptions(
            _settings(config, sps),
            object_size_bytes or ((256 << 20) if quick else (1 << 30)),
            repeats or _default_repeats(quick),
            _on_a_disk(work_dir),
            quick,
        )
        _finish(run_pipeline(options, note), out, as_json)


@app.command()
def memory(
    object_sizes_bytes: Annotated[
        list[int] | None,
        typer.Option(
            "--object-size",
            parser=parse_size,
            metavar="SIZE",
            help="From small to large; 256MiB and 2GiB, or 64MiB and 256MiB with --quick.",
        ),
    ] = None,
    repeats: Repeats = None,
    sps: SpsOption = None,
    work_dir: WorkDir = Path(),
    config: ConfigOption = None,
    quick: Quick = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The peak memory of all server processes, for small and large objects."""
    with reporting_errors(as_json):
        from cluster.bench.memory import MemoryOptions, run_memory

        sizes = (64 << 20, 256 << 20) if quick else (256 << 20, 2 << 30)
        options = MemoryOptions(
            _settings(config, sps),
            tuple(object_sizes_bytes or sizes),
            repeats or _default_repeats(quick),
            _on_a_disk(work_dir),
            quick,
        )
        _finish(run_memory(options, note), out, as_json)


@app.command()
def ec(
    repeats: Repeats = None, quick: Quick = False, out: Out = None, as_json: Json = False
) -> None:
    """Encode and reconstruct by codec, k+m, segment size and threads."""
    with reporting_errors(as_json):
        from cluster.bench.ec import EcOptions, run_ec

        options = EcOptions(
            codecs=("isal", "numpy", "zfec"),
            shapes=((4, 2),) if quick else ((4, 2), (6, 3), (10, 4)),
            segment_sizes_bytes=(16 << 20,) if quick else (1 << 20, 4 << 20, 16 << 20),
            workers=_worker_counts(),
            repeats=repeats or _default_repeats(quick),
            quick=quick,
        )
        _finish(run_ec(options, note), out, as_json)


@app.command("hash")
def hash_command(
    repeats: Repeats = None, quick: Quick = False, out: Out = None, as_json: Json = False
) -> None:
    """SHA-256 of one stream, of many, and of a segment with its pieces."""
    with reporting_errors(as_json):
        from cluster.bench.hash import HashOptions, run_hash

        options = HashOptions(
            segment_sizes_bytes=(16 << 20,) if quick else (64 << 10, 1 << 20, 16 << 20),
            workers=_worker_counts(),
            repeats=repeats or _default_repeats(quick),
            quick=quick,
        )
        _finish(run_hash(options, note), out, as_json)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="With results of --out.")],
) -> None:
    """docs/performance.md, on stdout, from result files."""
    with reporting_errors(as_json=False):
        from cluster.bench.records import read_results
        from cluster.bench.report import render

        typer.echo(render(read_results(directory)), nl=False)


def _default_repeats(quick: bool) -> int:
    return _QUICK_REPEATS if quick else _REPEATS


def _worker_counts() -> tuple[int, ...]:
    """1, 2, 4, ... and all cores."""
    from cluster.bench.environment import cores

    powers = [1 << i for i in range(cores().bit_length())]
    return tuple(sorted({*(p for p in powers if p <= cores()), cores()}))


def _settings(config: Path | None, sps: int | None) -> Settings:
    from cluster.settings_loading import load_settings

    return load_settings(config, sps=sps)


def _on_a_disk(work_dir: Path) -> Path:
    """``work_dir``; says so when it is in memory, where nothing is durable."""
    from cluster.bench.work_dir import MEMORY_FILE_SYSTEMS, file_system_of

    if (file_system := file_system_of(work_dir)) in MEMORY_FILE_SYSTEMS:
        note(f"note: {work_dir.absolute()} is {file_system}: this measures memory, not a disk")
    return work_dir


def _finish(result: BenchResult, out: Path | None, as_json: bool) -> None:
    """Keep it, show it, and fail if it does not count."""
    from cluster.bench.records import write_result

    if out is not None:
        json_file, parquet_file = write_result(result, out)
        note(f"written: {json_file}, {parquet_file}")
    document = result.to_json()
    if as_json:
        print_result(document, "", as_json)
    else:
        _print_table(document)
    for failure in result.failures:
        note(f"error: {failure}")
    if result.failures:
        raise typer.Exit(EXIT_ERROR)


def _print_table(document: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    from cluster.bench.table import HEADINGS, cells

    quick = " (quick: for a first look only)" if document["quick"] else ""
    table = Table(title=f"greenray bench {document['bench']}{quick}")
    for heading in HEADINGS:
        numeric = heading in ("median", "p99", "min - max", "repeats")
        table.add_column(heading, justify="right" if numeric else "left")
    rows = document["rows"]
    assert isinstance(rows, list)
    for row in rows:
        table.add_row(*cells(row))
    Console().print(table)
