"""Directories and files that other users of the machine have no business with."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from greenray.protocol.errors import InvalidSetting

log = logging.getLogger(__name__)

PRIVATE_UMASK = 0o077
"""Of every process that writes for a network: what it makes is its user's alone."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private_directory(path: Path) -> None:
    """Made if need be, else closed to others; it must be this user's.

    Raises OSError; InvalidSetting: others could put something of theirs in its place or into it.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.lstat().st_uid not in (0, os.geteuid()):  # a link of another's, too
        raise _not_ours(path)
    status = path.stat()
    if status.st_uid != os.geteuid():
        if status.st_mode & _OTHERS_WRITE:
            raise _not_ours(path)
        return  # root's or another's, who lets nobody write but whom it says
    if status.st_mode & _OTHERS:
        path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
        log.warning("%s could be entered by other users and is closed to them now", path)


def _not_ours(path: Path) -> InvalidSetting:
    return InvalidSetting(
        "is not this user's, and others may write it",
        str(path),
        "Name a directory inside it, which is then made, or another one",
    )


def check_keys(source: Path) -> None:
    """A file of keys, or a directory of keystores, that others may read is told in the log.

    Raises InvalidSetting: one that others may write, whose keys they could exchange.
    """
    for path in [source, *(sorted(source.iterdir()) if source.is_dir() else ())]:
        mode = path.stat().st_mode
        if mode & _OTHERS_WRITE:
            raise InvalidSetting(
                "other users may write these keys", str(path), f"Close it: chmod go-rwx {path}"
            )
        if mode & _OTHERS and not path.is_dir():
            log.warning("%s holds keys and can be read by other users: chmod go-rwx it", path)
