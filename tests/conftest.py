"""In what order tests run, and the lines that they ask to be shown at the end of a run, whichever
process they ran in."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("greenray", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("greenray")

# A shell has what it starts in the background ignore Ctrl-C, and so would whatever tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHOWN = "shown at the end"
SLOW_LAYERS = (
    *("notebooks", "e2e", "faults", "actors"),
    *("vectors", "contracts", "hostile", "integration", "property"),
)
"""Those with files of minutes, the longest first, then those with files of ten seconds and more:
the recorded payloads, among the last by name, take one process half a minute."""


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Show a line at the end of the run."""
    return lambda line: record_property(SHOWN, line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first, so that several processes end at about the same time."""
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """What importing and collecting made lives to the end; looking through it for garbage took a
    tenth of the unit tests' time."""
    gc.collect()
    gc.freeze()


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("long"):
        return 0
    folders = item.path.relative_to(item.config.rootpath).parts
    layers = [layer for layer in SLOW_LAYERS if layer in folders]
    return 1 + SLOW_LAYERS.index(layers[0]) if layers else 1 + len(SLOW_LAYERS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, line in report.user_properties:
                if name == SHOWN:
                    terminalreporter.write_line(line)
