"""An event loop in a thread of its own, for callers that have none (or a notebook's, which is busy
with the cell that calls us)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``; an interrupt of the caller cancels it and waits for its end."""
        task = asyncio.run_coroutine_threadsafe(_as_task(work), self._loop).result()
        done = asyncio.run_coroutine_threadsafe(_outcome(task), self._loop)
        try:
            return done.result()
        except BaseException:
            self._loop.call_soon_threadsafe(task.cancel)
            asyncio.run_coroutine_threadsafe(_ended(task), self._loop).result()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """``work`` as a future, whose cancellation cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """End the thread; nothing may be running in it any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _as_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def _outcome(task: asyncio.Task[T]) -> T:
    return await task


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])
