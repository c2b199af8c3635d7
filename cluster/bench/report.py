"""docs/performance.md from result files. Nothing in it is typed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.bench.records import METADATA_KEYS, PARQUET_COLUMNS
from cluster.bench.table import HEADINGS, table_rows

_TITLES = {
    "pipeline": "Put to sealed, and the floor",
    "memory": "Memory by object size",
    "ec": "Erasure coding",
    "hash": "SHA-256",
}
_EXPLANATIONS = {
    "pipeline": (
        "A client process puts random bytes through HTTP into a local network of storage providers "
        "until the object is sealed on chain. *Upload to sealed* runs from the first payload byte "
        "sent to the seal; the client's own hashing and the creation on chain come before and "
        "stand apart. The *floor* ran in between, repeat by repeat: one plain process per core, "
        "without Ray, sockets, journal or chain, that reads the same file, hashes segments, "
        "encodes, hashes pieces, and writes all of it through the same piece stores, with the same "
        "durability. CPU and memory of the pipeline are of all server processes together, Ray's "
        "own and the chain included; shared memory counts once (summed PSS). The client has a "
        "process of its own, but shares the cores."
    ),
    "memory": (
        "The peak of the summed PSS of all server processes, sampled every 0.2 s, in a network of "
        "its own for each object size."
    ),
    "ec": "Rates are of payload. One lost shard, two lost shards: data shards are rebuilt.",
    "hash": (
        "Rates are of payload: with its pieces, a payload byte is hashed 2.5 times at 4+2. "
        "Streams are whole segments, one per thread."
    ),
}
_HEADER = """\
# Performance

Made by `greenray bench report docs/performance` from the result files in that folder; do not edit.
Every number is of one machine and one run: compare only inside one table. MB is 10^6 and GB 10^9
bytes; p99 is what 99 % of the repeats were at least as good as, the worst one when there are fewer
than a hundred. What other systems reach on machines of this kind is in
[measured.md](background/measured.md), section 2.
"""


def render(documents: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: one section per result document, then the schema of the files."""
    return "\n".join([_HEADER, *map(_section, documents), _schema()])


def _schema() -> str:
    lines = [
        "## The result files",
        "",
        "A row is one metric of one case over all repeats. The Parquet files have these columns; "
        f"{', '.join(METADATA_KEYS)} are in their metadata, as JSON. The JSON files hold the same.",
        "",
        *_table(("column", "meaning"), PARQUET_COLUMNS.items()),
        "",
    ]
    return "\n".join(lines)


def _section(document: Mapping[str, Any]) -> str:
    bench = document["bench"]
    lines = [f"## {_TITLES.get(bench, bench)}", "", f"`greenray bench {bench}`."]
    if document["quick"]:
        lines += ["", "**A quick run: few repeats and little data, for a first look only.**"]
    lines += ["", _EXPLANATIONS.get(bench, ""), ""]
    lines += [f"**Failed: {failure}.**" for failure in document["failures"]]
    lines += _table(("", ""), [(k, _plain(v)) for k, v in document["environment"].items()])
    lines += ["", *_table(HEADINGS, table_rows(document["rows"])), ""]
    return "\n".join(lines)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(map(_escaped, line))} |" for line in lines]


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
