"""What a picture of results shows: which rows, in which panels, and what it leaves out. Pure.

A picture is a table of panels: a column for each measure, a row of panels for each group of cases
(those of one size, or of one stage), and in it a line for each case. A row that no measure takes is
named as left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from greenray.bench.records import CPU_METRIC, EVERYTHING, Case, Row
from greenray.bench.table import case_parts, shared_parts, size_part

RowJson = Mapping[str, Any]

_HIGHER, _LOWER = "longer is better", "shorter is better"
_RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of panels: rows of one unit, of ``metrics`` (of none all of that unit).

    ``unit``: the rows'; ``axis``: what the axis is called. ``reference``: a value that is drawn as
    a line, and what it is.
    """

    title: str
    unit: str
    axis: str
    metrics: tuple[str, ...] = ()
    reference: tuple[float, str] | None = None
    logarithmic: bool = False

    def takes(self, row: RowJson) -> bool:
        return row["unit"] == self.unit and (not self.metrics or row["metric"] in self.metrics)


@dataclass(frozen=True, slots=True)
class PanelLine:
    """One case: what stands at it, and its rows by the number of their measure."""

    label: str
    rows: Mapping[int, RowJson]

    @property
    def any_row(self) -> RowJson:
        return next(iter(self.rows.values()))


@dataclass(frozen=True, slots=True)
class Group:
    """A row of panels. ``name`` tells what all its cases share and those of other groups do not;
    ``measures``: the numbers of those that any of its lines has, in order."""

    name: str
    lines: tuple[PanelLine, ...]

    @property
    def measures(self) -> tuple[int, ...]:
        return tuple(sorted({number for line in self.lines for number in line.rows}))


@dataclass(frozen=True, slots=True)
class Panels:
    title: str
    shared: tuple[str, ...]
    """What every case says of itself, and no label repeats."""
    measures: tuple[Measure, ...]
    """All that the benchmark has, drawn here or not."""
    groups: tuple[Group, ...]
    left_out: tuple[str, ...]


def _one_group(row: RowJson) -> str:
    return ""


def _stage(row: RowJson) -> str:
    kind = str(row["kind"])
    if kind.startswith("simulated"):
        return "simulated"
    if kind.startswith(("pipeline", "floor")):
        return "pipeline and floor"
    return "encoding" if kind == "encode" else "hashing"


@dataclass(frozen=True, slots=True)
class _Plan:
    """``over``: of each kind the (kind, metric) by whose repeats its own are divided, where the
    benchmark has no row for the ratio; ``inverse``: of times, of which less is better."""

    title: str
    measures: tuple[Measure, ...]
    group: Callable[[RowJson], str] = _one_group
    over: tuple[tuple[str, str], tuple[str, str]] | None = None
    inverse: bool = False
    hidden: frozenset[str] = field(default_factory=frozenset)
    """Parts of cases that the names of groups tell."""


def _cpu(title: str = "CPU time, all processes", *, logarithmic: bool = False) -> Measure:
    axis = "CPU s per GB" + (", logarithmic" if logarithmic else f" ({_LOWER})")
    return Measure(title, "s/GB", axis, logarithmic=logarithmic)


def _rate(title: str, *metrics: str, logarithmic: bool = False) -> Measure:
    axis = "MB/s of payload" + (", logarithmic" if logarithmic else f" ({_HIGHER})")
    return Measure(title, "MB/s", axis, metrics, logarithmic=logarithmic)


def _ratio(title: str, *metrics: str, reference: str = "the floor") -> Measure:
    return Measure(title, _RATIO, f"ratio ({_HIGHER})", metrics, (1.0, reference))


def _memory(*metrics: str) -> Measure:
    return Measure("Peak memory, all processes", "bytes", f"MB ({_LOWER})", metrics)


def _milliseconds(title: str, *metrics: str) -> Measure:
    return Measure(title, "ms", f"ms ({_LOWER})", metrics)


def _seconds(title: str, *metrics: str) -> Measure:
    return Measure(title, "s", f"s ({_LOWER})", metrics)


_TO_FLOOR = "ratio to the floor"

_PLANS = {
    "hash": _Plan(
        "SHA-256: streams, and segments with their pieces", (_rate("Rate"), _cpu()), size_part
    ),
    "copy": _Plan("Copies in memory", (_rate("Rate"), _cpu()), size_part),
    "store": _Plan(
        "Piece stores: writing and reading columns",
        (_rate("Rate", logarithmic=True), _cpu(logarithmic=True)),
        size_part,
    ),
    "gateway": _Plan(
        "HTTP gateway, beside a plain process that does the unavoidable",
        (_rate("Rate"), _ratio("Of the floor's rate"), _cpu()),
        size_part,
    ),
    "seal": _Plan(
        "Seals per second: the chain alone, and through the Signer",
        (
            Measure("Seals", "seals/s", f"seals/s ({_HIGHER})"),
            _ratio("Of the chain alone", reference="chain alone"),
            _milliseconds("CPU per seal, all", "CPU per seal"),
            _milliseconds("CPU per seal, chain", "CPU of the chain per seal"),
        ),
        over=(("through the signer", "seals"), ("chain alone", "seals")),
    ),
    "small": _Plan(
        "Small objects: from put to sealed",
        (
            Measure(
                "Sealed",
                "objects/s",
                f"objects/s ({_HIGHER})",
                ("put to sealed", "created, put and sealed"),
            ),
            Measure("PUT answered", "objects/s", f"objects/s ({_HIGHER})", ("put answered",)),
            _milliseconds("Time to the seal", "median time to the seal"),
            _milliseconds("CPU of the servers", "CPU per object", "CPU of the servers per object"),
            _milliseconds("CPU of the client", "CPU of the client per object"),
        ),
        size_part,
    ),
    "bundle": _Plan(
        "Small files as one object: whole commands, beside a plain loop",
        (
            _seconds("Put, to sealed", "command to sealed", "read, hash and write"),
            _ratio("Of the floor's speed"),
            _seconds("Get all", "get all"),
            _seconds("Get one entry", "get one entry"),
            _milliseconds("CPU per file, client", "CPU per file, client"),
            _milliseconds("CPU per file, servers", "CPU per file, servers"),
        ),
        over=(("bundle", "command to sealed"), ("floor", "read, hash and write")),
        inverse=True,
    ),
    "pipeline": _Plan(
        "Upload to sealed, beside plain processes that do only the unavoidable",
        (
            _rate("To sealed", "upload to sealed", "stored"),
            _ratio("Of the floor's rate", "upload to sealed / floor"),
            _rate("PUT answered", "put answered"),
            Measure("CPU time, all servers", "s/GB", f"CPU s per GB ({_LOWER})", (CPU_METRIC,)),
            _memory("peak memory"),
        ),
    ),
    "scaling": _Plan(
        "What more cores bring to each stage, and (simulated) more nodes",
        (
            _rate("Rate", "payload", "upload to sealed", "stored"),
            Measure(
                "Gain of all cores",
                _RATIO,
                f"times one worker on one core ({_HIGHER})",
                ("gain over one worker",),
                (1.0, "no gain"),
            ),
            _ratio("Of what plain workers gain", reference="as much"),
            Measure("Throughput of a cluster", "GB/s", f"GB/s, simulated ({_HIGHER})"),
        ),
        _stage,
        hidden=frozenset({"encode"}),
    ),
    "scrub": _Plan(
        "Scrubs, beside a plain loop, and what one costs an upload",
        (
            _rate("Read and hashed", "read and hashed"),
            _ratio("Of the floor's rate", "scrub / floor"),
            _cpu(),
            _rate("Uploads", "upload to sealed"),
            _ratio(
                "Kept beside a scrub; noise",
                "upload beside a scrub / alone",
                "upload alone / alone",
                reference="nothing lost",
            ),
        ),
    ),
    "chain_state": _Plan(
        "The embedded chain by what it holds",
        (
            _seconds("Start to first answer", "start to first answer"),
            _seconds("CPU of the start", "CPU of the start"),
            Measure("Memory after 1000 queries", "MB", f"MB ({_LOWER})"),
        ),
    ),
    "list": _Plan(
        "Pages of a large bucket, without HTTP",
        (
            Measure("Pages", "pages/s", f"pages/s ({_HIGHER})"),
            _milliseconds("CPU of a page", "CPU of a page"),
        ),
    ),
    "memory": _Plan("Peak memory by object size", (_memory(),)),
}
_AXES = {
    "MB/s": f"MB/s of payload ({_HIGHER})",
    "s/GB": f"CPU s per GB ({_LOWER})",
    "bytes": f"MB ({_LOWER})",
}


def is_planned(bench: str) -> bool:
    """Whether somebody has decided what its picture shows."""
    return bench in _PLANS


def _plan_of(bench: str, rows: Sequence[RowJson]) -> _Plan:
    """Where none is written down, a measure for each metric."""
    if bench in _PLANS:
        return _PLANS[bench]
    measures = {(row["metric"], row["unit"]): row["higher_is_better"] for row in rows}
    return _Plan(
        bench,
        tuple(
            Measure(
                metric,
                unit,
                _AXES.get(unit, f"{unit} ({_HIGHER if is_higher_better else _LOWER})"),
                (metric,),
            )
            for (metric, unit), is_higher_better in measures.items()
        ),
    )


def panels_of(document: Mapping[str, Any]) -> Panels:
    """Every row of ``document`` is in a panel, or what it tells is left out by name."""
    bench = document["bench"]
    rows = [row for row in document["rows"] if row["kind"] != EVERYTHING.kind]
    plan = _plan_of(bench, rows)
    rows += _derived(plan, rows)
    drawn = [(row, _measure_of(plan, row)) for row in rows]
    taken = [(row, number) for row, number in drawn if number is not None]
    shared = tuple(shared_parts(row for row, _ in taken))
    names = dict.fromkeys(plan.group(row) for row, _ in taken)
    groups = [
        _group(name, [pair for pair in taken if plan.group(pair[0]) == name], shared, plan)
        for name in names
    ]
    left_out = _left_out(document["rows"], {(row["metric"], row["unit"]) for row, _ in taken})
    return Panels(plan.title, shared, plan.measures, tuple(groups), left_out)


def _measure_of(plan: _Plan, row: RowJson) -> int | None:
    return next((i for i, measure in enumerate(plan.measures) if measure.takes(row)), None)


def _group(
    name: str, taken: Sequence[tuple[RowJson, int]], shared: Sequence[str], plan: _Plan
) -> Group:
    """Its lines are in the order of their first rows. A case that has a measure already has been
    measured once more (the floor beside each network): a line of its own."""
    of_group = [part for part in shared_parts(row for row, _ in taken) if part not in shared]
    hidden = {*shared, *of_group, *plan.hidden}
    labels: list[str] = []
    of_lines: list[dict[int, RowJson]] = []
    for row, number in taken:
        label = ", ".join(part for part in case_parts(row) if part not in hidden) or row["kind"]
        label = label.removeprefix("simulated, ")
        last = max((i for i, known in enumerate(labels) if known == label), default=None)
        if last is None or number in of_lines[last]:
            labels.append(label)
            of_lines.append({})
            last = len(labels) - 1
        of_lines[last][number] = row
    told = [part for part in (name, *of_group) if part not in (*shared, *plan.hidden)]
    return Group(
        ", ".join(filter(None, dict.fromkeys(told))), tuple(map(PanelLine, labels, of_lines))
    )


def _derived(plan: _Plan, rows: Sequence[RowJson]) -> list[RowJson]:
    """The ratio of two sides that took turns, repeat by repeat."""
    if plan.over is None:
        return []
    ours, theirs = (
        next((r for r in rows if (r["kind"], r["metric"]) == side), None) for side in plan.over
    )
    if ours is None or theirs is None or any(r["unit"] == _RATIO for r in rows):
        return []
    pairs = zip(ours["values"], theirs["values"], strict=False)
    return [ratio_row(ours, _TO_FLOOR, [b / a if plan.inverse else a / b for a, b in pairs])]


def ratio_row(row: RowJson, metric: str, values: Sequence[float]) -> RowJson:
    """Of the case of ``row``; of ratios more is better."""
    case = Case(**{part.name: row[part.name] for part in fields(Case)})
    return {**row, **Row(case, metric, _RATIO, tuple(values)).to_json()}


def _left_out(rows: Sequence[RowJson], drawn: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """By metric, with its unit where it is drawn in another one; of the run as a whole as well."""
    drawn_metrics = {metric for metric, _ in drawn}
    named = []
    for row in rows:
        metric, unit = row["metric"], row["unit"]
        if row["kind"] == EVERYTHING.kind:
            named.append(f"{metric} of the whole run")
        elif (metric, unit) not in drawn:
            named.append(f"{metric} in {unit}" if metric in drawn_metrics else metric)
    return tuple(dict.fromkeys(named))
