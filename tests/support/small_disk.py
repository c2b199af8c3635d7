"""A disk that is full soon."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[bool]:
    """Mount a file system of ``size_bytes`` at ``path`` (a folder); False when one may not."""
    options = f"size={size_bytes}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            # Lazily: what a failed test has left running would keep it for ever.
            subprocess.run(["umount", "--lazy", str(path)], check=True)
