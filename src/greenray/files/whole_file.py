"""A file that appears whole or not at all, whatever stands at its name."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

_COPY_BYTES = 1024 * 1024
_NAME_CHARACTERS = 50
"""Of the target, in the name of what is written beside it."""


class WholeFile:
    """Is written beside its name, and takes it in one step.

    A symbolic link is followed. A device or a pipe at that name (``/dev/null``, ``/dev/stdout``) is
    never replaced: what was written goes through it when all of it is there. Everything else that
    is no regular file is refused, a directory, a block device and a socket among them.
    """

    def __init__(self, target: Path) -> None:
        """Raises OSError: nothing can be written there, or nobody reads from the pipe."""
        self._stream = _opened_stream(target)
        self._target = target if self._stream is not None else Path(os.path.realpath(target))
        try:
            directory = None if self._stream is not None else self._target.parent
            # Cut, because a name may be as long as a file system takes, and this one is longer.
            prefix = f".{self._target.name[:_NAME_CHARACTERS]}."
            handle, part = tempfile.mkstemp(prefix=prefix, dir=directory)
        except BaseException:
            self._close_stream()
            raise
        self._part = Path(part)
        self.file: IO[bytes] = os.fdopen(handle, "wb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        """Append all of it. Raises OSError."""
        write_all(self.file, data)

    def commit(self, *, replacing: bool = True) -> None:
        """Now it is there, with the mode of what it replaces, else of any new file; with
        ``replacing`` false nothing is replaced. Raises OSError; ``abort`` is still to be called
        then."""
        self.file.close()
        if self._stream is None and not replacing:
            self._part.chmod(_mode(self._target))
            os.link(self._part, self._target)
            self._part.unlink()
            return
        if self._stream is None:
            self._part.chmod(_mode(self._target))
            self._part.replace(self._target)
            return
        with self._part.open("rb") as written, os.fdopen(self._stream, "wb") as stream:
            self._stream = None
            shutil.copyfileobj(written, stream, _COPY_BYTES)
        self._part.unlink()

    def abort(self) -> None:
        """Leave nothing; after ``commit`` it does nothing."""
        self.file.close()
        self._close_stream()
        self._part.unlink(missing_ok=True)

    def beside(self, mark: str) -> Path | None:
        """Where what is written could be kept for later, under a name with ``mark``; None for a
        device or a pipe."""
        if self._stream is not None:
            return None
        return self._part.parent / f".{self._target.name[:_NAME_CHARACTERS]}.{mark}.part"

    def keep(self, kept: Path) -> None:
        """Leave what was written there. Raises OSError."""
        self.file.close()
        self._part.replace(kept)

    def take_over(self, kept: Path) -> bool:
        """Go on from what was kept there, read from its beginning; whether there was something.
        Nobody else goes on from it then. Raises OSError."""
        try:
            kept.replace(self._part)
        except FileNotFoundError:
            return False
        self.file.close()
        # In a directory of others, somebody may have put a link there.
        handle = os.open(self._part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.file = os.fdopen(handle, "r+b", buffering=0)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
            raise OSError(errno.EEXIST, "what was kept there is not of this user")
        return True

    def _close_stream(self) -> None:
        if self._stream is not None:
            os.close(self._stream)
            self._stream = None


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """An unbuffered file may take less than it is given. Raises OSError."""
    rest = memoryview(data)
    while len(rest):
        rest = rest[file.write(rest) :]


def is_full(error: OSError) -> bool:
    """Whether the disk, or what one may have of it, is."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_whole(target: Path, data: bytes) -> None:
    """Raises OSError; nothing is left then, and what was there before stays."""
    whole = WholeFile(target)
    try:
        whole.write(data)
        whole.commit()
    finally:
        whole.abort()


def _mode(target: Path) -> int:
    """What the file that replaces it is to have. Raises OSError: it is no regular file (any more),
    and is not replaced."""
    with suppress(FileNotFoundError):
        found = target.lstat().st_mode
        if not stat.S_ISREG(found):
            raise OSError(errno.EEXIST, "what is there now is no regular file")
        return stat.S_IMODE(found)
    # mkstemp makes files for the owner only.
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _opened_stream(target: Path) -> int | None:
    """A descriptor of the device or pipe at that name; None where a file may be put. Raises
    OSError."""
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(kind):
        raise OSError(errno.EISDIR, "is a directory")
    if stat.S_ISREG(kind) and not _is_of_the_system(target):
        return None
    if stat.S_ISBLK(kind) or stat.S_ISSOCK(kind):
        raise OSError(errno.EEXIST, "is a block device or a socket")
    try:
        # Who opens a pipe that nobody reads would wait for ever.
        stream = os.open(target, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads from this pipe") from None
        raise
    os.set_blocking(stream, True)
    return stream


def _is_of_the_system(target: Path) -> bool:
    """Whether the name is a link like /dev/stdout, to what a descriptor of this process is."""
    return target.is_symlink() and os.path.abspath(target).startswith(("/dev/", "/proc/"))
