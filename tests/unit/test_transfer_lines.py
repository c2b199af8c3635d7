"""What a transfer says where nothing can be drawn, in rows, and when it is interrupted."""

from __future__ import annotations

import io
import sys

import pytest

from greenray.cli.put import how_to_go_on
from greenray.cli.transfer import transfer_display
from greenray.client.job_words import words_of
from greenray.client.progress import Activity, Progress, ProgressReporter
from greenray.protocol.job import JobState

MIB = 1 << 20


def copies(done_bytes: int, index: int) -> Progress:
    return Progress(Activity.REPLICATION, done_bytes, 10 * MIB, index, "copying to secondaries")


def lines(capsys: pytest.CaptureFixture[str], *steps: tuple[float, Progress]) -> list[str]:
    """What is said when each is reported at its time in seconds."""
    now = 0.0
    with transfer_display(clock=lambda: now) as display:
        for now, progress in steps:  # noqa: B007 - the clock reads it
            display.show(progress)
    return capsys.readouterr().err.splitlines()


def test_a_short_transfer_says_nothing_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines(capsys, (0.1, Progress(Activity.UPLOAD, MIB, MIB))) == []


def test_a_long_one_says_each_stage_once_when_it_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines(
        capsys,
        (1.0, Progress(Activity.HASHING, 1, 40 * MIB)),
        (3.0, Progress(Activity.HASHING, 40 * MIB, 40 * MIB)),
        (4.0, Progress(Activity.UPLOAD, 20 * MIB, 40 * MIB)),
        (5.0, Progress(Activity.UPLOAD, 40 * MIB, 40 * MIB)),
        (6.0, copies(10 * MIB, 0)),
        (6.5, copies(0, 1)),
        (7.0, Progress(Activity.SEAL, 1, 1, detail="sealed")),
    ) == [
        "hashing: 40 MiB after 3.0 s",
        "upload: 40 MiB after 5.0 s",
        "copies, 1 of 1 secondaries: 10 MiB after 6.0 s",
        "sealing, sealed: done after 7.0 s",
    ]


def test_what_takes_long_is_said_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [(float(second), Progress(Activity.UPLOAD, second, 100)) for second in range(1, 45)]
    assert lines(capsys, *reports) == [
        "upload: 20 B of 100 B after 20.0 s",
        "upload: 40 B of 100 B after 40.0 s",
    ]


def test_quiet_says_nothing_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with transfer_display(quiet=True) as display:
        display.show(Progress(Activity.UPLOAD, MIB, MIB))
        display.note("replaced")
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_60_columns_every_stage_has_one_row_and_steps_have_no_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    with transfer_display() as display:
        display.show(Progress(Activity.CREATING, 1, 2, detail="object cat.jpg"))
        display.show(Progress(Activity.UPLOAD, 40 * MIB, 100 * MIB))
        for index in range(6):
            display.show(copies(10 * MIB if index < 2 else 0, index))
        display.show(Progress(Activity.SEAL, 0, 1, detail=words_of("SEAL_OBJECT_TX_DOING")))
    shown = terminal.getvalue().splitlines()
    copied = next(line for line in reversed(shown) if "copies, 2 of 6 secondaries" in line)
    assert "20.0/60.0 MiB" in copied
    sealing = next(line for line in shown if "waiting for the seal's block" in line)
    assert "byte" not in sealing
    assert "MiB" not in sealing
    assert "\x1b[3" not in terminal.getvalue()  # no colours


def test_every_state_of_a_job_has_words() -> None:
    assert all(words_of(state.name) != state.name for state in JobState)
    assert words_of("SOMETHING_NEW") == "SOMETHING_NEW"


def test_replication_is_counted_in_bytes() -> None:
    reports: list[Progress] = []
    reporter = ProgressReporter(reports.append)
    status = {
        "error": None,
        "state": "REPLICATE_OBJECT_DOING",
        "state_number": int(JobState.REPLICATE_OBJECT_DOING),
        "attempt": 0,
        "secondaries": [{"redundancy_index": 1}],
        "replaced": [],
        "sealed": False,
    }
    reporter.report_job(status, 2, 25 * MIB)
    assert [(r.done, r.total) for r in reports[:2]] == [(0, 25 * MIB), (25 * MIB, 25 * MIB)]
    assert reports[0].detail == "copying to secondaries"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([], "nothing was created"),
        ([Progress(Activity.HASHING, 5, 5)], "nothing was created"),
        ([Progress(Activity.CREATING, 1, 2)], "may exist on chain"),
        ([Progress(Activity.CREATING, 2, 2)], "waits for its payload"),
        ([Progress(Activity.UPLOAD, 3, 5)], "greenray cancel photos/one"),
        ([Progress(Activity.UPLOAD, 5, 5)], "is sealed without this"),
    ],
)
def test_an_interrupted_put_says_whether_the_object_exists(seen: list[Progress], said: str) -> None:
    assert said in how_to_go_on("photos/one", {one.activity: one for one in seen})
