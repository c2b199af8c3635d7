"""``bench compare``: what changed between two runs beyond their noise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from greenray.bench.records import Case
from greenray.bench.table import case_text
from greenray.bench.trust import PASSING, Pairs, differing_fields, warnings_between

MIN_CHANGE = 0.05
MIN_REPEATS = 3
RULE = (
    f"A row has changed when no repeat of one run lies inside the range of the other's, and the "
    f"medians differ by more than {MIN_CHANGE:.0%}. Without a change that happens to one row in "
    f"126 with 5 repeats on both sides, to one in 10 with 3. Rows with fewer than {MIN_REPEATS} "
    f"repeats are never called changed. Machines drift by more than that within hours: measure "
    f"A, B and A again before a small change is believed."
)

_IDENTITY = (*(field.name for field in fields(Case)), "bench", "metric", "unit")


class Verdict(Enum):
    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    TOO_FEW_REPEATS = "too few repeats"
    ONLY_BEFORE = "only in the first"
    ONLY_AFTER = "only in the second"


@dataclass(frozen=True, slots=True)
class Change:
    """One row of both runs, or of one. ``change``: of the medians, 0.1 is 10 % more."""

    bench: str
    case: str
    metric: str
    unit: str
    before: float | None
    after: float | None
    change: float | None
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict.value}


@dataclass(frozen=True, slots=True)
class Comparison:
    changes: tuple[Change, ...]
    environment: Mapping[str, tuple[Any, Any]]
    """What differs around the runs: first, second."""
    fields: tuple[tuple[str, Any, Any], ...] = ()
    """The same down to the single field: its name with its benchmark, first, second."""
    warnings: tuple[str, ...] = ()
    """Why the runs may differ without a change of the code."""

    def to_json(self) -> dict[str, Any]:
        verdicts = [change.verdict for change in self.changes]
        return {
            "bench": "compare",
            "environment": {name: list(pair) for name, pair in self.environment.items()},
            "fields": [list(field) for field in self.fields],
            "warnings": list(self.warnings),
            "rows": [change.to_json() for change in self.changes],
            "summary": {
                "rule": RULE,
                **{v.value.replace(" ", "_"): verdicts.count(v) for v in Verdict},
            },
        }


def compare(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> Comparison:
    """``before``, ``after``: result documents (``BenchResult.to_json``)."""
    first, second = list(before), list(after)
    old, new = _by_identity(first), _by_identity(second)
    changes = [_change(old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])]
    others = {document["bench"]: document for document in second}
    pairs = [(one, others[one["bench"]]) for one in first if one["bench"] in others]
    return Comparison(
        tuple(changes),
        _differences(pairs),
        tuple(_fields(pairs)),
        tuple(warnings_between(pairs)),
    )


def _by_identity(
    documents: Iterable[Mapping[str, Any]],
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    return {
        tuple(row[name] for name in _IDENTITY): row
        for document in documents
        for row in document["rows"]
    }


def _change(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Change:
    row = old if old is not None else new
    assert row is not None
    before = old["median"] if old is not None else None
    after = new["median"] if new is not None else None
    return Change(
        row["bench"],
        case_text(row),
        row["metric"],
        row["unit"],
        before,
        after,
        (after - before) / before if before and after is not None else None,
        _verdict(old, new),
    )


def _verdict(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Verdict:
    if old is None:
        return Verdict.ONLY_AFTER
    if new is None:
        return Verdict.ONLY_BEFORE
    if min(old["repeats"], new["repeats"]) < MIN_REPEATS:
        return Verdict.TOO_FEW_REPEATS
    overlap = old["minimum"] <= new["maximum"] and new["minimum"] <= old["maximum"]
    if overlap or abs(new["median"] - old["median"]) <= MIN_CHANGE * abs(old["median"]):
        return Verdict.SAME
    rose: bool = new["median"] > old["median"]
    return Verdict.BETTER if rose == old["higher_is_better"] else Verdict.WORSE


def _differences(pairs: Pairs) -> dict[str, tuple[Any, Any]]:
    """By name of what differs."""
    return {
        f"{bench}: {name}": (here.get(name), there.get(name))
        for bench, here, there in _around_both(pairs)
        for name in sorted((here.keys() | there.keys()) - PASSING)
        if here.get(name) != there.get(name)
    }


def _fields(pairs: Pairs) -> Iterator[tuple[str, Any, Any]]:
    for bench, here, there in _around_both(pairs):
        for name, *values in differing_fields(here, there):
            yield (f"{bench}: {name}", *values)


def _around_both(pairs: Pairs) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Benchmark, and what is around it in both."""
    for one, other in pairs:
        yield one["bench"], _around(one), _around(other)


def _around(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document["environment"], "quick": document["quick"]}
