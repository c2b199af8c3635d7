"""Times work that several threads do side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter


def throughput_mb_s(
    tasks: Sequence[Callable[[], object]], bytes_per_call: int, repeats: int, slot_s: float
) -> tuple[float, ...]:
    """MB/s of each repeat, one thread per task; each repeat lasts about ``slot_s`` seconds.

    A first round, which is not counted, warms the memory and tells how many calls fill a slot.
    """

    def calls(task: Callable[[], object], count: int) -> None:
        for _ in range(count):
            task()

    with ThreadPoolExecutor(len(tasks)) as pool:

        def seconds(count: int) -> float:
            began_at = perf_counter()
            for future in [pool.submit(calls, task, count) for task in tasks]:
                future.result()
            return perf_counter() - began_at

        seconds(1)
        count = max(1, round(slot_s / seconds(1)))
        total_mb = count * len(tasks) * bytes_per_call / 1e6
        return tuple(total_mb / seconds(count) for _ in range(repeats))
