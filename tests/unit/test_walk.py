"""What is found below a directory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from greenray.files.walk import walk


def test_files_are_found_by_their_way_from_the_top_and_loops_are_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "other").symlink_to(tmp_path / "a" / "b" / "file")
    (tmp_path / "empty").mkdir()
    found = {each.relative: each.error and each.error.errno for each in walk(tmp_path)}
    assert found == {"a/b/file": None, "a/b/up": errno.ELOOP, "other": None}


def test_a_deep_directory_is_reached(tmp_path: Path) -> None:
    levels = 300
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    [found] = walk(tmp_path)
    assert found.relative == "d/" * levels + "file"


def test_a_top_that_is_not_there_is_told(tmp_path: Path) -> None:
    [found] = walk(tmp_path / "nowhere")
    assert found.relative == ""
    assert isinstance(found.error, FileNotFoundError)
