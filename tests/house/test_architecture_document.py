from __future__ import annotations

from scripts.state_table import DOCUMENT, with_table


def test_the_state_table_in_the_documentation_is_the_one_in_the_code() -> None:
    text = DOCUMENT.read_text()
    assert text == with_table(text), "run: python -m scripts.state_table"
