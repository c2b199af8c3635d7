"""What whoever launches a network, or puts a payload from within it, asks of its actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from greenray.actors import names
from greenray.seam.finder import PortName
from greenray.seam.travel import alone

if TYPE_CHECKING:
    from greenray.actors.gateway.server import Binding
    from greenray.actors.ports import ColumnRef
    from greenray.protocol.gateway_request import GatewayRequest
    from greenray.protocol.known_chain import KnownChain


class ChainIdentity(Protocol):
    """Which chain it is, and whether it still is what it was. Raises ChainUnavailable,
    ChainAnswerInvalid."""

    @alone
    async def chain_id(self) -> str: ...

    @alone
    async def first_block_hash(self) -> str:
        """Hexadecimal, and another one for another chain of the same id; empty when the node has it
        no more."""

    @alone
    async def known_chain(self) -> KnownChain:
        """What is known of the chain, now that the node was asked whether it still is so. Raises
        ChainLags, ChainRolledBack, AnotherChain."""

    @alone
    async def accept_rollback(self) -> int | None:
        """Forget the blocks that the chain has no more; returns the height of the last one that it
        has, None when none is missing. Raises AnotherChain."""


class JobRunner(Protocol):
    @alone
    async def run(self) -> None:
        """Claim jobs and drive them, as long as the process lives."""


class ScrubRunner(Protocol):
    @alone
    async def run(self) -> None:
        """Do the scrubs that are ordered, and those that are due, as long as the process lives."""


class CollectorRunner(Protocol):
    @alone
    async def run(self) -> None:
        """Collect what the chain has no more, as long as the process lives."""


class Sweeper(Protocol):
    @alone
    async def sweep(self, idle_for_s: float) -> int:
        """Remove unfinished groups that no primary will come back for; returns how many. Raises
        StoreError."""


class Gateways(Protocol):
    """The Gateways of an Uploader."""

    @alone
    async def listen(self, bindings: Sequence[Binding]) -> tuple[Binding, ...]:
        """Open their ports, once; returns where they listen. Raises PortInUse, InvalidSetting."""

    @alone
    async def run(self, bindings: Sequence[Binding]) -> None:
        """Serve, as long as the process lives."""


class PayloadsInTheCluster(Protocol):
    @alone
    async def put_object(self, request: GatewayRequest, blocks: Sequence[ColumnRef]) -> None:
        """Store the payload that these blocks make together. Raises what a PUT over HTTP is
        refused with, ComponentUnavailable before the Gateways listen."""


CHAIN_IDENTITY = PortName(names.CHAIN.actor, ChainIdentity)
JOB_RUNNER = PortName(names.TASK_WAKER.actor, JobRunner)
COLLECTOR_RUNNER = PortName(names.COLLECTOR.actor, CollectorRunner)


def sweeper(index: int) -> PortName[Sweeper]:
    return PortName(names.receiver(index).actor, Sweeper)


def scrub_runner(index: int) -> PortName[ScrubRunner]:
    return PortName(names.scrubber(index).actor, ScrubRunner)


def gateways(index: int) -> PortName[Gateways]:
    return PortName(names.uploader(index).actor, Gateways)


def payloads(uploader: str) -> PortName[PayloadsInTheCluster]:
    """``uploader``: the name of the actor, as clients are told it."""
    return PortName(uploader, PayloadsInTheCluster)
