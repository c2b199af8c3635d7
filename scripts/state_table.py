"""Writes the tables of the job's states and transitions, as the code has them, into
docs/architecture.md."""

from __future__ import annotations

from pathlib import Path

from greenray.protocol.job_table import state_table_markdown, transition_table_markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN = "<!-- state table: begin -->"
END = "<!-- state table: end -->"


def with_table(text: str) -> str:
    """``text`` with the tables between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = f"{state_table_markdown()}\n{transition_table_markdown()}"
    return f"{before}{BEGIN}\n{tables}{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
