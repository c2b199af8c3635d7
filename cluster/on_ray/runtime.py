"""The Ray runtime of one network: one of its own, started and ended, or a running cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from greenray.chain.secrets import secrets_for_children
from greenray.cluster.on_ray import private
from greenray.cluster.on_ray.auth_token import close_token, make_token
from greenray.cluster.on_ray.session_root import remove_roots_elsewhere, session_root
from greenray.protocol.errors import (
    AlreadyRunning,
    ComponentUnavailable,
    InvalidSetting,
    OpenCluster,
    SharedMemoryTooSmall,
)

_CONNECT_TIMEOUT_S = 5.0
_START_ONE = "Start one with 'ray start --head' (see docs/cluster.md), or correct --address"

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


def start_ray(
    *, cpus: int | None, object_store_bytes: int, namespace: str, near: Path | None = None
) -> None:
    """A Ray runtime of our own, even when another one runs on this machine. ``near``: a directory
    of which the caller is the only user, for Ray's sockets and logs.

    Raises SharedMemoryTooSmall, ComponentUnavailable, InvalidSetting (another user has made the
    directory for Ray's sockets).
    """
    check_shared_memory(object_store_bytes)
    private.set_system_options()
    try:
        make_token()
        root = session_root(near)
        with private.only_needed_servers(), secrets_for_children():
            ray.init(
                address="local",
                num_cpus=cpus,
                object_store_memory=object_store_bytes,
                include_dashboard=False,
                namespace=namespace,
                log_to_driver=False,
                logging_level=logging.ERROR,
                job_config=private.job_config(),
                **private.init_options(None if root is None else str(root)),
            )
    except Exception as error:  # Ray raises that itself, when a server does not come up in time
        raise ComponentUnavailable(
            f"the Ray runtime did not start: {error}",
            "ray.init",
            "Look for a full disk or too little memory, and into the logs in "
            f"{root or os.environ.get('RAY_TMPDIR', '/tmp/ray')}",
        ) from error


def attach_ray(address: str, *, namespace: str, allow_open_cluster: bool = False) -> None:
    """Connect to a running cluster, one of whose nodes is this machine.

    ``address``: HOST:PORT of its head, or "auto" for the one that runs here. Raises InvalidSetting
    (not such an address), ComponentUnavailable (nothing answers there, or another version),
    OpenCluster (it asks nobody for a token, and ``allow_open_cluster`` is not set).
    """
    host_and_port = _head_address(address)
    _check_reachable(host_and_port)
    if not allow_open_cluster and not private.asks_for_a_token(host_and_port):
        raise OpenCluster(
            "the Ray cluster asks for no token: whoever reaches its ports runs code as its user, "
            "with the keys of the storage providers",
            host_and_port,
            "Start it with a token (docs/cluster.md), or, where nobody else reaches it, say "
            "--allow-open-cluster",
        )
    close_token()
    private.use_the_clusters_token()
    try:
        ray.init(
            address=host_and_port,
            namespace=namespace,
            log_to_driver=False,
            logging_level=logging.ERROR,
            job_config=private.job_config(),
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise attach_error(error, host_and_port) from error


def _head_address(address: str) -> str:
    """Raises InvalidSetting, ComponentUnavailable."""
    if "://" in address:
        raise InvalidSetting(
            "is an address for Ray's client",
            f"--address {address}",
            "Run greenray up on a node of the cluster, with --address auto",
        )
    try:
        found = private.bootstrap_address(address)
    except ValueError:
        raise InvalidSetting(
            "is not HOST:PORT, and not auto", f"--address {address}", "For example 10.0.0.1:6379"
        ) from None
    if found is None:
        raise ComponentUnavailable("no Ray cluster runs here", f"--address {address}", _START_ONE)
    return found


def _check_reachable(address: str) -> None:
    """Ray itself asks for minutes before it says that nobody is there.

    Raises ComponentUnavailable.
    """
    if address == private.AUTO_ADDRESS:  # only Ray knows where that is
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S):
            return
    except OSError as error:
        raise ComponentUnavailable(
            f"no Ray cluster answers ({error.strerror or error})", address, _START_ONE
        ) from None


def attach_error(error: Exception, address: str) -> ComponentUnavailable:
    """Why Ray could not connect, and what to do about it."""
    text = " ".join(str(error).split())
    if "Version mismatch" in text:
        next_step = "Install the same Ray and Python on all nodes, and restart the cluster"
    else:
        next_step = (
            "Run greenray up on a node of the cluster, as a user who has its token "
            "(~/.ray/auth_token), and look into its logs in /tmp/ray"
        )
    return ComponentUnavailable(f"cannot attach to the Ray cluster: {text}", address, next_step)


def gcs_address() -> str:
    """HOST:PORT at which another process attaches to the cluster of this one."""
    context: Any = ray.get_runtime_context()
    address: str = context.gcs_address
    return address


def stop_ray() -> None:
    ray.shutdown()
    remove_roots_elsewhere()


class LastingThread:
    """A thread that stays when its call has returned, until it is released.

    Linux kills Ray's servers when the *thread* that started them ends, and the threads of pools end
    when the interpreter begins to, before anything at its exit can stop Ray.
    """

    def __init__(self) -> None:
        self._released = threading.Event()

    def run(self, call: Callable[[], None]) -> asyncio.Future[None]:
        """Done when ``call`` has returned or raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            try:
                call()
            except BaseException as error:
                loop.call_soon_threadsafe(answer.set_exception, error)
            else:
                loop.call_soon_threadsafe(answer.set_result, None)
            self._released.wait()

        threading.Thread(target=work, name="ray", daemon=True).start()
        return answer

    def release(self) -> None:
        self._released.set()
