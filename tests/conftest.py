"""In what order tests run, and the lines that they ask to be shown at the end of a run, whichever
process they ran in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SHOWN = "shown at the end"


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Show a line at the end of the run."""
    return lambda line: record_property(SHOWN, line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first, so that several processes end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, line in report.user_properties:
                if name == SHOWN:
                    terminalreporter.write_line(line)
