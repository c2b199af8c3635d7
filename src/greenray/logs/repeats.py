"""A cause that repeats is written once, and counted."""

from __future__ import annotations

import logging
from dataclasses import dataclass

INTERVAL_S = 60.0
"""For so long a cause that was written is only counted when it comes again."""
_MOST_CAUSES = 1000
"""Remembered at a time; with more, the oldest is told and forgotten."""

Cause = tuple[str, int, str]


def cause_of(record: logging.LogRecord) -> Cause:
    """What makes two records the same: where they come from and the errors they name; without an
    error, the whole message. Numbers of requests, say, make no difference to an error."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    errors = [str(argument) for argument in arguments if isinstance(argument, BaseException)]
    if record.exc_info and record.exc_info[1] is not None:
        errors.append(repr(record.exc_info[1]))
    text = f"{record.msg}: {'; '.join(errors)}" if errors else record.getMessage()
    return record.name, record.levelno, text


@dataclass(slots=True)
class _Written:
    record: logging.LogRecord
    again: int = 0


class RepeatedCauses:
    """Which records are to be written. Its time is that of the records."""

    def __init__(self) -> None:
        self._written: dict[Cause, _Written] = {}

    def due(self, now_s: float) -> list[logging.LogRecord]:
        """For each cause whose time is over and which came again meanwhile, a record that tells how
        often; they are forgotten."""
        told = []
        while self._written:
            cause, oldest = next(iter(self._written.items()))  # as they were written
            is_over = now_s - oldest.record.created >= INTERVAL_S
            if not is_over and len(self._written) <= _MOST_CAUSES:
                break
            told.append(self._written.pop(cause))
        return [_summary(written, now_s) for written in told if written.again]

    def rest(self, now_s: float) -> list[logging.LogRecord]:
        """The same for all, at the end."""
        told = [_summary(written, now_s) for written in self._written.values() if written.again]
        self._written.clear()
        return told

    def is_new(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written; if not, it is counted."""
        written = self._written.get(cause_of(record))
        if written is not None:
            written.again += 1
            return False
        self._written[cause_of(record)] = _Written(record)
        return True


def _summary(written: _Written, now_s: float) -> logging.LogRecord:
    first = written.record
    within_s = now_s - first.created
    text = f"{written.again} times more within {within_s:.0f} s: {first.getMessage()}"
    summary = logging.LogRecord(
        first.name, first.levelno, first.pathname, first.lineno, text, (), None
    )
    summary.created = now_s
    summary.msecs = now_s % 1 * 1000
    return summary
