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
        for child in psutil.Process().children():
            try:
                if child in self._seen or self._is_ours(child.cmdline()):
                    self._seen |= {child, *child.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
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
