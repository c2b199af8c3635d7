from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenray.cli import status
from tests.support.timelines import timeline_document


def document(state: str, *, final: bool) -> dict[str, Any]:
    return {
        "bucket": "photos",
        "object": "cat.jpg",
        "object_id": 1,
        "state": state,
        "state_number": 9,
        "final": final,
        "sealed": state == "SEAL_OBJECT_DONE",
        "attempt": 0,
        "history": [],
        "secondaries": [],
        "replaced": [],
        "seal_tx_hash": None,
        "seal_height": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("state", "options", "exit_code"),
    [
        ("SEAL_OBJECT_DONE", ["--watch"], 0),
        ("REPLICATE_OBJECT_ERROR", ["--watch"], 1),
        ("REPLICATE_OBJECT_ERROR", [], 0),
    ],
)
def test_watching_succeeds_only_when_the_object_is_sealed(
    monkeypatch: pytest.MonkeyPatch, state: str, options: list[str], exit_code: int
) -> None:
    async def ended(*args: object) -> dict[str, Any]:
        return document(state, final=True)

    monkeypatch.setattr(status, "_object_status", ended)
    done = CliRunner().invoke(status.app, ["photos/cat.jpg", *options])
    assert done.exit_code == exit_code
    assert state in done.output


def test_retries_and_the_reason_of_the_last_failure_are_shown() -> None:
    error = {"reason": "too-few-approvals", "message": "2 of 6", "retryable": True}
    shown = status.describe(
        {**document("REPLICATE_OBJECT_ERROR", final=False), "attempt": 3, "error": error}
    )
    assert "  retries: 3\n  too-few-approvals: 2 of 6" in shown


@pytest.mark.parametrize(
    ("state", "final", "is_told"),
    [
        ("REPLICATE_OBJECT_ERROR", True, True),
        ("REPLICATE_OBJECT_ERROR", False, False),
        ("SEAL_OBJECT_DONE", True, False),
    ],
)
def test_a_job_that_ended_without_a_seal_is_told_from_one_that_is_tried_again(
    state: str, final: bool, is_told: bool
) -> None:
    shown = status.describe(document(state, final=final))
    assert ("it has ended, and is not tried again" in shown) is is_told


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def timeline(*args: object) -> dict[str, Any]:
        return timeline_document()

    async def job(*args: object) -> dict[str, Any]:
        return document("SEAL_OBJECT_DONE", final=True)

    monkeypatch.setattr(status, "_object_timeline", timeline)
    monkeypatch.setattr(status, "_object_status", job)


@pytest.mark.usefixtures("sealed")
def test_a_timeline_is_a_picture_or_one_document_and_a_trace_on_demand(tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(status.app, ["photos/cat.jpg", "--timeline"])
    assert shown.exit_code == 0
    assert "idle cores" in shown.stdout
    trace = tmp_path / "trace.json"
    both = runner.invoke(status.app, ["photos/cat.jpg", "--perfetto", str(trace), "--json"])
    assert both.exit_code == 0
    assert json.loads(both.stdout) == timeline_document()
    assert "written" in both.stderr
    assert json.loads(trace.read_text())["traceEvents"]


def test_a_timeline_needs_an_object() -> None:
    outcome = CliRunner().invoke(status.app, ["--timeline"])
    assert outcome.exit_code == 2
    assert "BUCKET/OBJECT" in outcome.stderr
