"""Threads that do one task each, again and again, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def side_by_side(tasks: Sequence[Callable[[], object]]) -> Iterator[Callable[[int], None]]:
    """A function that has every task done so many times, and raises what one of them raised."""

    def repeat(task: Callable[[], object], count: int) -> None:
        for _ in range(count):
            task()

    with ThreadPoolExecutor(len(tasks)) as pool:

        def run(count: int) -> None:
            for future in [pool.submit(repeat, task, count) for task in tasks]:
                future.result()

        yield run
