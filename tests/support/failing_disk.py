"""A disk that fails with I/O errors and is mended: ext4 on the kernel's device mapper."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_SECTORS = 2 * 64 * 1024
"""Of 512 bytes: 64 MiB."""


class FailingDisk:
    """While it fails, every access to the device is an I/O error (``dm-error``)."""

    def __init__(self, name: str, table: str) -> None:
        self._name = name
        self._table = table

    def fail(self) -> None:
        self._load(f"0 {_SECTORS} error")

    def mend(self) -> None:
        self._load(self._table)

    def _load(self, table: str) -> None:
        for arguments in (
            ("suspend", "--nolockfs", "--noflush", self._name),
            ("load", self._name, "--table", table),
            ("resume", self._name),
        ):
            subprocess.run(["dmsetup", *arguments], check=True, capture_output=True)


@contextmanager
def failing_disk(path: Path, image: Path) -> Iterator[FailingDisk | None]:
    """Mount it at ``path`` (an empty folder), with its bytes in ``image`` (a new file); None when
    one may not, or the kernel has no device mapper."""
    name = f"greenray-test-{uuid.uuid4().hex[:8]}"
    with ExitStack() as undo:
        with image.open("wb") as file:
            file.truncate(_SECTORS * 512)
        loop = _output("losetup", "--find", "--show", image)
        if loop is None:
            yield None
            return
        undo.callback(_output, "losetup", "--detach", loop)
        table = f"0 {_SECTORS} linear {loop} 0"
        if _output("dmsetup", "create", name, "--table", table) is None:
            yield None
            return
        undo.callback(_output, "dmsetup", "remove", "--force", name)
        device = f"/dev/mapper/{name}"
        # Without a journal, and with errors left to who meets them, so that it can be mended.
        if _output("mkfs.ext4", "-q", "-O", "^has_journal", device) is None:
            yield None
            return
        if _output("mount", "-o", "errors=continue", device, path) is None:
            yield None
            return
        undo.callback(_output, "umount", "--lazy", path)
        yield FailingDisk(name, table)


def _output(*command: str | Path) -> str | None:
    """What it prints; None when it fails, or is not there."""
    try:
        ran = subprocess.run(list(map(str, command)), capture_output=True, check=False, text=True)
    except FileNotFoundError:
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
