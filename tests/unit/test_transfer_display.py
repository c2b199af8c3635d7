"""What is said beside the progress of a transfer."""

from __future__ import annotations

import io
import sys

import pytest

from greenray.cli.transfer import transfer_display
from greenray.client.progress import Activity, Progress

LINE = "photos/cat.jpg: replaced at 3: 0xab, secondary-lied: [red] " + "x" * 200


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def transfer() -> None:
    with transfer_display() as display:
        display.show(Progress(Activity.UPLOAD, 1, 4))
        display.note(LINE)


def test_a_note_on_a_terminal_has_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    transfer()
    assert f"\x1b[2K{LINE}\n" in terminal.getvalue()
    assert "upload" in terminal.getvalue()


def test_without_a_terminal_only_notes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    transfer()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", LINE + "\n")
