"""Options that the commands of ``greenray bench`` share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.output import note, parse_size

if TYPE_CHECKING:
    from greenray.bench.plans import Plan

_SHAPE = re.compile(r"(\d{1,3})\+(\d{1,3})", re.ASCII)

Quick = Annotated[
    bool, typer.Option("--quick", help="Few repeats and little data, for a first look.")
]
RepeatsOption = Annotated[
    int | None, typer.Option("--repeats", min=1, help="Measured ones; 5, or 3 with --quick.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Keep the results there, as JSON and Parquet."),
]
Plot = Annotated[
    bool, typer.Option("--plot", help="Draw a PNG as well, in the directory of --out, else here.")
]
WorkDir = Annotated[
    Path,
    typer.Option(
        "--work-dir",
        metavar="DIR",
        help="A directory on the disk to measure; a new one is made in it and removed again.",
    ),
]
Workers = Annotated[
    list[int] | None,
    typer.Option("--workers", min=1, help="Side by side; may be repeated. 1, 2, 4 ... all cores."),
]


def parse_shape(text: str) -> tuple[int, int]:
    """(k, m) of ``4+2``. Raises typer.BadParameter, which is wrong usage."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a shape, such as 4+2")
    return int(match[1]), int(match[2])


def parse_positive_size(text: str | int) -> int:
    """As ``parse_size``; nothing is not a size to measure. Raises typer.BadParameter."""
    size_bytes = parse_size(text)
    if size_bytes == 0:
        raise typer.BadParameter("there is nothing to measure in 0 bytes")
    return size_bytes


def sizes_option(name: str, text: str) -> typer.models.OptionInfo:
    """A size that may be given several times."""
    option: typer.models.OptionInfo = typer.Option(
        name, parser=parse_positive_size, metavar="SIZE", help=f"May be repeated. {text}"
    )
    return option


def plan_of(
    config: Path | None,
    sps: int | None,
    work_dir: Path,
    repeats: int | None,
    quick: bool,
    *,
    writes: bool = True,
) -> Plan:
    """Says so when what writes would write to memory. Raises InvalidSetting."""
    from greenray.bench.plans import Plan
    from greenray.bench.work_dir import MEMORY_FILE_SYSTEMS, file_system_of
    from greenray.cluster.config.settings_loading import load_settings

    if writes and (file_system := file_system_of(work_dir)) in MEMORY_FILE_SYSTEMS:
        note(f"note: {work_dir.absolute()} is {file_system}: this measures memory, not a disk")
    return Plan(load_settings(config, sps=sps), work_dir, repeats, quick)
