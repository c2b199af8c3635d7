"""The log of a process on a disk that is full."""

from __future__ import annotations

import logging
from pathlib import Path

from greenray.logs.files import LogFile, logging_ours


def test_a_log_that_cannot_be_written_ends_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "network.log").symlink_to("/dev/full")
    with logging_ours(LogFile(tmp_path, "network")):
        logging.getLogger("greenray.here").info("a line for which there is no room")
