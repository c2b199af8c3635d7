"""Where something new is to be written by its name."""

from __future__ import annotations

import shlex
from pathlib import Path

from greenray.protocol.errors import InvalidInput


def check_parent(path: Path) -> None:
    """Raises InvalidInput: there is no directory for it. A mistyped one is not made."""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise InvalidInput(
            f"there is no directory {parent}",
            str(path),
            f"Make it (mkdir -p {shlex.quote(str(parent))}), or name another place",
        )
