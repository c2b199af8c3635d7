"""Writes the tables of the job's states and transitions, as the code has them, into
docs/architecture.md."""

from __future__ import annotations

from pathlib import Path

from greenray.protocol.job_table import state_table_markdown, transition_table_markdown
from scripts.marked_part import with_part

DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"


def with_table(text: str) -> str:
    """``text`` with the tables between its two marks."""
    tables = f"{state_table_markdown()}\n{transition_table_markdown()}"
    return with_part(text, "state table", tables)


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
