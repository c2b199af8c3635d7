"""Kept results of ``greenray bench`` as a frame of pandas or of Polars."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from greenray.bench.records import read_results, rows_schema
from greenray.bench.trust import busy_mark
from greenray.protocol.errors import InvalidInput

_LIBRARIES = ("pandas", "polars", "pyarrow")
_AROUND = {
    "measured_at": "string",
    "processor": "string",
    "cores": "int64",
    "busy_machine": "string",
}
"""Columns of each row beside its own. The last one says what a table or picture would, and is empty
when the run was alone on its machine."""


def bench_frame(path: str | Path, library: str = "pandas") -> Any:
    """A row for each metric of each case, with the columns of ``docs/benchmarking.md``, and of the
    run "measured_at", "processor", "cores" and "busy_machine".

    Args:
        path: a result file of ``greenray bench --out DIR``, or DIR with all that are in it.
        library: "pandas" or "polars", which has to be installed; "pyarrow": the table that both
            make theirs of.

    Raises: InvalidInput.
    """
    import pyarrow as pa

    if library not in _LIBRARIES:
        raise InvalidInput(
            f"there is no frame of {library!r}", "library", f"Use one of: {', '.join(_LIBRARIES)}"
        )
    rows = [
        {**row, **_around(document["environment"])}
        for document in read_results(Path(path))
        for row in document["rows"]
    ]
    around = [pa.field(name, getattr(pa, kind)()) for name, kind in _AROUND.items()]
    table = pa.Table.from_pylist(rows, pa.schema([*rows_schema(), *around]))
    if library == "pyarrow":
        return table
    made_by = _imported(library)
    return table.to_pandas() if library == "pandas" else made_by.from_arrow(table)


def _around(environment: Any) -> dict[str, Any]:
    told = {name: environment.get(name) for name in _AROUND}
    return {**told, "busy_machine": busy_mark(environment)}


def _imported(library: str) -> Any:
    try:
        return import_module(library)
    except ImportError:
        raise InvalidInput(
            f"{library} is not installed", "library", f"Install it: pip install {library}"
        ) from None
