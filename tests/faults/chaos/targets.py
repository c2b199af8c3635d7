"""Which processes of a running network a fault hits, by kind."""

from __future__ import annotations

import random
from collections.abc import Sequence

import psutil

from tests.support.cli import Surroundings

KINDS = (
    "chain",
    "client",
    "all",
    "up",
    "gcs",
    "agent",
    "raylet",
    "encoder",
    "uploader",
    "home",
    "receiver",
)
"""Of what is killed or stopped; ``home`` hosts the journal, the TaskNode, the Signer and P2P."""

_COMMANDS = {
    "chain": ("greenray.chain.local",),
    "client": ("tests.faults.chaos.client",),
    "gcs": ("/gcs_server",),
    "agent": ("ray::DashboardAgent", "ray::RuntimeEnvAgent"),
    "raylet": ("/raylet/raylet",),
    "encoder": ("ray::encode_columns", "ray::IDLE"),
    "uploader": ("ray::Uploader",),
    "home": ("ray::Home",),
    "receiver": ("ray::Receiver",),
}


def victims(
    kind: str, surroundings: Surroundings, up: psutil.Process, chance: random.Random
) -> Sequence[psutil.Process]:
    """Whom a fault of this kind hits now; of several alike, one. Waits until there is one."""
    while True:
        if kind == "up":
            return (up,)
        running = [p for p in surroundings.processes() if kind == "client" or not _is_client(p)]
        if kind == "all":
            return running
        found = [process for process in running if _is_a(kind, process)]
        if found:
            return (chance.choice(sorted(found, key=lambda process: process.pid)),)


def _is_client(process: psutil.Process) -> bool:
    return _is_a("client", process)


def _is_a(kind: str, process: psutil.Process) -> bool:
    try:
        words = process.cmdline()[:4]
    except psutil.NoSuchProcess:
        return False
    return any(word.endswith(_COMMANDS[kind]) or word.startswith(_COMMANDS[kind]) for word in words)
