"""How a running network is: asked of its processes, through the one that supervises them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from greenray.client.network_file import NetworkFile, read_network
from greenray.protocol.errors import ComponentUnavailable

T = TypeVar("T")

ANSWER_TIMEOUT_S = 5.0
"""For one question, whoever has to be asked for it."""
_HEALTH_TIMEOUT_S = 2.5
"""A little more than the network gives its own processes for their answers."""


class NetworkState(Enum):
    RUNNING = "running"
    DEGRADED = "degraded"
    NOT_ANSWERING = "not answering"


@dataclass(frozen=True, slots=True)
class NetworkHealth:
    """``troubles``: what is not as it should be, a sentence each."""

    state: NetworkState
    troubles: tuple[str, ...] = ()

    def __str__(self) -> str:
        troubles = "; ".join(self.troubles)
        return f"{self.state.value} ({troubles})" if troubles else self.state.value

    def to_json(self) -> dict[str, Any]:
        return {"state": self.state.value, "troubles": list(self.troubles)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> NetworkHealth:
        """Raises ValueError, KeyError: it is no such document."""
        return cls(NetworkState(document["state"]), tuple(map(str, document["troubles"])))


async def ask_health(network: NetworkFile, timeout_s: float = _HEALTH_TIMEOUT_S) -> NetworkHealth:
    """Of now. Never raises because of what does not answer: that is an answer as well."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", network.status_port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
        return NetworkHealth.from_json(json.loads(line))
    except TimeoutError:
        why = f"process {network.pid} said nothing within {timeout_s:g} s"
    except (OSError, ValueError, KeyError):
        why = f"process {network.pid} does not tell how it is"
    return NetworkHealth(NetworkState.NOT_ANSWERING, (why,))


async def answering_network(state_dir: Path) -> NetworkFile:
    """Of the network that runs on this state directory, and takes orders.

    Raises NotRunning, InvalidSetting; ComponentUnavailable within seconds, naming what does not
    answer.
    """
    network = read_network(state_dir)
    health = await ask_health(network)
    if health.state is NetworkState.NOT_ANSWERING:
        raise ComponentUnavailable(
            f"the network is {health}",
            str(state_dir),
            f"If it was stopped, let it go on (kill -CONT {network.pid}), else end it and start it "
            "again: greenray down, then greenray up",
        )
    return network


async def answered(question: Coroutine[Any, Any, T], network: NetworkFile | None, about: str) -> T:
    """What the question returns or raises. ``network`` None: it is not on this machine, and nobody
    can tell how it is.

    Raises ComponentUnavailable, naming what does not answer, after ``ANSWER_TIMEOUT_S``.
    """
    asking = asyncio.create_task(question)
    try:
        await asyncio.wait([asking], timeout=ANSWER_TIMEOUT_S - _HEALTH_TIMEOUT_S)
        if not asking.done():
            examining = asyncio.create_task(_health_for_people(network))
            await asyncio.wait([asking], timeout=_HEALTH_TIMEOUT_S)
            health = await examining
        if asking.done():
            return asking.result()
    finally:
        asking.cancel()
    raise ComponentUnavailable(
        f"no answer within {ANSWER_TIMEOUT_S:g} s{health}",
        about,
        "Try again: what does not answer is replaced within seconds; see greenray status",
    )


async def _health_for_people(network: NetworkFile | None) -> str:
    return "" if network is None else f"; the network is {await ask_health(network)}"


def status_document(network: NetworkFile, health: NetworkHealth) -> dict[str, Any]:
    """What ``greenray status --json`` and ``greenray up --json`` show of a network."""
    return network.to_json() | health.to_json()
