"""What makes results less worth: a machine that others used, machines that differ. Pure.

Every table, picture and document that shows a result says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Pairs: TypeAlias = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""Result documents of one benchmark each, of a first and of a second run."""

BUSY_SHARE = 0.05
"""Of all cores: what others may take of them, on average, from a run that counts as alone."""
BUSY_LOAD_SHARE = 0.5
"""Load before a run, of all cores, where nobody has recorded whose it was."""

_MACHINE = ("processor", "processor_kind", "processor_features", "cores", "memory_bytes")
PASSING = frozenset(
    {
        "measured_at",
        "run_s",
        "load_average_before",
        "load_average_after",
        "other_programs_cores",
        "stolen_cores",
    }
)
"""What is another one in every run."""


def busy_mark(environment: Mapping[str, Any]) -> str:
    """Why a run was not alone on its machine; empty when it was, or nothing is known of it."""
    cores = environment.get("cores")
    if not cores:
        return ""
    taken = environment.get("other_programs_cores")
    if taken is None:
        load = environment.get("load_average_before", 0.0)
        if load <= BUSY_LOAD_SHARE * cores:
            return ""
        return (
            f"busy machine: load {load:.1f} on {_cores(cores)} when it began; "
            "whose it was is not recorded"
        )
    stolen = environment.get("stolen_cores", 0.0)
    if taken + stolen <= BUSY_SHARE * cores:
        return ""
    return (
        f"busy machine: other programs took {taken:.2g} of {_cores(cores)}, "
        f"other virtual machines {stolen:.2g}"
    )


def load_text(environment: Mapping[str, Any]) -> str:
    """What is known of the load around a run."""
    before, after = (environment.get(f"load_average_{when}") for when in ("before", "after"))
    taken = environment.get("other_programs_cores")
    told = [] if before is None else [f"load {before:.1f} before"]
    told += [] if after is None else [f"{after:.1f} after, its own work included"]
    if taken is not None:
        stolen = environment.get("stolen_cores", 0.0)
        told.append(
            f"meanwhile other programs took {taken:.2g} of {_cores(environment['cores'])}, "
            f"other virtual machines {stolen:.2g}"
        )
    if "run_s" in environment:
        told.append(f"the run took {environment['run_s']:.0f} s")
    return "; ".join(told) or "its load is not recorded"


def _cores(count: int) -> str:
    return f"{count} cores" if count > 1 else "1 core"


def machine_marks(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs between the machines of results that are read together, a line for each part."""
    return [
        f"results of several machines, {name}: "
        + "; ".join(f"{text} ({', '.join(of)})" for text, of in having.items())
        for name, having in _differing_machines(documents).items()
    ]


def several_machines_mark(documents: Sequence[Mapping[str, Any]]) -> str:
    """The same for a picture of one of them; empty when all are of one machine."""
    differing = ", ".join(_differing_machines(documents))
    return f"other results beside it are of another machine ({differing})" if differing else ""


def _differing_machines(
    documents: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, list[str]]]:
    """By name of what differs: which benchmarks have which value."""
    found = {}
    for name in _MACHINE:
        having: dict[str, list[str]] = {}
        for document in documents:
            if name in document["environment"]:
                text = _machine_text(name, document["environment"][name])
                having.setdefault(text, []).append(document["bench"])
        if len(having) > 1:
            found[name] = having
    return found


def _machine_text(name: str, value: Any) -> str:
    """Two machines of one kind have a few pages more or less."""
    return f"{value / 1e9:.0f} GB" if name == "memory_bytes" else field_text(value)


def differing_fields(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """(name, first, second) of the innermost fields that differ, ``settings.writes.durable``; None
    is what one of the two has not. What differs in every run is left out."""
    here, there = dict(_fields(first)), dict(_fields(second))
    return [
        (name, here.get(name), there.get(name))
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]


def _fields(environment: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in environment.items():
        if not prefix and name in PASSING:
            continue
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def warnings_between(pairs: Pairs) -> list[str]:
    """Why two runs may differ without a change of the code."""
    found = []
    for one, other in pairs:
        bench, sides = one["bench"], (("first", one), ("second", other))
        differing = _differing_machines([one, other])
        if differing:
            told = "; ".join(f"{name} {' / '.join(texts)}" for name, texts in differing.items())
            found.append(f"{bench}: two kinds of machine, so what differs may be theirs: {told}")
        for which, of in sides:
            mark = busy_mark(of["environment"])
            found += [f"{bench}: in the {which}, {mark}"] if mark else []
        for which, of in sides:
            found += [f"{bench}: the {which} is a quick run"] if of["quick"] else []
    return found


def field_text(value: Any) -> str:
    if value is None:
        return "(not there)"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
