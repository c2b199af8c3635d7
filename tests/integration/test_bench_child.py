"""Services in child processes, and what they cost."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from greenray.bench.accounting import PeakMemory, ProcessTrees
from greenray.bench.child import Child, Handler, Tell
from greenray.protocol.errors import ComponentUnavailable, NoSpaceLeft, PortInUse

MIB = 1 << 20


@asynccontextmanager
async def service(closed_file: Path) -> AsyncIterator[Handler]:
    kept = []

    async def handle(message: Any, tell: Tell) -> Any:
        match message:
            case "who":
                return os.getpid()
            case "tell":
                tell("first")
                tell("second")
                return "answer"
            case "fail":
                raise NoSpaceLeft("the disk is full", "here", "Make room")
            case "die":
                print("these were my last words", flush=True)
                os._exit(1)
            case ("take", size_bytes):
                kept.append(b"x" * size_bytes)
            case ("spin", count):
                return sum(range(count))
        return None

    try:
        yield handle
    finally:
        closed_file.write_text("closed")  # noqa: ASYNC240 - at the end


@asynccontextmanager
async def refusing_service() -> AsyncIterator[Handler]:
    raise PortInUse("port 1 is in use", "here", "Free it")
    yield


def child(tmp_path: Path) -> Child:
    return Child("service", service, tmp_path / "closed", log_file=tmp_path / "log")


def test_child_answers_from_its_own_process(tmp_path: Path) -> None:
    with child(tmp_path) as running:
        assert running.ask("who") == running.pid != os.getpid()
    assert (tmp_path / "closed").read_text() == "closed"
    assert not psutil.pid_exists(running.pid)


def test_child_tells_before_it_answers(tmp_path: Path) -> None:
    told: list[str] = []
    with child(tmp_path) as running:
        assert running.ask("tell", told.append) == "answer"
    assert told == ["first", "second"]


def test_error_of_a_child_arrives_as_it_was_and_the_child_goes_on(tmp_path: Path) -> None:
    with child(tmp_path) as running:
        with pytest.raises(NoSpaceLeft, match="here: the disk is full"):
            running.ask("fail")
        assert running.ask("who") == running.pid


def test_error_while_opening_arrives_as_it_was(tmp_path: Path) -> None:
    with (
        pytest.raises(PortInUse),
        Child("service", refusing_service, log_file=tmp_path / "log"),
    ):
        raise AssertionError("it was entered")


def test_child_that_died_is_named_with_its_last_words(tmp_path: Path) -> None:
    with (
        child(tmp_path) as running,
        pytest.raises(ComponentUnavailable, match=r"service: .*these were my last words"),
    ):
        running.ask("die")


def test_memory_and_time_of_a_child_are_counted(tmp_path: Path) -> None:
    with child(tmp_path) as running:
        trees = ProcessTrees([running.pid])
        before_bytes, before_s = trees.memory_bytes(), trees.cpu_s()
        with PeakMemory(trees, interval_s=60) as memory:
            running.ask(("take", 64 * MIB))
            running.ask(("spin", 3_000_000))
        assert memory.bytes - before_bytes > 60 * MIB
        after_s = trees.cpu_s()
        assert after_s > before_s
    assert trees.cpu_s() == pytest.approx(after_s, abs=0.5), "what has ended stays counted"
    assert trees.memory_bytes() == 0


def test_the_peak_of_a_while_is_told_from_that_of_the_whole(tmp_path: Path) -> None:
    with child(tmp_path) as running:
        with PeakMemory(ProcessTrees([running.pid]), interval_s=0.01) as memory:
            began_at = time.time()
            running.ask(("spin", 3_000_000))
            spun_at = time.time()
            running.ask(("take", 64 * MIB))
            running.ask(("spin", 3_000_000))
        before = memory.bytes_between(began_at, began_at)
        after = memory.bytes_between(spun_at, time.time())
    assert after == memory.bytes
    assert after - before > 60 * MIB
