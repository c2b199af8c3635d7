"""Which processes a network has started, when the one that runs it has other children too."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

import psutil
import pytest

from greenray.cluster.processes import children_started
from greenray.cluster.supervision.family import Family

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """A shell that says so once it has started a child of its own."""
    with ExitStack() as ending:

        def started(title: str) -> subprocess.Popen[str]:
            script = "sleep 600 & echo started; wait"
            shell = subprocess.Popen(["sh", "-c", script, title], stdout=subprocess.PIPE, text=True)
            ending.enter_context(shell)
            ending.callback(shell.kill)
            assert shell.stdout is not None
            assert shell.stdout.readline() == "started\n"
            for below in psutil.Process(shell.pid).children():
                ending.callback(_kill, below)
            return shell

        yield started


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def is_ours(command: Sequence[str]) -> bool:
    return "ours" in command


def test_children_that_are_ours_are_found_with_what_is_below_them(start: Start) -> None:
    ours, _ = start("ours"), start("theirs")
    [below] = psutil.Process(ours.pid).children()
    assert children_started(is_ours) == [ours.pid, below.pid]


def test_what_is_below_is_ended_also_when_its_parent_has_died_before(start: Start) -> None:
    ours, theirs = start("ours"), start("theirs")
    family = Family(is_ours)
    family.look()
    [below] = psutil.Process(ours.pid).children()
    ours.kill()
    ours.wait()
    family.kill()
    assert not below.is_running()
    assert theirs.poll() is None
