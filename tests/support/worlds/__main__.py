"""``python -m tests.support.worlds``: many random worlds one after the other, or one seed again.

Prints a line for each world, the plan and the trace of every one that fails, and a table of all
faults that happened. With ``--shrink`` a failing plan is made as small as it still fails.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import sys
from collections import Counter
from time import monotonic

from tests.support.worlds.plan import FaultKind, Plan, plan_of, shrunk
from tests.support.worlds.run import DEADLINE_S, Ending, run_world

_HUNG_S = 3 * DEADLINE_S


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.CRITICAL)
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)
    else:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
    totals = Totals()
    try:
        for seed in seeds:
            ending = _ending_of(plan_of(seed), totals)
            if ending.findings or len(seeds) == 1:
                print(ending, flush=True)
            if ending.findings and arguments.shrink:
                print(f"smaller:\n{shrunk(ending.plan, _fails)}", flush=True)
    finally:  # also after Ctrl-C
        print(totals, flush=True)
    return 1 if totals.failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--shrink", action="store_true")
    return parser.parse_args()


class Totals:
    """Of all worlds of a run."""

    def __init__(self) -> None:
        self.worlds = 0
        self.failed: list[int] = []
        self._happened: Counter[FaultKind] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._began = monotonic()

    def add(self, ending: Ending) -> None:
        self.worlds += 1
        if ending.findings:
            self.failed.append(ending.plan.seed)
        self._happened.update(fault.kind for fault in ending.happened)
        self._outcomes.update(ending.outcomes)

    def __str__(self) -> str:
        """Two tables in Markdown, as docs/reliability.md has them."""
        faults = [f"| {kind.value} | {self._happened[kind]} |" for kind in FaultKind]
        outcomes = [f"| {what} | {count} |" for what, count in sorted(self._outcomes.items())]
        failed = f"; failed: {', '.join(map(str, self.failed))}" if self.failed else ", none failed"
        return "\n".join(
            [
                f"{self.worlds} worlds in {monotonic() - self._began:.0f} s{failed}",
                "",
                "| fault | happened |",
                "|---|---|",
                *faults,
                "",
                "| outcome | |",
                "|---|---|",
                *outcomes,
            ]
        )


def _ending_of(plan: Plan, totals: Totals) -> Ending:
    # A thread that hangs for ever keeps a world from ending: this says where.
    faulthandler.dump_traceback_later(_HUNG_S, exit=True)
    began = monotonic()
    ending = asyncio.run(run_world(plan))
    faulthandler.cancel_dump_traceback_later()
    totals.add(ending)
    faults = f"{len(ending.happened)} of {len(plan.faults)} faults"
    objects = f"{len(plan.objects)} objects"
    verdict = "FAILED" if ending.findings else "ok"
    seconds = monotonic() - began
    print(f"seed {plan.seed}: {verdict}, {objects}, {faults}, {seconds:.1f} s", flush=True)
    return ending


def _fails(plan: Plan) -> bool:
    return bool(asyncio.run(run_world(plan)).findings)


if __name__ == "__main__":
    sys.exit(main())
