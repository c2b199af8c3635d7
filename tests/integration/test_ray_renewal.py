"""Ending Ray, which takes threads that nobody can cancel: one at a time, whoever asks for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from greenray.cluster.config.settings import Settings
from greenray.cluster.on_ray import carrier as of_ray
from greenray.cluster.on_ray.carrier import RayCarrier

pytestmark = pytest.mark.timeout(60)


class SlowEnd:
    """Ray's end, the first of which takes until ``go_on`` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Event()
        self._running = threading.Lock()
        self.ends = 0
        self.overlaps = 0

    def __call__(self) -> None:
        if not self._running.acquire(blocking=False):
            self.overlaps += 1
            return
        with_patience = not self.begun.is_set()
        self.begun.set()
        if with_patience:
            self.go_on.wait(30)
        self.ends += 1
        self._running.release()


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> SlowEnd:
    def starts(**_: Any) -> None:
        return None

    end = SlowEnd()
    monkeypatch.setattr(of_ray, "stop_ray", end)
    monkeypatch.setattr(of_ray, "start_ray", starts)
    monkeypatch.setattr(of_ray, "check_no_runtime", lambda: None)
    return end


@contextmanager
def ending() -> Iterator[None]:
    yield


async def test_a_network_that_is_stopped_in_a_renewal_lets_ray_end_first(
    end: SlowEnd, tmp_path: Path
) -> None:
    carrier, undo = RayCarrier(Settings(state_dir=tmp_path)), AsyncExitStack()
    await carrier.start(undo, ending)
    renewal = asyncio.create_task(carrier.renew())
    await asyncio.to_thread(end.begun.wait, 30)
    renewal.cancel()
    await asyncio.gather(renewal, return_exceptions=True)
    stopping = asyncio.create_task(undo.aclose())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, end.go_on.set)
    await stopping
    assert (end.ends, end.overlaps) == (2, 0)


async def test_a_renewal_that_took_too_long_is_over_before_the_next_begins(
    end: SlowEnd, tmp_path: Path
) -> None:
    carrier, undo = RayCarrier(Settings(state_dir=tmp_path)), AsyncExitStack()
    await carrier.start(undo, ending)
    renewal = asyncio.create_task(carrier.renew())
    await asyncio.to_thread(end.begun.wait, 30)
    renewal.cancel()
    await asyncio.gather(renewal, return_exceptions=True)
    asyncio.get_running_loop().call_later(0.05, end.go_on.set)
    await carrier.renew()
    assert (end.ends, end.overlaps) == (2, 0)
    await undo.aclose()
