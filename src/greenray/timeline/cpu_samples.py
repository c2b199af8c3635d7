"""How busy the cores of this machine were, sampled while somebody works (/proc/stat)."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROC_STAT = Path("/proc/stat")
_INTERVAL_S = 0.05
_SAMPLES = 8192
"""Nearly seven minutes; a sample of 2 cores takes 200 bytes, of 64 cores 1200."""

_IDLE_FIELDS = (3, 4)
"""Of a cpu line in proc_stat(5): idle, iowait."""
_COUNTED_FIELDS = 8
"""What follows, guests' time, is counted in user time already."""


@dataclass(frozen=True, slots=True)
class CpuSample:
    """Clock ticks since the machine was started, by core; ``at_ns``: CLOCK_MONOTONIC."""

    at_ns: int
    idle_ticks: tuple[int, ...]
    all_ticks: tuple[int, ...]


def parse_proc_stat(text: str, at_ns: int) -> CpuSample:
    """``text``: of /proc/stat. Time stolen from a virtual machine is not idle."""
    idle, total = [], []
    for line in text.splitlines():
        name, *fields = line.split()
        if not name.startswith("cpu"):
            break
        if name != "cpu":
            ticks = [int(field) for field in fields[:_COUNTED_FIELDS]]
            idle.append(sum(ticks[i] for i in _IDLE_FIELDS))
            total.append(sum(ticks))
    return CpuSample(at_ns, tuple(idle), tuple(total))


def read_proc_stat() -> CpuSample | None:
    """None on systems without it."""
    try:
        text = _PROC_STAT.read_text()
    except OSError:
        return None
    return parse_proc_stat(text, time.monotonic_ns())


class CpuSampler:
    """Samples 20 times a second while at least one ``working`` context is open."""

    def __init__(
        self,
        read: Callable[[], CpuSample | None] = read_proc_stat,
        *,
        interval_s: float = _INTERVAL_S,
        capacity: int = _SAMPLES,
    ) -> None:
        self._read = read
        self._interval_s = interval_s
        self._samples: deque[CpuSample] = deque(maxlen=capacity)
        self._working = 0
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Only inside a running event loop."""
        self._working += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            self._working -= 1

    def samples(self, begin_ns: int, end_ns: int) -> tuple[CpuSample, ...]:
        """Those between two moments, and the nearest one on either side."""
        samples = tuple(self._samples)
        times = [sample.at_ns for sample in samples]
        first = max(0, bisect_left(times, begin_ns) - 1)
        return samples[first : bisect_right(times, end_ns) + 1]

    async def _sample(self) -> None:
        """Until nobody works any more, and once after that."""
        while True:
            over = self._working == 0
            sample = self._read()
            if sample is None:
                return
            self._samples.append(sample)
            if over:
                return
            await asyncio.sleep(self._interval_s)


@dataclass(frozen=True, slots=True)
class CoreUse:
    """The share of each core that was not idle between two moments (ns), 0 to 1."""

    begin_ns: int
    end_ns: int
    busy_shares: tuple[float, ...]


def core_use(samples: Sequence[CpuSample], step_ns: int) -> tuple[CoreUse, ...]:
    """``samples`` of one machine in any order; those closer together than ``step_ns`` are joined,
    because ticks of 10 ms say nothing about shorter times."""
    found = []
    before: CpuSample | None = None
    for sample in sorted(samples, key=lambda s: s.at_ns):
        if before is None:
            before = sample
        elif sample.at_ns - before.at_ns >= step_ns:
            found.append(CoreUse(before.at_ns, sample.at_ns, _busy_shares(before, sample)))
            before = sample
    return tuple(found)


def _busy_shares(before: CpuSample, after: CpuSample) -> tuple[float, ...]:
    shares = []
    for core in range(min(len(before.all_ticks), len(after.all_ticks))):
        ticks = after.all_ticks[core] - before.all_ticks[core]
        idle = after.idle_ticks[core] - before.idle_ticks[core]
        # The kernel may count idle time back a little.
        shares.append(1.0 - min(1.0, max(0.0, idle / ticks)) if ticks > 0 else 0.0)
    return tuple(shares)
