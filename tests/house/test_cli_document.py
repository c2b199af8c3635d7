"""docs/cli.md shows every command as it is."""

from __future__ import annotations

from scripts.cli_document import DOCUMENT, with_commands


def test_the_commands_in_the_documentation_are_those_in_the_code() -> None:
    text = DOCUMENT.read_text()
    assert text == with_commands(text), "run: python -m scripts.cli_document"
