"""How busy other programs kept the machine while something was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec

import psutil

from greenray.bench.accounting import ProcessTrees, Watch, ended_children_cpu_s
from greenray.bench.records import BenchResult

P = ParamSpec("P")

_INTERVAL_S = 2.0
"""Processes that end in between have been seen by then; a look takes some 10 ms of one core."""


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """Since some beginning, of the cores that may be used. ``ours``: of this process and of all
    below it."""

    at_s: float
    busy: float
    stolen: float
    ours: float


def disturbance(first: CpuSeconds, last: CpuSeconds) -> dict[str, float]:
    """What other programs, and other virtual machines, took between the two: in cores, on average.
    Nothing where the kernel counts no busy time."""
    seconds = last.at_s - first.at_s
    busy = last.busy - first.busy
    if seconds <= 0 or busy <= 0:
        return {}
    others = max(0.0, busy - (last.ours - first.ours))
    return {
        "other_programs_cores": others / seconds,
        "stolen_cores": (last.stolen - first.stolen) / seconds,
    }


class MachineWatch(Watch):
    """Sees what was busy while it is entered."""

    def __init__(self) -> None:
        super().__init__("machine-watch", _INTERVAL_S)
        self._cores = sorted(os.sched_getaffinity(0))
        self._trees = ProcessTrees([os.getpid()])
        self._ended_before_s = ended_children_cpu_s()
        self._looks: list[CpuSeconds] = []

    @property
    def ours_s(self) -> float:
        """CPU time of this process and of all below it, at the last look."""
        return self._looks[-1].ours

    def seen(self) -> dict[str, float]:
        """For an environment."""
        first, last = self._looks[0], self._looks[-1]
        return {
            "run_s": last.at_s - first.at_s,
            "load_average_after": os.getloadavg()[0],
            **disturbance(first, last),
        }

    def _look(self) -> None:
        of_all = psutil.cpu_times(percpu=True)
        times = [of_all[core] for core in self._cores if core < len(of_all)]
        running_s, ended_s = self._trees.cpu_s_of_running_and_ended()
        # Of children that were waited for, all is known; of what else has ended, until a look.
        ended_s = max(ended_s, ended_children_cpu_s() - self._ended_before_s)
        look = CpuSeconds(
            time.monotonic(),
            sum(t.user + t.nice + t.system + t.irq + t.softirq for t in times),
            sum(t.steal for t in times),
            running_s + ended_s,
        )
        self._looks.append(look)


def watched(run: Callable[P, BenchResult]) -> Callable[P, BenchResult]:
    """The environment of what ``run`` returns tells how busy others kept the machine meanwhile."""

    @wraps(run)
    def run_watched(*args: P.args, **kwargs: P.kwargs) -> BenchResult:
        with MachineWatch() as watch:
            result = run(*args, **kwargs)
        return replace(result, environment={**result.environment, **watch.seen()})

    return run_watched


def most_disturbed(environments: list[dict[str, Any]]) -> dict[str, Any]:
    """What the environment of the run tells that others disturbed most."""
    names = ("load_average_after", "other_programs_cores", "stolen_cores")
    known = [e for e in environments if "other_programs_cores" in e]
    if not known:
        return {}
    worst = max(known, key=lambda e: float(e["other_programs_cores"] + e["stolen_cores"]))
    return {name: worst[name] for name in names}
