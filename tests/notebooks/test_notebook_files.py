"""The notebooks as they are committed: run from top to bottom, with outputs, without errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_is_a_first_notebook() -> None:
    assert "01_first_object" in [path.stem for path in NOTEBOOKS]


@each_notebook
def test_a_notebook_was_run_once_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@each_notebook
def test_a_notebook_has_results_and_nothing_on_stderr(path: Path) -> None:
    outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
    assert outputs
    for output in outputs:
        assert output["output_type"] in ("execute_result", "display_data", "stream")
        assert output.get("name", "stdout") == "stdout"


@each_notebook
def test_a_notebook_shows_no_path_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text()
    assert str(Path.home()) not in text
    assert str(ROOT) not in text


@each_notebook
def test_a_notebook_defines_nothing_that_belongs_into_the_package(path: Path) -> None:
    for cell in code_cells(path):
        for line in cell["source"]:
            assert not line.startswith(("def ", "class ", "async def ")), line


@each_notebook
def test_a_notebook_is_small_enough_to_be_read_in_a_browser(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
