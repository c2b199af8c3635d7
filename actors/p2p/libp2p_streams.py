"""PeerStreams over libp2p: TCP and noise, as Go providers speak them (protocol 03 §2).

The package ``libp2p`` runs on trio and costs seconds to import, so that it has a thread of its own
(``libp2p_node``), which is imported when a node starts. Calls go there by its queue and come back
by the loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from greenray.actors.p2p.node_key import peer_id_of_key
from greenray.actors.p2p.streams import Incoming, Outgoing, PeerHandler, StreamLimits
from greenray.protocol.errors import PeerNetworkUnavailable, PeerUnreachable, PortInUse
from greenray.protocol.peers import TcpAddress

if TYPE_CHECKING:
    from greenray.actors.p2p.libp2p_node import Libp2pNode


class Libp2pStreams:
    """See ``greenray.actors.p2p.streams.PeerStreams``."""

    def __init__(
        self,
        key: bytes,
        listen: TcpAddress,
        announce: TcpAddress | None = None,
        limits: StreamLimits | None = None,
    ) -> None:
        """``key``: see ``node_key``. ``listen``: an IPv4 address; port 0 takes a free one.
        ``announce``: what others are told instead of it."""
        self.peer_id = peer_id_of_key(key)
        self._key = key
        self._listen = listen
        self._announce = announce
        self._limits = limits or StreamLimits()
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._node: Libp2pNode | None = None
        self._thread: threading.Thread | None = None
        self._handling: set[asyncio.Task[None]] = set()

    async def start(self, handler: PeerHandler) -> TcpAddress:
        node_class = await asyncio.to_thread(_load)
        _check_free(self._listen)
        loop = asyncio.get_running_loop()
        started: asyncio.Future[TcpAddress] = loop.create_future()

        def on_loop(call: object, *arguments: object) -> None:
            # The loop may have ended before the node: nobody is left to be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call, *arguments)  # type: ignore[arg-type]

        def is_up(outcome: TcpAddress | Exception) -> None:
            if started.done():
                return
            if isinstance(outcome, Exception):
                started.set_exception(
                    PeerNetworkUnavailable(f"cannot listen: {outcome}", str(self._listen))
                )
            else:
                started.set_result(outcome)

        def deliver(incoming: Incoming, ticket: int) -> None:
            task = loop.create_task(self._handle(handler, incoming, ticket))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

        self._node = node_class(
            key=self._key,
            listen=self._listen,
            announce=self._announce,
            limits=self._limits,
            is_known=handler.is_known,
            up=lambda outcome: on_loop(is_up, outcome),
            deliver=lambda incoming, ticket: on_loop(deliver, incoming, ticket),
            misbehaved=lambda peer_id, what: on_loop(handler.misbehaved, peer_id, what),
        )
        self._thread = threading.Thread(target=self._node.run, name="p2p", daemon=True)
        self._thread.start()
        return await started

    async def _handle(self, handler: PeerHandler, incoming: Incoming, ticket: int) -> None:
        try:
            await handler.received(incoming)
        finally:
            if self._node is not None:
                self._node.handled(ticket)

    async def send(
        self, peer_id: str, addresses: Sequence[TcpAddress], protocol: str, message: bytes
    ) -> None:
        if self._node is None:
            raise PeerUnreachable("the P2P node has not started", peer_id)
        turns = self._turns.setdefault(peer_id, asyncio.Semaphore(self._limits.sends_to_one_peer))
        async with turns:
            outgoing = Outgoing(peer_id, tuple(addresses), protocol, message)
            fault = await self._sent(self._node, outgoing)
        if fault is not None:
            where = f"{peer_id} at {', '.join(map(str, addresses)) or 'no known address'}"
            raise PeerUnreachable(fault, where)

    async def _sent(self, node: Libp2pNode, outgoing: Outgoing) -> str | None:
        """None, or why it is not handed over."""
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[str | None] = loop.create_future()

        def is_sent(fault: str | None) -> None:
            if not sent.done():
                sent.set_result(fault)

        def tell(fault: str | None) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(is_sent, fault)

        node.send(outgoing, tell)
        return await sent

    async def stop(self) -> None:
        for task in tuple(self._handling):
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)
        node, thread = self._node, self._thread
        self._node = None
        if node is not None and thread is not None:
            node.stop()
            await asyncio.to_thread(thread.join)


def _load() -> type[Libp2pNode]:
    try:
        from greenray.actors.p2p.libp2p_node import Libp2pNode
    except ImportError as error:
        raise PeerNetworkUnavailable(
            f"the package libp2p cannot be imported ({error})", "P2P", "Install greenray[p2p]"
        ) from error
    return Libp2pNode


def _check_free(listen: TcpAddress) -> None:
    """libp2p shares a port with whoever else shares it, and would take half of what comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError as error:
            raise PortInUse(
                f"cannot listen there: {error.strerror}", str(listen), "Choose another port"
            ) from error
