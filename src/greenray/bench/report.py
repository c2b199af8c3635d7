"""docs/performance.md from result files. Nothing in it is typed by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenray.bench.compare import Change, compare
from greenray.bench.peers import peers_section
from greenray.bench.records import read_results
from greenray.bench.table import HEADINGS, shared_parts, shown_unit, table_rows
from greenray.bench.trust import busy_mark, load_text, machine_marks
from greenray.display.units import number

_TITLES = {
    "chain_state": "The embedded chain by what it holds",
    "ec": "Erasure coding",
    "gateway": "The HTTP gateway",
    "hash": "SHA-256",
    "list": "Lists of a large bucket",
    "memory": "Memory by object size",
    "pipeline": "Put to sealed, and the floor",
    "scaling": "What more cores and nodes bring",
    "scrub": "Scrubs",
    "seal": "Seals",
    "small": "Small objects",
    "bundle": "Bundles of small files",
    "store": "Piece stores",
    "timeline": "Where the time of one object goes",
}
_COMMANDS = {"chain_state": "python -m scripts.chain_state docs/performance"}
_EXPLANATIONS = {
    "bundle": (
        "Whole commands, the start of their processes included: `put --bundle` of a directory "
        "until it is sealed, `get` of all entries, compared with the chain, and of one. The "
        "*floor* is a plain loop that reads each file, hashes it and writes it to one file. "
        "Client: the process that puts."
    ),
    "chain_state": (
        "The server process is started on a home that holds so many objects already, until it has "
        "answered a query for the last of them; the file system's cache is warm. Memory is its PSS "
        "after a thousand queries spread over all objects."
    ),
    "ec": (
        "Rates are of payload, over all workers. Reconstruct: one, two data shards are rebuilt. "
        "Ray workers take columns from the object store, and put there what they make."
    ),
    "gateway": (
        "A PUT is timed from its first payload byte to the answer, a GET until its last byte is in "
        "memory; it is compared afterwards. The *floor* ran in between, for the same client: one "
        "plain process that has no Ray, authentication, journal or chain. It takes a PUT into "
        "reused memory, hashes the segments and writes them past the page cache to one file, which "
        "it syncs before it answers; for a GET it reads, hashes, compares and sends, segment by "
        "segment. What is gone is rebuilt from the secondaries' pieces; the floor that rebuilds "
        "reads k pieces of each segment, decodes, hashes, compares and sends."
    ),
    "hash": (
        "Rates are of payload: with its pieces, a payload byte is hashed 2.5 times at 4+2. "
        "Streams are whole segments, one per thread."
    ),
    "list": (
        "Pages of a bucket whose objects lie in random order, from the index, and as the answers "
        "that a gateway sends; without HTTP."
    ),
    "memory": (
        "The peak of the summed PSS of all server processes, sampled every 0.2 s, in a network of "
        "its own for each object size."
    ),
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
    "scaling": (
        "Measured: each stage with one worker on one core, and on all cores with a worker for "
        "each, with all that belongs to it (Ray's driver and its other processes; the client); the "
        "gain of Ray's workers and of the pipeline as a share of what plain threads, processes or "
        "the floor gain. **Simulated**, not "
        "measured: clusters of 1 to 64 nodes of the size and under the load that the settings "
        "show, by `greenray.capacity.planning` from the CPU time of each stage measured here, "
        "with 70 % of every resource in use."
    ),
    "scrub": (
        "All columns of one sealed object are read and hashed by the network's Scrubber, which "
        "works behind uploads, and by the *floor*, a plain loop that reads 16 MiB and hashes them. "
        "An upload is timed from its first byte to its seal, in pairs of one alone and one beside "
        "a scrub at the bandwidth of the background's. *Upload alone / alone* is the same of pairs "
        "without a scrub: a loss inside its spread is noise. Every other round has its pairs the "
        "other way round."
    ),
    "seal": (
        "Objects are created and receipts signed before. *Chain alone*: transactions that are "
        "signed already, with consecutive nonces of one key, until the last is in a block. "
        "*Through the Signer*: jobs whose replication is done, 512 at once, with the checks of all "
        "receipts and the journal."
    ),
    "small": (
        "From the first payload byte of the first object to the last seal; *created before*: "
        "approvals and transactions that create the objects on chain. *Creation included*: one "
        "act of a client, from its first hash to the last seal."
    ),
    "store": (
        "Columns are written under new keys, in appends of at most 16 MiB, and finished; a durable "
        "one is synced then. Reads are of a column that was written just before."
    ),
    "timeline": (
        "One object at a time. *In progress*: for at least one batch, at the primary or at any "
        "secondary. *Nothing at work*: only the client, an acknowledgement or a block of the chain "
        "was waited for. The picture is of the repeat with the median duration; how to read it: "
        "[benchmarking.md](benchmarking.md#where-the-time-of-one-object-went)."
    ),
}
_HEADER = """\
# Performance

Made by `greenray bench report` from the result files in `docs/performance`; do not edit.
Every number is of one machine and one run: compare only inside one table. At which load it was
measured stands above each; where other programs took part of the machine, it says so. MB is 10^6
and GB 10^9 bytes; p99 is what 99 % of the repeats were at least as good as, the worst one when
there are fewer than a hundred. How it was measured: [benchmarking.md](benchmarking.md).
"""
_BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Results:
    """Of one directory. ``pictures``: the benchmarks that have one."""

    documents: Sequence[Mapping[str, Any]]
    pictures: Collection[str] = ()

    @classmethod
    def read(cls, directory: Path) -> Results:
        """Raises InvalidInput."""
        return cls(read_results(directory), {path.stem for path in directory.glob("*.png")})

    def of(self, bench: str) -> Mapping[str, Any] | None:
        return next((d for d in self.documents if d["bench"] == bench), None)


def report(directory: Path, peers_file: Path | None) -> str:
    """From the results in ``directory``, those in its subdirectory ``before`` (if there is one) as
    what was before a change, and what other systems reach. Raises InvalidInput."""
    before = directory / _BEFORE
    return render(
        Results.read(directory),
        Results.read(before) if before.is_dir() else Results(()),
        peers_file.read_text() if peers_file else "",
    )


def render(results: Results, before: Results = Results(()), peers: str = "") -> str:
    """Markdown: one section per result document. ``peers``: the text that has their table."""
    lines = [_HEADER]
    lines += [f"**Warning: {mark}.**\n" for mark in machine_marks(results.documents)]
    if peers:
        lines.append("\n".join([*peers_section(peers, results.documents), ""]))
    for document in results.documents:
        bench = document["bench"]
        section = _section(document, bench in results.pictures)
        earlier = before.of(bench)
        if earlier is not None:
            section += _before(earlier, document, bench in before.pictures)
        lines.append(section)
    return "\n".join(lines)


def _before(earlier: Mapping[str, Any], document: Mapping[str, Any], has_picture: bool) -> str:
    """What there was, and how the medians of what is in both have changed."""
    bench, title = document["bench"], _TITLES.get(document["bench"], document["bench"])
    measured_at, later_at = (d["environment"]["measured_at"] for d in (earlier, document))
    lines = ["", f"### {title}, before", "", f"Measured {measured_at}; what is above {later_at}."]
    comparison = compare([earlier], [document])
    lines += ["", *(f"**Warning: {warning}.**" for warning in comparison.warnings)]
    if has_picture:
        lines += ["", f"![{title}, before](performance/{_BEFORE}/{bench}.png)"]
    shared = shared_parts([*earlier["rows"], *document["rows"]])
    cells = [cells for change in comparison.changes if (cells := _change_cells(change, shared))]
    lines += [
        "",
        *_table(("case", "metric", "unit", "before", "after", "after / before"), cells),
        "",
    ]
    return "\n".join(lines)


def _change_cells(change: Change, shared: Collection[str]) -> tuple[str, ...]:
    """Nothing of what is not in both."""
    if change.before is None or change.after is None:
        return ()
    scale, unit = shown_unit(change.unit)
    case = change.case.split(", ")
    return (
        ", ".join(part for part in case if part not in shared) or case[0],
        change.metric,
        unit,
        number(change.before / scale),
        number(change.after / scale),
        number(change.after / change.before) if change.before else "",
    )


def _section(document: Mapping[str, Any], has_picture: bool) -> str:
    bench = document["bench"]
    command = _COMMANDS.get(bench, f"greenray bench {bench}")
    lines = [f"## {_TITLES.get(bench, bench)}", "", f"`{command}`."]
    if document["quick"]:
        lines += ["", "**A quick run: few repeats and little data, for a first look only.**"]
    lines += ["", _EXPLANATIONS.get(bench, ""), ""]
    lines += [f"**Failed: {failure}.**" for failure in document["failures"]]
    lines += _alone(document["environment"])
    lines += _table(("", ""), [(k, _plain(v)) for k, v in document["environment"].items()])
    if has_picture:
        lines += ["", f"![{_TITLES.get(bench, bench)}](performance/{bench}.png)"]
    shared = shared_parts(document["rows"])
    if shared:
        lines += ["", f"All cases: {', '.join(shared)}."]
    lines += ["", *_table(HEADINGS, table_rows(document["rows"], shared)), ""]
    return "\n".join(lines)


def _alone(environment: Mapping[str, Any]) -> list[str]:
    """At which load it was measured, and whether that takes from what it is worth."""
    mark = busy_mark(environment)
    told = [f"**{mark.capitalize()}.**", ""] if mark else []
    return [*told, f"Measured at: {load_text(environment)}.", ""]


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
