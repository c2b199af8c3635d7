"""CPU time and memory of a process with all its descendants."""

from __future__ import annotations

import os
import resource
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import psutil

from greenray.capacity.cpu_clock import process_cpu_s
from greenray.cluster.processes import proportional_memory_bytes


class ProcessTrees:
    """The trees below some processes, these included.

    The CPU time of a process that has ended is what was seen last; look now and then.
    Thread-safe.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(psutil.Process(pid) for pid in roots)
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._lock = threading.Lock()

    def cpu_s(self) -> float:
        """User and system time of all processes that were ever seen; never goes back."""
        return sum(self.cpu_s_of_running_and_ended())

    def cpu_s_of_running_and_ended(self) -> tuple[float, float]:
        """The same, of those that run and of those that have ended."""
        with self._lock:
            running = set()
            for process in self._members():
                try:
                    key = process.pid, process.create_time()
                    self._cpu_s[key] = process_cpu_s(process)
                except psutil.NoSuchProcess:
                    continue
                running.add(key)
            running_s = sum(self._cpu_s[key] for key in running)
            return running_s, sum(self._cpu_s.values()) - running_s

    def memory_bytes(self) -> int:
        """Summed PSS: memory that several of them share (the object store) counts once."""
        return proportional_memory_bytes(process.pid for process in self._members())

    @contextmanager
    def on_cores(self, count: int) -> Iterator[None]:
        """Let them run on so many of the cores that this process may use. New threads and
        processes have it from those that start them."""
        allowed = os.sched_getaffinity(0)
        self._allow(sorted(allowed)[:count])
        try:
            yield
        finally:
            self._allow(allowed)

    def _allow(self, allowed: Collection[int]) -> None:
        for process in self._members():
            with suppress(FileNotFoundError):  # it has ended meanwhile
                for thread_id in os.listdir(f"/proc/{process.pid}/task"):
                    with suppress(ProcessLookupError):
                        os.sched_setaffinity(int(thread_id), allowed)

    def _members(self) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for root in self._roots:
            try:
                found.update({p.pid: p for p in (root, *root.children(recursive=True))})
            except psutil.NoSuchProcess:
                continue
        return list(found.values())


def ended_children_cpu_s() -> float:
    """User and system time of all children of this process that were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Watch(ABC):
    """Looks when it is entered, then in a thread every ``interval_s``, and when it is left."""

    def __init__(self, name: str, interval_s: float) -> None:
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _look(self) -> None: ...

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._look()


class PeakMemory(Watch):
    """Samples the memory of process trees while it is entered.

    A sample of a network takes about 40 ms of one core, so that ``interval_s`` decides how much
    the sampling itself disturbs.
    """

    def __init__(self, trees: ProcessTrees, interval_s: float) -> None:
        super().__init__("peak-memory", interval_s)
        self._trees = trees
        self._samples: list[tuple[float, int]] = []

    @property
    def bytes(self) -> int:
        """The largest sample so far; there is one at the beginning and one at the end."""
        return max(size_bytes for _, size_bytes in self._samples)

    def bytes_between(self, start: float, end: float) -> int:
        """The largest sample between two unix times, with the last one before them and the first
        one after them: what is short may be over before it is seen."""
        before = [at for at, _ in self._samples if at <= start]
        after = [at for at, _ in self._samples if at >= end]
        first, last = max(before, default=start), min(after, default=end)
        return max(size_bytes for at, size_bytes in self._samples if first <= at <= last)

    def _look(self) -> None:
        self._samples.append((time.time(), self._trees.memory_bytes()))
        self._trees.cpu_s()
