"""Processes that are to be ended together, also those whose parents have died before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psutil


class Family:
    """The children of this process that ``is_ours`` by their command lines, and all below them,
    as often as ``look`` was called; each is known by its id and when it was started."""

    def __init__(self, is_ours: Callable[[Sequence[str]], bool]) -> None:
        self._is_ours = is_ours
        self._seen: set[psutil.Process] = set()

    def look(self) -> None:
        """Remember who is there now, and forget who has ended."""
        self._seen.update(
            family_of(lambda child: child in self._seen or self._is_ours(child.cmdline()))
        )
        self._seen = {process for process in self._seen if process.is_running()}

    def kill(self, timeout_s: float = 5.0) -> None:
        """All at once, so that none acts on the end of another; returns when they are gone."""
        self.look()
        for process in self._seen:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(self._seen, timeout=timeout_s)
        self._seen.clear()


def family_of(is_ours: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The children of this process that ``is_ours``, and all below them.

    With one look at all processes of the machine, which costs milliseconds: this is asked every
    second, and more often while a network starts.
    """
    found: dict[int, psutil.Process] = {}
    own = psutil.Process()
    for process in own.children(recursive=True):  # parents come before their children
        try:
            parent = process.ppid()
            if parent in found or (parent == own.pid and is_ours(process)):
                found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return list(found.values())
