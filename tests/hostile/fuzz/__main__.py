"""``python -m tests.hostile.fuzz --minutes 60``: random HTTP until the time is over.

Exit code 1 when the network minded; ``--seed`` holds one conversation again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.fuzz.run import FuzzFailure, fuzz, fuzzer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="greenray-fuzz-") as folder:
        try:
            if given.seed is not None:
                asyncio.run(_once(Path(folder), given.seed))
                done = 1
            else:
                done = asyncio.run(
                    fuzz(Path(folder), first=given.first, rounds=None, minutes=given.minutes)
                )
        except FuzzFailure as failure:
            print(f"the network minded: {failure}", file=sys.stderr)
            print("again: make fuzz SEED=n", file=sys.stderr)
            return 1
    print(f"{done} conversations in {time.monotonic() - began:.0f} s")
    return 0


async def _once(folder: Path, seed: int) -> None:
    async with fuzzer(folder) as running:
        await running.run([seed])


if __name__ == "__main__":
    sys.exit(main())
