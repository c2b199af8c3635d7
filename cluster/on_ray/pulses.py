"""How Ray's servers and the processes of actors are felt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import psutil
import ray

from greenray.cluster.on_ray import private
from greenray.cluster.on_ray.translation import call_host
from greenray.cluster.supervision.pulse import Pulse
from greenray.cluster.supervision.rules import Kind


class RuntimePulses:
    """Of the servers of the cluster that this process is connected to, as far as this node depends
    on them, and of the workers that the node has for tasks."""

    def __init__(self, node_id: str) -> None:
        """``node_id``: of this node."""
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        node = next(entry for entry in nodes if entry["NodeID"] == node_id)
        self._raylet = private.RayletQuestions(node["NodeManagerAddress"], node["NodeManagerPort"])
        self._processes = private.server_processes()
        self._workers: dict[int, Pulse] = {}
        self.servers: tuple[Pulse, ...] = (
            self._server("GCS", self._ask_gcs),
            self._server("raylet", self._ask_raylet),
        )

    def _server(self, name: str, ask: Any) -> Pulse:
        return Pulse(name, Kind.SERVER, ask=ask, process_id=partial(self._processes.get, name))

    async def find_agents(self) -> None:
        """The raylet ends when one of its agents does."""
        if "raylet" in self._processes:
            self.servers += tuple(
                Pulse(_title(pid), Kind.SERVER, process_id=partial(int, pid))
                for pid in await self._raylet.agents()
            )

    def workers(self, hosts: Collection[int | None]) -> Sequence[Pulse]:
        """Those of tasks; ``hosts``: the processes of actors."""
        found = ((pid, worker) for pid, worker in self._workers.items() if pid not in hosts)
        return tuple(worker for _, worker in found if not worker.is_gone())

    async def _ask_gcs(self) -> None:
        await private.ask_gcs()

    async def _ask_raylet(self) -> None:
        workers = await self._raylet.workers()
        raylet = self._processes.get("raylet")
        if raylet is None:  # of someone else's cluster
            return
        # Drivers are in the list as well, and none of our business.
        ours = [pid for pid in workers if _parent(pid) == raylet]
        self._workers = {pid: self._workers.get(pid) or _worker(pid) for pid in ours}


def actor_pulse(host: str, handle: Any, *, is_here: bool) -> Pulse:
    """Of the process that hosts some actors; ``is_here``: on this node."""

    async def ask() -> int:
        pid: int = await call_host(handle, host, "ping")
        return pid

    if is_here:
        return Pulse(host, Kind.ACTOR, ask=ask)
    return Pulse(host, Kind.ACTOR, ask=ask, kill=partial(ray.kill, handle, no_restart=False))


def _worker(pid: int) -> Pulse:
    return Pulse(f"worker {pid}", Kind.WORKER, process_id=partial(int, pid))


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None


def _title(pid: int) -> str:
    """What lists of processes show for one of Ray's."""
    try:
        return psutil.Process(pid).cmdline()[0].rpartition("/")[2].removeprefix("ray::")
    except (psutil.NoSuchProcess, IndexError):
        return f"agent {pid}"
