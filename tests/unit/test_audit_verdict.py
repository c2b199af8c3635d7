"""A release is audited, or says that it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.audit_verdict import main, verdict

WELL: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
BAD: dict[str, Any] = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
SKIPPED: dict[str, Any] = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "is_well", "said"),
    [
        ([WELL, WELL], True, "nothing is known against 2 versions"),
        ([WELL, BAD], False, "b 2 (PYSEC-1)"),
        ([SKIPPED, BAD], False, "b 2 (PYSEC-1)"),
        ([WELL, SKIPPED], False, "did not answer for 1 of 2"),
        ([], False, "did not answer for 0 of 0"),
    ],
)
def test_only_an_answer_for_every_version_is_an_audit(
    dependencies: list[dict[str, Any]], is_well: bool, said: str
) -> None:
    found, text = verdict(dependencies)
    assert found is is_well
    assert said in text


def test_an_index_that_cannot_be_reached_is_no_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path / "audit.json") == 1
    assert "cannot be reached" in capsys.readouterr().out
    (tmp_path / "audit.json").write_text(json.dumps({"dependencies": [WELL], "fixes": []}))
    assert main(tmp_path / "audit.json") == 0
