"""Where libisal is, as a path that was checked before anything of it runs in this process.

``dlopen`` by a bare name looks where LD_LIBRARY_PATH says, an empty part of which is the working
directory.
"""

from __future__ import annotations

import base64
import hashlib
import stat
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

SYSTEM_NAME = "libisal.so.2"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def system_directories() -> tuple[Path, ...]:
    """Where distributions put libraries; root's, all of them."""
    triplet = sysconfig.get_config_var("MULTIARCH")
    multiarch = [f"/usr/lib/{triplet}", f"/lib/{triplet}"] if triplet else []
    return tuple(map(Path, [*multiarch, "/usr/lib64", "/lib64", "/usr/lib", "/usr/local/lib"]))


def bundled_library() -> Path:
    """libisal of the installed PyEClib wheel, with the checksum that its record of files says.

    Raises OSError: it is not there, or another file than the wheel had.
    """
    try:
        files = metadata.files("pyeclib") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.startswith("libisal") and ".so" in file.name:
            path = Path(str(file.locate())).resolve()
            if file.hash is None or not _has_digest(path, file.hash.mode, file.hash.value):
                raise OSError(f"{path} is not the file that PyEClib was installed with")
            return path
    raise OSError("PyEClib with its libisal is not installed")


def system_library(directories: Iterable[Path] | None = None) -> Path:
    """Debian's libisal2, or another distribution's, which belongs to root.

    Raises OSError: it is not there, or others than root can write it.
    """
    for directory in system_directories() if directories is None else directories:
        path = directory / SYSTEM_NAME
        if path.exists():
            path = path.resolve()
            _check_is_roots(path)
            return path
    raise OSError(f"the system has no {SYSTEM_NAME}")


def _check_is_roots(path: Path) -> None:
    """The file, and the directory that it could be replaced in. Raises OSError."""
    for checked in (path, path.parent):
        status = checked.stat()
        if status.st_mode & _WRITABLE_BY_OTHERS or status.st_uid != 0:
            raise OSError(f"{checked} can be written by others than root")


def _has_digest(path: Path, kind: str, value: str) -> bool:
    """``value``: base64 without its end, as in a wheel's RECORD."""
    digest = hashlib.new(kind, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == value
