"""Files below one directory, by paths that somebody else has chosen."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from greenray.files.whole_file import WholeFile


class FileTree:
    """Makes files and their folders below ``root``, and nothing anywhere else.

    What is there already must be what it is to be: folders that are no links, and regular files,
    which are replaced. A link would lead elsewhere.
    """

    def __init__(self, root: Path) -> None:
        """``root``, which may be a link, is made if it is not there. Raises OSError."""
        root.mkdir(parents=True, exist_ok=True)
        self._root = Path(os.path.realpath(root))
        self._known: set[tuple[str, ...]] = {()}

    def file(self, path: Sequence[str]) -> WholeFile:
        """A file to write. ``path``: folders and name; none is empty, ``.``, ``..`` or has a slash.

        Raises OSError: something else stands there.
        """
        return WholeFile(self.place(path))

    def place(self, path: Sequence[str]) -> Path:
        """Where such a file is to be; its folders are made. Raises OSError."""
        self._make_folder(tuple(path[:-1]))
        target = self._root.joinpath(*path)
        try:
            kind = target.lstat().st_mode
        except FileNotFoundError:
            return target
        if not stat.S_ISREG(kind):
            raise OSError(errno.EEXIST, "what is there now is no regular file", str(target))
        return target

    def folder(self, path: Sequence[str]) -> Path:
        """One that is made if it is not there. Raises OSError."""
        self._make_folder(tuple(path))
        return self._root.joinpath(*path)

    def _make_folder(self, path: tuple[str, ...]) -> None:
        if path in self._known:
            return
        self._make_folder(path[:-1])
        folder = self._root.joinpath(*path)
        try:
            folder.mkdir()
        except FileExistsError:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise OSError(errno.ENOTDIR, "is no folder", str(folder)) from None
        self._known.add(path)
