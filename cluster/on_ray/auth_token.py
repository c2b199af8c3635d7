"""The token without which nobody runs code on a Ray cluster.

Ray makes it where there is none, readable for all who may enter the home directory.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path

log = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def token_path() -> Path | None:
    """Where Ray looks for the token; None: it is in the environment, or Ray is to do without."""
    is_off = os.environ.get("RAY_AUTH_MODE", "token").lower() != "token"
    if is_off or "RAY_AUTH_TOKEN" in os.environ:
        return None
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))


def make_token() -> None:
    """Before Ray would. One that is there stays, and is closed to others. Raises OSError."""
    path = token_path()
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        close_token()
        return
    with os.fdopen(made, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())


def close_token() -> None:
    """Let nobody else read the token, if it is this user's file. Raises OSError."""
    path = token_path()
    if path is None or not path.exists():
        return
    status = path.stat()
    if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
        path.chmod(0o600)
        log.warning(
            "Ray's token %s could be read by other users, and is closed to them now; make a new "
            "one (remove it, and restart the clusters that use it) if one of them may have done so",
            path,
        )
