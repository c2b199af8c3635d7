"""The log of a process: a file that is set aside when it is large, and bounded repetition."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path

from greenray.logs.repeats import RepeatedCauses
from greenray.logs.request_ids import current_request_id
from greenray.logs.settings import LogSettings

OURS = "greenray"
"""The logger whose records are ours; those of libraries are written from WARNING on."""

_FORMAT = "%(asctime)s %(levelname)s {actor} %(name)s: %(message)s"


@dataclass(frozen=True, slots=True)
class LogFile:
    """Where a process writes its log."""

    directory: Path
    actor: str
    """Who writes, in each line and as the name of the file."""
    settings: LogSettings = field(default_factory=LogSettings)

    @property
    def path(self) -> Path:
        return self.directory / f"{self.actor}.log"


class LogFormatter(logging.Formatter):
    """``2026-11-29T13:31:02.123Z WARNING home greenray.actors.signer.actor: ...``, and which
    request it is about, if it is about one."""

    def __init__(self, actor: str) -> None:
        super().__init__(_FORMAT.format(actor=actor))

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        if request_id := current_request_id():
            head, separator, message = line.partition(f" {record.name}: ")
            return f"{head}{separator}request {request_id}: {message}"
        return line

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{second}.{int(record.msecs):03d}Z"


class BoundedFile(RotatingFileHandler):
    """Writes a cause that repeats once, and then how often it came again. The disk's errors are the
    log's own: who logs does not see them."""

    def __init__(self, log_file: LogFile) -> None:
        settings = log_file.settings
        super().__init__(
            log_file.path,
            maxBytes=settings.file_bytes,
            backupCount=settings.files,
            encoding="utf-8",
            delay=True,
        )
        self._repeats = RepeatedCauses()
        self.setFormatter(LogFormatter(log_file.actor))

    def emit(self, record: logging.LogRecord) -> None:
        for summary in self._repeats.due(record.created):
            super().emit(summary)
        if self._repeats.is_new(record):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: there is no other place to say it in, and the disk is found full elsewhere."""

    def close(self) -> None:
        for summary in self._repeats.rest(time.time()):
            super().emit(summary)
        with suppress(OSError):  # as above: lines that had no room are written again here
            super().close()


class BoundedStream(logging.StreamHandler):  # type: ignore[type-arg]
    """The same on stderr, for the warnings of a process without a log file of its own."""

    def __init__(self, actor: str) -> None:
        super().__init__(sys.stderr)
        self._repeats = RepeatedCauses()
        self.setFormatter(LogFormatter(actor))

    def emit(self, record: logging.LogRecord) -> None:
        for summary in self._repeats.due(record.created):
            super().emit(summary)
        if self._repeats.is_new(record):
            super().emit(record)


def log_everything(log_file: LogFile | None, actor: str) -> None:
    """Whatever a process of ours logs, until it ends: into its file, or to stderr where it has
    none."""
    handler = BoundedStream(actor) if log_file is None else BoundedFile(log_file)
    logging.getLogger(OURS).setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)


@contextmanager
def logging_ours(log_file: LogFile) -> Iterator[None]:
    """In a process that may be somebody else's: what greenray logs, and nothing else. Warnings are
    shown on stderr as well, unless the process has handlers of its own, which get all of it."""
    ours = logging.getLogger(OURS)
    handlers: list[logging.Handler] = [BoundedFile(log_file)]
    if not logging.getLogger().handlers:
        shown = BoundedStream(log_file.actor)
        shown.setLevel(logging.WARNING)
        handlers.append(shown)
    level_before = ours.level
    ours.setLevel(logging.INFO)
    for handler in handlers:
        ours.addHandler(handler)
    try:
        yield
    finally:
        ours.setLevel(level_before)
        for handler in handlers:
            ours.removeHandler(handler)
            handler.close()
