"""Stores that fail when a test wants them to: the real store behind, errors by plan.

A plan maps a call's name and number to an error: ``{("append", 3): NoSpaceLeft("full")}`` fails the
third ``append`` (counted over all writers of the store, from 1). ``AFTER`` in front of a name lets
the call happen first: ``("after apply", 2)`` loses the answer of the second ``apply``.
"""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

from greenray.storage.ports import ColumnWriter, JobStore, PieceStore

Plan = Mapping[tuple[str, int], BaseException]
AFTER = "after "


class CallCounter:
    """Counts calls by name and raises what the plan has for them. Thread-safe."""

    def __init__(self, plan: Plan) -> None:
        self.plan = dict(plan)
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str) -> int:
        with self._lock:
            self.calls[name] += 1
            return self.calls[name]

    def fail(self, name: str, number: int) -> None:
        error = self.plan.get((name, number))
        if error is not None:
            raise error

    @property
    def unused(self) -> set[tuple[str, int]]:
        """Planned errors that no call has come to; a test asserts that there are none."""
        return {
            (name, number)
            for name, number in self.plan
            if self.calls[name.removeprefix(AFTER)] < number
        }


class _Naughty:
    """Passes every public method on to ``real``, through the counter."""

    def __init__(self, real: object, counter: CallCounter) -> None:
        self._real = real
        self.counter = counter

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._real, name)
        if name.startswith("_") or not callable(attribute):
            return attribute
        if inspect.iscoroutinefunction(attribute):
            return self._asynchronous(name, attribute)
        return self._synchronous(name, attribute)

    def _synchronous(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            number = self.counter.count(name)
            self.counter.fail(name, number)
            answer = method(*args, **kwargs)
            self.counter.fail(AFTER + name, number)
            if name in ("create", "resume"):
                return naughty_writer(answer, self.counter)
            return answer

        return call

    def _asynchronous(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            number = self.counter.count(name)
            self.counter.fail(name, number)
            answer = await method(*args, **kwargs)
            self.counter.fail(AFTER + name, number)
            return answer

        return call


def naughty_writer(real: ColumnWriter, counter: CallCounter) -> ColumnWriter:
    return cast(ColumnWriter, _Naughty(real, counter))


def naughty_piece_store(real: PieceStore, plan: Plan) -> tuple[PieceStore, CallCounter]:
    """``real`` with its writers, failing by ``plan``; the counter tells what was called."""
    counter = CallCounter(plan)
    return cast(PieceStore, _Naughty(real, counter)), counter


def naughty_job_store(real: JobStore, plan: Plan) -> tuple[JobStore, CallCounter]:
    """``real``, failing by ``plan``; the counter tells what was called."""
    counter = CallCounter(plan)
    return cast(JobStore, _Naughty(real, counter)), counter
