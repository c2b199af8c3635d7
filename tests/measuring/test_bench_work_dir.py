from __future__ import annotations

from pathlib import Path

import pytest

from greenray.bench.work_dir import file_system_of, work_dir
from greenray.protocol.errors import NoSpaceLeft, StoreError


def test_work_dir_is_gone_afterwards_with_all_in_it(tmp_path: Path) -> None:
    with work_dir(tmp_path, 0) as found:
        (found / "x").mkdir()
        (found / "x" / "y").write_text("z")
        assert found.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_disk_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceLeft, match="are needed"), work_dir(tmp_path, 1 << 60):
        raise AssertionError("it was entered")
    assert list(tmp_path.iterdir()) == []


def test_missing_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--work-dir"), work_dir(tmp_path / "no", 0):
        raise AssertionError("it was entered")


def test_file_system_in_memory_is_recognised() -> None:
    assert file_system_of(Path("/proc")) == "proc"
    assert file_system_of(Path("/dev/shm")) in ("tmpfs", "ramfs", "devtmpfs")
