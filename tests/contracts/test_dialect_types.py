"""A dialect that lacks or mistypes what is asked of it is found by the type checker."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

from tests.support.mypy_cache import copy_mypy_cache

_PACKAGE = Path("src/greenray/chain/dialects/v0_2")
_MODULES = ("", ".v0_2", ".v0_2.secondaries")
_BROKEN = {
    "Dialect": ("__init__.py", "def approval_of(", "def approval_off("),
    "Queries": ("queries.py", "by_id(object_id: int", "by_id(object_id: bytes"),
    "Secondaries": ("secondaries.py", "def plan(", "def plann("),
    "P2pWire": ("p2p_wire.py", "def decode_approval(data: bytes", "def decode_approval(data: str"),
}
"""By Protocol: a file, and how its copy differs from what is asked."""


@pytest.mark.timeout(300)
def test_a_function_that_is_missing_or_does_not_fit_is_a_type_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments = ["--cache-dir", str(copy_mypy_cache(tmp_path / "cache"))]
    for module in _MODULES:
        arguments += ["-m", f"greenray.chain.dialects{module}"]
    for file, right, wrong in _BROKEN.values():
        whole = (_PACKAGE / file).read_text(encoding="utf-8")
        assert right in whole
        (tmp_path / file).write_text(whole.replace(right, wrong), encoding="utf-8")
        arguments += ["--shadow-file", str(_PACKAGE / file), str(tmp_path / file)]
    told, _, status = api.run(arguments)
    assert status == 1
    mismatches = [line for line in told.splitlines() if "Module" in line and " error: " in line]
    for protocol in _BROKEN:
        assert any(f'"{protocol}"' in line for line in mismatches), told
