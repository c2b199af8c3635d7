"""A drill for crashes: the job store's process stops dead after its n-th commit.

The commit is on disk, its caller has no answer yet: the worst moment for everything to die. Whoever
runs the drill creates the marker file, which starts the count, waits for its n-th line, kills what
it wants, and starts the network again. Switched on by
``GREENRAY_FREEZE_AFTER_COMMIT=<n>:<marker file>``; only tests and drills set it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

from protocol.errors import InvalidSetting

FREEZE_VARIABLE = "GREENRAY_FREEZE_AFTER_COMMIT"

AfterCommit = Callable[[int, str], None]


def after_commit_from_environment() -> AfterCommit | None:
    """The hook for the job store, or None when no drill is on. Raises InvalidSetting."""
    value = os.environ.get(FREEZE_VARIABLE)
    if not value:
        return None
    number, _, marker = value.partition(":")
    if not number.isdecimal() or not marker:
        raise InvalidSetting("must be <commit number>:<marker file>", FREEZE_VARIABLE)
    return freeze_after(int(number), Path(marker))


def freeze_after(commit_number: int, marker: Path) -> AfterCommit:
    """Count commits from the moment ``marker`` exists, each as a line in it, and stop this process
    after line ``commit_number``; 0 never stops, and tells how many there are."""
    numbers = count(1)

    def after_commit(number: int, description: str) -> None:
        if not marker.exists():
            return
        counted = next(numbers)
        with marker.open("a") as file:
            file.write(f"{counted} {description}\n")
        if counted == commit_number:
            os.kill(os.getpid(), signal.SIGSTOP)

    return after_commit
