"""Where Ray keeps its sockets and logs: a directory that other users of the machine cannot enter.

Ray makes its own one in /tmp and opens it to everybody, who can then take the place of a socket.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from greenray.cluster.config.private_files import make_private_directory

_MAX_BYTES = 36
"""A socket's path may have 107 bytes, and Ray adds up to 71 to this directory."""
_KEPT_SESSIONS = 1
_elsewhere: set[Path] = set()


def session_root(near: Path | None) -> Path | None:
    """Below ``near``, if that is short enough, else below /tmp in a directory of this user's alone.
    None leaves it to Ray: RAY_TMPDIR is set. Of former sessions the logs of the last one stay.

    ``near``: whoever starts Ray there is the only one to do so; None: several may at a time.
    Raises OSError, InvalidSetting.
    """
    if "RAY_TMPDIR" in os.environ:
        return None
    # Ray opens the directory that it is given to everybody: what is closed is the one around it.
    if near is not None and len(os.fsencode(near / "ray")) <= _MAX_BYTES:
        around, root = near, near / "ray"
    else:
        around = Path(f"/tmp/greenray-{os.geteuid()}")
        whose = str(near) if near is not None else f"process {os.getpid()}"
        root = around / hashlib.sha256(whose.encode()).hexdigest()[:8]
        _elsewhere.add(root)
    make_private_directory(around)
    root.mkdir(exist_ok=True)
    for session in sorted(root.glob("session_[0-9]*"))[:-_KEPT_SESSIONS]:
        shutil.rmtree(session, ignore_errors=True)
    return root


def remove_roots_elsewhere() -> None:
    """Those that this process was given and that nobody finds again by the state directory; call
    when Ray has ended."""
    while _elsewhere:
        shutil.rmtree(_elsewhere.pop(), ignore_errors=True)
