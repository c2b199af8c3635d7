"""``python -m tests.faults.chaos --seeds 20``: as many worlds, one after the other, and a table.

Exit code 1 when a promise was broken; the folder of that world stays. Ctrl-C ends it after the
worlds that are through.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from greenray.protocol.errors import GreenrayError
from tests.faults.chaos.world import ChaosFailure, World, WorldOutcome, drawn


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many worlds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=3, help="in each world")
    parser.add_argument("--stops", type=int, default=1, help="in each world")
    parser.add_argument("--stop-s", type=float, default=60.0, help="how long one is stopped")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    # Shells have what they start in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    outcomes: list[WorldOutcome] = []
    broken: list[str] = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        faults = drawn(seed, given.kills, given.stops)
        _note(f"seed {seed}: {', '.join(fault.name for fault in faults)}")
        folder = Path(tempfile.mkdtemp(prefix="greenray-chaos-"))
        began = time.monotonic()
        try:
            outcomes.append(World(folder, seed, given.stop_s).run(faults))
        except KeyboardInterrupt:
            _note("interrupted")
            break
        except (ChaosFailure, GreenrayError, AssertionError) as error:
            broken.append(f"seed {seed}: {error}")
            _note(f"BROKEN after {time.monotonic() - began:.0f} s: {error}; see {folder}")
        else:
            shutil.rmtree(folder)
            last = outcomes[-1]
            _note(f"  {last.acknowledged} objects, {time.monotonic() - began:.0f} s")
    if given.as_json:
        print(json.dumps({"worlds": [asdict(outcome) for outcome in outcomes], "broken": broken}))
    else:
        print(table(outcomes))
    for line in broken:
        _note(f"broken: {line}")
    return 1 if broken else 0


def table(outcomes: Sequence[WorldOutcome]) -> str:
    """Markdown: by kind of fault, then of all objects."""
    by_name: dict[str, list[tuple[float | None, float]]] = {}
    for outcome in outcomes:
        for suffered in outcome.faults:
            found = by_name.setdefault(suffered.fault.name, [])
            found.append((suffered.noticed_s, suffered.back_s))
    lines = [
        "| fault | times | noticed after, at most | whole again after: median | at most |",
        "|---|---|---|---|---|",
    ]
    for name, times in sorted(by_name.items()):
        noticed = [seconds for seconds, _ in times if seconds is not None]
        back = [seconds for _, seconds in times]
        latest = f"{max(noticed):.1f} s" if noticed else "before anybody looked"
        whole = f"{median(back):.1f} s | {max(back):.1f} s"
        lines.append(f"| {name} | {len(times)} | {latest} | {whole} |")
    faults = sum(len(outcome.faults) for outcome in outcomes)
    acknowledged = sum(outcome.acknowledged for outcome in outcomes)
    sealed = sum(outcome.sealed for outcome in outcomes)
    read_back = sum(outcome.read_back for outcome in outcomes)
    errors = sum(outcome.errors for outcome in outcomes)
    lines.append("")
    lines.append(
        f"{len(outcomes)} worlds, {faults} faults: {acknowledged} objects acknowledged, {sealed} "
        f"sealed once, {read_back} read back byte for byte; {errors} errors reached the client."
    )
    return "\n".join(lines)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
