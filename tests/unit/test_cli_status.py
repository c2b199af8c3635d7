from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from greenray.cli import status


def document(state: str, *, final: bool) -> dict[str, Any]:
    return {
        "bucket": "photos",
        "object": "cat.jpg",
        "object_id": 1,
        "state": state,
        "state_number": 9,
        "final": final,
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
