"""CPU time of other processes, in nanoseconds where the kernel has a clock for them.

``/proc/PID/stat`` counts the same time in ticks, as a rule of 10 ms.
"""

from __future__ import annotations

import os
import time

import psutil

_SCHEDULED = 2
"""Of the clocks of a process, the one that counts user and system time (CPUCLOCK_SCHED)."""
_CLOCK_BITS = 3


def process_cpu_s(process: psutil.Process) -> float:
    """User and system time of all its threads, those that have ended included, without children.

    Raises psutil.NoSuchProcess.
    """
    try:
        return time.clock_gettime(_clock_of(process.pid))
    except OSError:  # it has ended, or the kernel has no such clock
        times = process.cpu_times()
        return float(times.user + times.system)


def resolution_s() -> float:
    """The smallest step of ``process_cpu_s`` on this machine."""
    try:
        return time.clock_getres(_clock_of(os.getpid()))
    except OSError:
        return 1 / os.sysconf("SC_CLK_TCK")


def _clock_of(pid: int) -> int:
    """As clock_getcpuclockid(3) makes it."""
    return (~pid << _CLOCK_BITS) | _SCHEDULED
