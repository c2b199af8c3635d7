"""Other systems beside our medians, for the performance document.

What the others reach is the table of section 2 of ``docs/measured.md``; our lines are
made from result files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from greenray.bench.records import CPU_METRIC
from greenray.bench.table import case_parts, shared_parts
from greenray.display.units import number, size
from greenray.protocol.errors import InvalidInput

_SECTION = re.compile(r"^## 2\. Peers.*?$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_EXPLANATION = (
    "**The other systems were measured on another machine of this kind, at another time**, with EC "
    "4+2 and six nodes on one machine, objects of 256 MiB unless they say otherwise: their lines "
    "are those of [measured.md](measured.md), section 2, which says more. Only the "
    "lines of greenray are of the runs below. A difference of less than two times says nothing."
)


def peers_section(text: str, documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of Markdown. ``text``: of measured.md. Raises InvalidInput: it has no such table."""
    section = _SECTION.search(text)
    table = [line for line in section[1].splitlines() if line.startswith("|")] if section else []
    if len(table) < 3:
        raise InvalidInput("there is no table in a section '2. Peers'", "--peers")
    return [
        "## Beside other systems",
        "",
        *_EXPLANATION.splitlines(),
        "",
        *table,
        *_ours(documents),
    ]


def _ours(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """In the columns of the table: system, PUT, GET, CPU, durable."""
    for document in documents:
        if document["bench"] in _LINES and not document["failures"]:
            for cells in _LINES[document["bench"]](document["rows"]):
                yield f"| {' | '.join([*cells, _durable(document)])} |"


def _gateway(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    puts = (row for row in rows if (row["kind"], row["metric"]) == ("PUT", "payload"))
    for put in puts:
        of_size = [row for row in rows if row["object_size_bytes"] == put["object_size_bytes"]]
        yield (
            f"**greenray**, gateway, objects of {size(put['object_size_bytes'])}",
            f"{number(put['median'])} to the answer",
            _median(of_size, "GET", "payload"),
            f"{_median(of_size, 'PUT', CPU_METRIC)} to the answer",
        )


def _pipeline(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Of every case but the floor's."""
    shared = shared_parts(rows)
    for sealed in (row for row in rows if row["metric"] == "upload to sealed"):
        case, kind = case_parts(sealed), sealed["kind"]
        of_case = [row for row in rows if case_parts(row) == case]
        objects = f"objects of {size(sealed['object_size_bytes'])}"
        parts = dict.fromkeys([kind, objects, *(part for part in case if part not in shared)])
        yield (
            f"**greenray**, {', '.join(parts)}",
            f"{_median(of_case, kind, 'put answered')} to the answer, "
            f"**{number(sealed['median'])} to sealed**",
            "",
            f"{_median(of_case, kind, CPU_METRIC)} to sealed",
        )


_LINES: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Iterator[tuple[str, ...]]]] = {
    "gateway": _gateway,
    "pipeline": _pipeline,
}


def _median(rows: Sequence[Mapping[str, Any]], kind: str, metric: str) -> str:
    [row] = [row for row in rows if (row["kind"], row["metric"]) == (kind, metric)]
    return number(row["median"])


def _durable(document: Mapping[str, Any]) -> str:
    writes = document["environment"]["settings"]["writes"]
    if not writes["durable"]:
        return "no sync"
    return "O_DIRECT + fdatasync" if writes["past_the_page_cache"] else "fdatasync"
