"""What is decided before a Ray runtime is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenray.cluster.on_ray import runtime as ray_cluster
from greenray.protocol.errors import SharedMemoryTooSmall


def test_a_shared_memory_smaller_than_the_object_store_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_SHARED_MEMORY", tmp_path)
    ray_cluster.check_shared_memory(4096)
    with pytest.raises(SharedMemoryTooSmall) as caught:
        ray_cluster.check_shared_memory(1 << 60)
    assert caught.value.where == str(tmp_path)
    assert "--shm-size" in caught.value.next_step
    assert "budget.memory_bytes" in caught.value.next_step


def test_a_system_without_shared_memory_is_left_to_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_SHARED_MEMORY", tmp_path / "none")
    ray_cluster.check_shared_memory(1 << 60)
