"""Writes the job's transition table, as the code has it, into docs/architecture.md."""

from __future__ import annotations

from pathlib import Path

from greenray.protocol.job import transition_table_markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN = "<!-- state table: begin -->"
END = "<!-- state table: end -->"


def with_table(text: str) -> str:
    """``text`` with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{transition_table_markdown()}{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
