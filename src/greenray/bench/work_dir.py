"""Where a benchmark writes: a directory of its own on a disk whose kind is known."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenray.protocol.errors import NoSpaceLeft, StoreError

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})


@contextmanager
def work_dir(parent: Path, needed_bytes: int) -> Iterator[Path]:
    """A new directory below ``parent``, removed with everything in it afterwards.

    Raises: NoSpaceLeft (``needed_bytes`` do not fit), StoreError.
    """
    try:
        name = tempfile.mkdtemp(prefix="greenray-bench-", dir=parent)
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})", str(parent), "Choose another --work-dir"
        ) from None
    try:
        free_bytes = shutil.disk_usage(name).free
        if free_bytes < needed_bytes:
            raise NoSpaceLeft(
                f"{needed_bytes >> 20} MiB are needed, {free_bytes >> 20} MiB are free",
                str(parent),
                "Choose another --work-dir, a smaller --object-size or fewer --repeats",
            )
        yield Path(name)
    finally:
        shutil.rmtree(name)


def file_system_of(path: Path) -> str:
    """Such as ``ext4`` or ``tmpfs``; ``unknown`` where the system does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    resolved = path.resolve()
    best, kind = -1, "unknown"
    for line in mounts.read_text().splitlines():
        _, mount_point, file_system, *_ = line.split(" ")
        point = Path(mount_point.replace("\\040", " "))
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), file_system
    return kind
