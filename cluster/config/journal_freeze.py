"""A drill for crashes: the job store's process stops dead after a commit that is new to the drill.

The commit is on disk, its callers have no answer yet: the worst moment for everything to die.
Which writes share a commit depends on timing, so the drill counts writes and not commits:
``open_group 3`` is the third opening of a group since the last upload began. A file holds the
writes after which the network has been killed already; the first commit with another one is added
to it, and the process stops. Whoever runs the drill creates the file, which switches it on, waits
until it grows, kills what it wants, and starts the network again, until it does not grow any more.

``GREENRAY_FREEZE_AFTER_COMMIT=<file>``; only tests and drills set it.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

FREEZE_VARIABLE = "GREENRAY_FREEZE_AFTER_COMMIT"
FIRST_WRITE = "begin_upload"

AfterCommit = Callable[[int, str], None]


def after_commit_from_environment() -> AfterCommit | None:
    """The hook for the job store, or None when no drill is on."""
    file = os.environ.get(FREEZE_VARIABLE)
    return freeze_at_new_writes(Path(file)) if file else None


def freeze_at_new_writes(file: Path) -> AfterCommit:
    """Stop this process after the first commit with a write that is no line of ``file`` yet; all
    writes of that commit are lines of it then. Nothing happens while there is no such file."""
    counter = WriteCounter()

    def after_commit(number: int, description: str) -> None:
        writes = counter.writes(description)
        if not file.exists():
            return
        new = [write for write in writes if write not in file.read_text().splitlines()]
        if new:
            with file.open("a") as lines:
                lines.write("".join(f"{write}\n" for write in new))
            os.kill(os.getpid(), signal.SIGSTOP)

    return after_commit


class WriteCounter:
    """Names the journal's writes by what they do and the how-manieth they are."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def writes(self, description: str) -> list[str]:
        """Of one commit: ``open_group 7/0, open_group 7/2`` may be the first and second opening.

        Empty before the first upload; the count begins anew with each.
        """
        writes = []
        for described in description.split(", "):
            words = [word for word in described.split() if not any(map(str.isdigit, word))]
            kind = " ".join(words)
            if kind == FIRST_WRITE:
                self._seen.clear()
            if kind == FIRST_WRITE or self._seen:
                self._seen[kind] += 1
                writes.append(f"{kind} {self._seen[kind]}")
        return writes
