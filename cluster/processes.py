"""The processes that a network started, remembered on disk so that a crash leaves none behind.

Only processes in that record are ever signalled, and only if they are still the same process
(same pid and same start time): other Ray clusters on the machine are none of our business.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil

from greenray.cluster.supervision.family import family_of


class ProcessRecord:
    """A file with (pid, start time) of every process of one network."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: list[list[float]] = []

    def write(self, pids: Iterable[int]) -> None:
        """Only when there are others than before."""
        entries: list[list[float]] = []
        for pid in sorted(set(pids)):
            try:
                entries.append([pid, psutil.Process(pid).create_time()])
            except psutil.NoSuchProcess:
                continue
        if entries == self._written:
            return
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(entries))
        os.replace(temporary, self._path)
        self._written = entries

    def alive(self) -> list[psutil.Process]:
        """Recorded processes that still run, with all their descendants."""
        if not self._path.exists():
            return []
        found: dict[int, psutil.Process] = {}
        for pid, started_at in json.loads(self._path.read_text()):
            try:
                process = psutil.Process(pid)
                if process.create_time() == started_at:
                    family = [process, *process.children(recursive=True)]
                    found.update({member.pid: member for member in family})
            except psutil.NoSuchProcess:
                continue
        return list(found.values())

    def end_all(self, grace_s: float = 3.0) -> int:
        """Terminate what is left, kill what does not go; returns how many there were."""
        processes = [p for p in self.alive() if p.pid != os.getpid()]
        for process in processes:
            _signal(process, kill=False)
        _, stubborn = psutil.wait_procs(processes, timeout=grace_s)
        for process in stubborn:
            _signal(process, kill=True)
        psutil.wait_procs(stubborn, timeout=grace_s)
        self._path.unlink(missing_ok=True)
        return len(processes)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return  # ended by itself meanwhile, which is what was wanted


def proportional_memory_bytes(pids: Iterable[int]) -> int:
    """Summed PSS: shared pages count once over all sharers (Linux)."""
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def children_started(for_network: Callable[[Sequence[str]], bool]) -> list[int]:
    """The ids of this process's children whose command lines are of processes ``for_network``, and
    of all below them.

    Not the process itself and not its other children: it may be a notebook's kernel.
    """
    return [process.pid for process in family_of(lambda child: for_network(child.cmdline()))]
