"""Options that the commands of ``greenray bench`` share: each is told here, once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, get_type_hints

import typer

from greenray.cli.bench_output import finish, keep
from greenray.cli.options import ConfigOption, SpsOption
from greenray.cli.output import Json, note, parse_size, reporting_errors

if TYPE_CHECKING:
    from greenray.bench.plans import Plan
    from greenray.bench.records import BenchResult

_SHAPE = re.compile(r"(\d{1,3})\+(\d{1,3})", re.ASCII)

_GB = 1e9

Workers = Annotated[
    list[int] | None,
    typer.Option("--workers", min=1, help="Side by side; may be repeated. 1, 2, 4 ... all cores."),
]


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """As given to one command; the order is that of ``--help``."""

    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Measured ones; 5, or 3 with --quick.")
    ] = None
    sps: SpsOption = None
    work_dir: Annotated[
        Path,
        typer.Option(
            "--work-dir",
            metavar="DIR",
            help="A directory on the disk to measure; a new one is made in it and removed again.",
        ),
    ] = Path()
    config: ConfigOption = None
    quick: Annotated[
        bool, typer.Option("--quick", help="Few repeats and little data, for a first look.")
    ] = False
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Keep the results there, as JSON and Parquet."),
    ] = None
    plot: Annotated[
        bool,
        typer.Option("--plot", help="Draw a PNG as well, in the directory of --out, else here."),
    ] = False
    as_json: Json = False

    def plan(self, *, writes: bool = True) -> Plan:
        """Says so when what writes would write to memory. Raises InvalidSetting."""
        from greenray.bench.plans import Plan
        from greenray.bench.work_dir import MEMORY_FILE_SYSTEMS, file_system_of
        from greenray.cluster.config.settings_loading import load_settings

        work_dir = self.work_dir
        if writes and (file_system := file_system_of(work_dir)) in MEMORY_FILE_SYSTEMS:
            note(f"note: {work_dir.absolute()} is {file_system}: this measures memory, not a disk")
        settings = load_settings(self.config, sps=self.sps)
        return Plan(settings, work_dir, self.repeats, self.quick)

    def keep(self, result: BenchResult) -> None:
        """Write and draw it, where that is asked for."""
        keep(result, self.out, self.plot)

    def finish(self, result: BenchResult) -> None:
        """Keep it, show it, and fail if it does not count."""
        finish(result, self.out, self.plot, self.as_json)


def with_shared_options(
    *, without: tuple[str, ...] = ()
) -> Callable[[Callable[Concatenate[SharedOptions, ...], None]], Callable[..., None]]:
    """For a command that takes ``SharedOptions`` first: they follow its own options, but for those
    in ``without``, which it has no use for. Errors of ours are reported."""
    hints = get_type_hints(SharedOptions, include_extras=True)
    taken = [field for field in fields(SharedOptions) if field.name not in without]
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in taken
    ]

    def decorate(run: Callable[Concatenate[SharedOptions, ...], None]) -> Callable[..., None]:
        def command(**given: Any) -> None:
            shared = SharedOptions(**{field.name: given.pop(field.name) for field in taken})
            with reporting_errors(shared.as_json):
                run(shared, **given)

        _, *own = inspect.signature(run, eval_str=True).parameters.values()
        described: Any = command  # typer reads the command off these
        described.__name__, described.__doc__ = run.__name__, run.__doc__
        described.__signature__ = inspect.Signature([*own, *parameters])
        return command

    return decorate


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


def parse_rate(text: str) -> float:
    """GB per second of ``10GB/s``, ``500 MB/s``. Raises typer.BadParameter."""
    amount, _, per = text.strip().rpartition("/")
    if per.strip() != "s":
        raise typer.BadParameter(f"{text!r} is not a rate, such as 10GB/s")
    return parse_positive_size(amount) / _GB


def sizes_option(name: str, text: str) -> typer.models.OptionInfo:
    """A size that may be given several times."""
    option: typer.models.OptionInfo = typer.Option(
        name, parser=parse_positive_size, metavar="SIZE", help=f"May be repeated. {text}"
    )
    return option
