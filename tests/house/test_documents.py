"""What the documents point at is there, and the numbers they quote are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from greenray.cluster.config.settings import BudgetSection

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PATH = re.compile(r"`((?:[a-z0-9_.]+/)+[a-z0-9_]+\.(?:py|md|c|sql))`")
"""Of a source, from the top of the repository or of the package."""
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The names that a repository viewer gives to headings."""
    names = set()
    for heading in HEADING.findall(document.read_text()):
        kept = re.sub(r"[^\w\- ]", "", heading.lower())
        names.add(kept.replace(" ", "-"))
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere_inside_the_repository(document: Path) -> None:
    for link in LINK.findall(CODE.sub("", document.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / unquote(path)).resolve() if path else document
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    tops = (ROOT, ROOT / "src" / "greenray", document.parent)
    named = PATH.findall(document.read_text())
    assert [path for path in named if not any((top / path).exists() for top in tops)] == []


def test_none_of_the_six_walks_touches_more_than_four_files() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Six walks")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    walks = {another: files.split("<br>") for another, files, _ in rows[1:]}
    assert len(walks) == 6
    assert [name for name, files in walks.items() if len(files) > 4] == []


def test_the_cluster_document_quotes_the_sizes_of_the_object_store() -> None:
    text = (ROOT / "docs" / "cluster.md").read_text()
    budget = BudgetSection()
    least = BudgetSection(memory_bytes=1 << 30)
    assert f"{budget.object_store_share:.0%}".replace("%", " %") + " of it" in text
    assert f"{budget.object_store_bytes >> 20} MiB with the default budget" in text
    assert f"at least 1 GiB, which needs {least.object_store_bytes >> 20} MiB" in text
