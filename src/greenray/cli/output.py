"""What all commands share: documents, errors and exit codes, sizes, progress.

stdout carries the result, stderr everything else. With ``--json``, stdout carries exactly one
document also when a command fails: ``{"error": {"reason", "message", "retryable"}}``; the same
error stands on stderr as one line for people. Wrong usage (exit code 2) leaves stdout empty.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenray.protocol.errors import GreenrayError
from greenray.protocol.foreign_text import printable_lines

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, ProgressColumn

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
"""The type of every command's ``--json`` option."""

_WIDE_COLUMNS = 80
"""A narrower terminal has no place for rates and times."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+)(?:\.(\d+))?\s*([kmg]i?)?b?", re.IGNORECASE | re.ASCII)


def command_app(**attributes: Any) -> typer.Typer:
    """A ``typer.Typer`` in the house's style: plain help (no rich import), ``-h``, and tracebacks
    that never show local variables, which may be keys."""
    return typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **attributes,
    )


# --- results and errors --------------------------------------------------------------------------


def print_result(document: Mapping[str, Any], text: str, as_json: bool) -> None:
    """The result of a command: ``document`` for scripts, ``text`` for people, in which only ends of
    lines are no printable text: names and messages in it are others'."""
    typer.echo(json.dumps(document) if as_json else printable_lines(text))


def error_document(error: GreenrayError) -> dict[str, Any]:
    return {
        "error": {
            "reason": error.reason,
            "message": str(error),
            "retryable": error.retryable,
        }
    }


@contextmanager
def reporting_errors(as_json: bool) -> Iterator[None]:
    """Turn our errors into one line on stderr (and one document on stdout) and an exit code.

    Anything else is a defect and keeps its traceback.
    """
    try:
        yield
    except GreenrayError as error:
        if as_json:
            typer.echo(json.dumps(error_document(error)))
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(EXIT_ERROR) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def note(text: str) -> None:
    """A line for people, on stderr."""
    typer.echo(printable_lines(text), err=True)


# --- sizes ---------------------------------------------------------------------------------------


def parse_size(text: str | int) -> int:
    """Bytes of ``4096``, ``256MiB``, ``1.5 GB``; KB, MB, GB are powers of 1000, KiB of 1024.

    Raises typer.BadParameter, which is wrong usage. For ``typer.Option(parser=parse_size)``; typer
    passes the default, a number, through the parser as well.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size, such as 4096, 256MiB or 1.5GB")
    whole, fraction, unit = match[1], match[2] or "", (match[3] or "").lower()
    scale: int = 10 ** len(fraction)
    size, rest = divmod(int(whole + fraction) * _UNITS[unit], scale)
    if rest:
        raise typer.BadParameter(f"{text!r} is not a whole number of bytes")
    return size


# --- progress ------------------------------------------------------------------------------------


def terminal_progress() -> Progress | None:
    """A rich progress display of bytes on stderr, or None when stderr is no terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    is_narrow = console.width < _WIDE_COLUMNS
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=8 if is_narrow else 30),
        *_columns_of_bytes(is_narrow),
        console=console,
        transient=True,
    )


def _columns_of_bytes(is_narrow: bool) -> Iterator[ProgressColumn]:
    """Empty in rows of steps, which have no bytes and no rate."""
    from rich.progress import (
        DownloadColumn,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    class OfBytes(ProgressColumn):
        def __init__(self, column: ProgressColumn) -> None:
            super().__init__()
            self._column = column

        def render(self, task: Task) -> RenderableType:
            return self._column.render(task) if task.fields.get("in_bytes", True) else Text()

    yield OfBytes(DownloadColumn(binary_units=True))
    if not is_narrow:
        yield OfBytes(TransferSpeedColumn())
        yield OfBytes(TimeRemainingColumn(compact=True))


@contextmanager
def byte_progress(label: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """A callback for the bytes done so far; it shows them when stderr is a terminal."""
    progress = terminal_progress()
    if progress is None:
        yield lambda done_bytes: None
        return
    with progress:
        task = progress.add_task(label, total=total_bytes)
        yield lambda done_bytes: progress.update(task, completed=done_bytes)
