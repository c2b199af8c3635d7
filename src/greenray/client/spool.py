"""A payload that can be read once, kept so that it can be read twice: checksums come first."""

from __future__ import annotations

import os
import select
import stat
import tempfile
import threading
from pathlib import Path
from typing import IO

from greenray.files.whole_file import is_full
from greenray.protocol.errors import NoSpaceLeft, PayloadTooLarge, UnreadableFile

STDIN = "-"
_IN_MEMORY_BYTES = 32 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_LOOK_S = 0.2


def is_stream(source: str) -> bool:
    """Whether it is read once: ``-``, a pipe, a terminal, a socket."""
    if source == STDIN:
        return True
    try:
        kind = os.stat(source).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISBLK(kind))


def spooled(source: str, limit_bytes: int, stopped: threading.Event) -> IO[bytes]:
    """All of a stream, in memory while it is small, else in a temporary file that has no name.
    ``stopped``, which is looked at while nothing comes, ends it early.

    Raises: PayloadTooLarge, NoSpaceLeft, UnreadableFile.
    """
    descriptor = _opened(source)
    spool = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - who puts it closes it
    try:
        _copy(descriptor, spool, source, limit_bytes, stopped)
    except OSError as error:
        spool.close()
        if is_full(error):
            raise NoSpaceLeft(
                "the disk is full", tempfile.gettempdir(), "Make room, or set TMPDIR"
            ) from error
        raise UnreadableFile(f"a read failed ({error.strerror})", source) from error
    except BaseException:
        spool.close()
        raise
    finally:
        if source != STDIN:
            os.close(descriptor)
    spool.seek(0)
    return spool


def _opened(source: str) -> int:
    if source == STDIN:
        return 0
    try:
        # Who opens a pipe that nobody writes would wait where nothing can wake him.
        return os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableFile(
            f"it cannot be read ({error.strerror})", source, "Check the path and its permissions."
        ) from error


def _copy(
    descriptor: int, spool: IO[bytes], source: str, limit_bytes: int, stopped: threading.Event
) -> None:
    size_bytes = 0
    while not stopped.is_set():
        if not select.select([descriptor], [], [], _LOOK_S)[0]:
            continue
        try:
            block = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            continue
        if not block:
            return
        size_bytes += len(block)
        if size_bytes > limit_bytes:
            raise PayloadTooLarge(
                f"more came than an object may have ({limit_bytes} bytes)",
                source,
                "Split it into several objects.",
            )
        spool.write(block)


def written_to_stdout(file: Path, out: IO[bytes]) -> None:
    """Raises UnreadableFile: what reads it is gone, or the disk behind it is full."""
    try:
        with file.open("rb") as source:
            while block := source.read(_READ_BYTES):
                out.write(block)
        out.flush()
    except OSError as error:
        raise UnreadableFile(f"stdout takes no more ({error.strerror})", STDIN) from error
