"""A cause that repeats is written once, and counted."""

from __future__ import annotations

import logging
from typing import Any

from greenray.logs.files import LogFormatter
from greenray.logs.repeats import INTERVAL_S, RepeatedCauses
from greenray.logs.request_ids import logging_request
from greenray.protocol.errors import StoreError

CAUSE = StoreError("the disk is slow", "/pieces")


def record(message: str, *arguments: Any, at_s: float = 0.0) -> logging.LogRecord:
    made = logging.LogRecord("greenray.x", logging.WARNING, __file__, 1, message, arguments, None)
    made.created = at_s
    made.msecs = at_s % 1 * 1000
    return made


def test_the_same_cause_is_written_once_whatever_else_the_line_tells() -> None:
    repeats = RepeatedCauses()
    assert repeats.is_new(record("request %s: %s", 1, CAUSE))
    assert not repeats.is_new(record("request %s: %s", 2, CAUSE))
    assert repeats.is_new(record("request %s: %s", 3, StoreError("another", "/pieces")))


def test_without_an_error_another_text_is_another_cause() -> None:
    repeats = RepeatedCauses()
    assert repeats.is_new(record("%s has died", "home"))
    assert repeats.is_new(record("%s has died", "chain"))
    assert not repeats.is_new(record("%s has died", "home"))


def test_after_a_while_it_is_told_how_often_it_came_and_it_is_new_again() -> None:
    repeats = RepeatedCauses()
    repeats.is_new(record("request %s: %s", 1, CAUSE, at_s=100))
    for at_s in range(101, 113):
        assert not repeats.is_new(record("request %s: %s", at_s, CAUSE, at_s=at_s))
    assert repeats.due(99 + INTERVAL_S) == []
    [summary] = repeats.due(100 + INTERVAL_S)
    assert summary.getMessage() == f"12 times more within 60 s: request 1: {CAUSE}"
    assert repeats.is_new(record("request %s: %s", 5, CAUSE, at_s=170))


def test_what_came_once_is_not_told_again() -> None:
    repeats = RepeatedCauses()
    repeats.is_new(record("%s has died", "home"))
    assert repeats.due(10 * INTERVAL_S) == []
    assert repeats.rest(10 * INTERVAL_S) == []


def test_what_was_only_counted_is_told_at_the_end() -> None:
    repeats = RepeatedCauses()
    for _ in range(3):
        repeats.is_new(record("%s has died", "home"))
    [summary] = repeats.rest(5)
    assert summary.getMessage() == "2 times more within 5 s: home has died"


def test_a_flood_of_different_causes_takes_a_bounded_memory() -> None:
    repeats = RepeatedCauses()
    for number in range(5000):
        repeats.is_new(record(f"cause {number}"))
        repeats.due(0)
    assert len(repeats._written) <= 1001


def test_a_line_has_its_time_in_utc_its_level_and_its_actor() -> None:
    line = LogFormatter("home").format(record("%s has died", "chain", at_s=1795372791.25))
    assert line == "2026-11-22T18:39:51.250Z WARNING home greenray.x: chain has died"


def test_a_line_tells_the_request_that_it_is_about() -> None:
    died = record("%s has died", "chain", at_s=1795372791.25)
    with logging_request("77"):
        line = LogFormatter("home").format(died)
    assert line.endswith(f" {died.name}: request 77: chain has died")
    assert "request" not in LogFormatter("home").format(died)
