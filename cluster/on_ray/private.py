"""All that is used of Ray and is not part of its public interface, each with its reason and with
what happens when a new Ray no longer has it. ``tests/contracts/test_private_ray.py`` names what has
moved.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
from ray.job_config import JobConfig

from greenray.protocol.errors import ComponentUnavailable

# --- options -------------------------------------------------------------------------------------

SYSTEM_OPTIONS = {
    # No metrics: nobody collects them on one machine.
    "enable_metrics_collection": "0",
    # Nor does anybody ask Ray what became of each call.
    "task_events_report_interval_ms": "0",
    "enable_timeline": "0",
    # The machine is there for this work: at Ray's niceness of 15 any other process goes before it.
    "worker_niceness": "0",
    # Starting a process for encode tasks costs more than encoding ten gigabytes: keep those it has.
    "idle_worker_killing_time_threshold_ms": str(60 * 1000),
    # Ray begins to spill at four fifths; our budgets fill more than that, and never all of it.
    "object_spilling_threshold": "0.99",
    # Pages that the machine has not touched cost more than the copy into them: take them now.
    "preallocate_plasma_memory": "1",
}
"""Options of Ray's servers. One that a new Ray does not know is ignored there."""


def set_system_options() -> None:
    """For the servers that this process will start; what the environment says already stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for name, value in SYSTEM_OPTIONS.items():
        os.environ.setdefault(f"RAY_{name}", value)


def init_options(session_root: str | None) -> dict[str, Any]:
    """Arguments of ``ray.init`` that it does not document.

    ``session_root``: where sockets and logs go, because the path of a socket may have 107 bytes. A
    Ray that does not know the argument refuses it, so it is given only where it is needed.
    """
    return {} if session_root is None else {"_temp_dir": session_root}


# --- servers -------------------------------------------------------------------------------------

UNNEEDED_SERVERS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Methods of ``ray._private.node.Node``."""


@contextmanager
def only_needed_servers() -> Iterator[None]:
    """Of the servers that Ray starts beside its own, nobody asks the autoscaler, the log monitor
    and the dashboard's on one machine: 180 MB, and two seconds of CPU time at every start. Ray has
    no setting for it; a version of it that names them otherwise starts them all."""
    node: Any = _private("ray._private.node", "Node")
    starts = {name: getattr(node, name) for name in UNNEEDED_SERVERS if hasattr(node, name)}
    for name in starts:
        setattr(node, name, lambda *args, **kwargs: None)
    try:
        yield
    finally:
        for name, start in starts.items():
            setattr(node, name, start)


# --- workers -------------------------------------------------------------------------------------


class _SearchPath(list[str]):
    """Where workers look for modules beside their own search path: Ray adds directories."""

    def extend(self, directories: Iterable[str]) -> None:
        ours = {os.path.abspath(directory) for directory in sys.path}
        super().extend(d for d in directories if os.path.abspath(d) in ours)


def job_config() -> JobConfig:
    """Of a driver whose workers look for modules in no directory that it does not look in itself.

    Ray adds the working directory in any case, so that a file ``queue.py`` of the user's, beside
    which ``greenray demo`` is started, would take the place of Python's in all workers. (An empty
    name on ``sys.path``, as in notebooks, is the working directory.) In a Ray that keeps these
    directories elsewhere nothing is left out.
    """
    config = JobConfig()
    if isinstance(getattr(config, "_py_driver_sys_path", None), list):
        config._py_driver_sys_path = _SearchPath()
    return config


# --- a running cluster ---------------------------------------------------------------------------

AUTO_ADDRESS = "auto"


def use_the_clusters_token() -> None:
    """As "ray start" does; "ray.init" alone would come without it. Where Ray has no such function
    the cluster refuses a driver that has no token, and says so."""
    enable: Any = _private(
        "ray._private.authentication.authentication_token_setup",
        "maybe_enable_token_auth_if_token_available",
    )
    if enable is not None:
        # It warns that it has done so; "ray.init" sets this level too late for that.
        logging.getLogger("ray").setLevel(logging.ERROR)
        enable(warn_if_disabled=False)


_ASKED = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_ASK_TIMEOUT_S = 10.0


def asks_for_a_token(address: str) -> bool:
    """Whether the GCS of a cluster refuses who comes without one. Any other answer than that is
    taken for no, a Ray that knows no tokens among them. Raises ComponentUnavailable."""
    import grpc  # comes with ray[default]

    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(_ASKED)(b"", timeout=_ASK_TIMEOUT_S)
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ComponentUnavailable(
                    f"the Ray cluster does not answer ({code.name})", address, "See that it runs"
                ) from None
            return bool(code is grpc.StatusCode.UNAUTHENTICATED)
    return False


def bootstrap_address(address: str) -> str | None:
    """HOST:PORT of a cluster's head; of the one that runs here for "auto". None: there is none.

    Only so can be said at once that nobody is there, see ``attach_ray``. Where Ray has no such
    function the address is left as it is, and Ray says it after minutes. Raises ValueError.
    """
    canonical: Any = _private("ray._private.services", "canonicalize_bootstrap_address")
    if canonical is None:
        if address != AUTO_ADDRESS and not address.rpartition(":")[2].isdecimal():
            raise ValueError(address)
        return address
    try:
        found: str | None = canonical(address)
    except ConnectionError:
        return None
    return found


def spilled_bytes() -> int:
    """How much the object stores have written to disk because they were full: since the start of
    the runtime that this process is connected to, over all its nodes.

    Ray has no public call for it; this is what ``ray memory --stats-only`` shows. Raises
    ComponentUnavailable in a Ray without it: a benchmark must not say that nothing was spilled.
    """
    state_of: Any = _private("ray._private.internal_api", "get_state_from_address")
    reply_of: Any = _private("ray._private.internal_api", "get_memory_info_reply")
    if state_of is None or reply_of is None:
        raise ComponentUnavailable(
            f"Ray {ray.__version__} does not tell how much it has spilled", "object store"
        )
    state = state_of(ray.get_runtime_context().gcs_address)
    return int(reply_of(state).store_stats.spilled_bytes_total)


def server_processes() -> dict[str, int]:
    """Process ids, by name, of the servers that this process has started: GCS and raylet. In a Ray
    that keeps them elsewhere they are known by their answers alone."""
    node: Any = _private("ray._private.worker", "_global_node")
    started = getattr(node, "all_processes", None) or {}
    return {
        _SERVER_NAMES[kind]: processes[0].process.pid
        for kind, processes in started.items()
        if kind in _SERVER_NAMES and processes
    }


_SERVER_NAMES = {"gcs_server": "GCS", "raylet": "raylet"}


def log_directory() -> str:
    """Where Ray's processes on this node write their logs; empty in a Ray that does not tell."""
    node: Any = _private("ray._private.worker", "_global_node")
    path_of = getattr(node, "get_logs_dir_path", None)
    return "" if path_of is None else str(path_of())


class RayletQuestions:
    """Asks the raylet of this node which processes it has, which is also how it is felt.

    Ray has no public call that only a raylet answers. ``answers`` is False in a Ray without this
    one: its raylet is known by its process alone.
    """

    def __init__(self, address: str, port: int) -> None:
        client: Any = _private("ray._raylet", "RayletClient")
        self._client = None if client is None else client(address, port)

    @property
    def answers(self) -> bool:
        return hasattr(self._client, "async_get_worker_pids")

    async def workers(self) -> list[int]:
        """Process ids of its workers, and of drivers that are attached to it. Raises
        ComponentUnavailable."""
        return await self._asked("async_get_worker_pids")

    async def agents(self) -> list[int]:
        """Process ids of its agents; none in a Ray that does not tell. Raises
        ComponentUnavailable."""
        return await self._asked("async_get_agent_pids")

    async def _asked(self, method: str) -> list[int]:
        if not hasattr(self._client, method):
            return []
        try:
            return list(await getattr(self._client, method)())
        except Exception as error:  # Ray's RpcError has no class of its own to be caught by
            raise ComponentUnavailable(f"the raylet does not answer: {error}", "raylet") from None


async def ask_gcs() -> None:
    """Return when the GCS has answered. At once in a Ray whose client has no such call: its GCS is
    known by its process alone. Raises ComponentUnavailable."""
    worker: Any = _private("ray._private.worker", "global_worker")
    client: Any = getattr(worker, "gcs_client", None)
    if not hasattr(client, "async_internal_kv_get"):
        return
    try:
        await client.async_internal_kv_get(b"session_name", b"session", timeout=None)
    except Exception as error:  # as above
        raise ComponentUnavailable(f"the GCS does not answer: {error}", "GCS") from None


def is_rays_server(command: Iterable[str]) -> bool:
    """Whether the command line is that of a process of Ray's: it runs what Ray is installed with.
    Where it does not, a server that a crash has left is not found and not ended."""
    directory = str(Path(ray.__file__).parent)
    return any(part.startswith(directory) for part in command)


# --- the object store ----------------------------------------------------------------------------

OBJECT_ALIGNMENT_BYTES = 64
"""At multiples of which Ray places an object, and each buffer in it."""

OBJECT_OVERHEAD_BYTES = 256
"""What ``PlacedBytes`` take in Ray's store beside their bytes and the two gaps. Where it is
otherwise columns are copied before they are written; see ``greenray.cluster.on_ray.placing``."""


def _private(module: str, name: str) -> Any:
    """None in a Ray that does not have it."""
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None
