"""Starting and ending the Ray runtime of one local network, and nobody else's."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import psutil
import ray

from protocol.errors import AlreadyRunning, SharedMemoryTooSmall

_SHARED_MEMORY = Path("/dev/shm")


def check_shared_memory(needed_bytes: int) -> None:
    """Raises SharedMemoryTooSmall; Ray would go on with files on disk, many times slower."""
    if not _SHARED_MEMORY.is_dir():
        return
    free_bytes = shutil.disk_usage(_SHARED_MEMORY).free
    if free_bytes < needed_bytes:
        raise SharedMemoryTooSmall(
            f"{free_bytes >> 20} MiB are free, the object store needs {needed_bytes >> 20} MiB",
            str(_SHARED_MEMORY),
            "Enlarge it (docker run --shm-size=2g, or mount -o remount,size=2g /dev/shm), "
            "or lower budget.memory_bytes",
        )


def check_no_runtime() -> None:
    """Raises AlreadyRunning; a process has one Ray runtime, and ours must be a new one."""
    if ray.is_initialized():
        raise AlreadyRunning(
            "this process has a Ray runtime already",
            f"process {os.getpid()}",
            "Close the network that runs in it (or call ray.shutdown()), or use another process",
        )


def start_ray(*, cpus: int | None, object_store_bytes: int, namespace: str) -> None:
    """A Ray runtime of our own, even when another one runs on this machine."""
    check_shared_memory(object_store_bytes)
    # These are read by the processes that Ray starts: no metrics, no usage statistics.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_enable_metrics_collection", "0")
    # Pages that the machine has not touched cost more than the copy into them: take them now.
    os.environ.setdefault("RAY_preallocate_plasma_memory", "1")
    ray.init(
        address="local",
        num_cpus=cpus,
        object_store_memory=object_store_bytes,
        include_dashboard=False,
        namespace=namespace,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def stop_ray() -> None:
    ray.shutdown()


def own_process_ids() -> list[int]:
    """This process and everything below it: Ray's servers, its workers, the chain."""
    me = psutil.Process()
    return [me.pid, *(child.pid for child in me.children(recursive=True))]
